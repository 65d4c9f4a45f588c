"""Where the project's own files are: template, functions, locked tools and samples.

They are those of the checkout that this package runs from or, where it was installed from a wheel, what the wheel
carries (`infra/wheel.py` puts it there). Nothing is written there then.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from imagescribe_ops.errors import OperationError

_CARRIED = Path(__file__).resolve().with_name("project_files")

IS_INSTALLED = _CARRIED.is_dir()
"""Whether this runs from a wheel, and not from a checkout."""

PROJECT_DIRECTORY = _CARRIED if IS_INSTALLED else Path(__file__).resolve().parents[2]
"""What template, functions, locked tools and samples are found in, as in a checkout."""

TEMPLATE = PROJECT_DIRECTORY / "template.yaml"


MISSING_ADVICE = "Install `imagescribe` again." if IS_INSTALLED else "Check the project out again."
"""What to do where one of the project's files is missing."""


def _user_cache() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "imagescribe"
    # https://specifications.freedesktop.org/basedir-spec/latest/
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "imagescribe"


CACHE_DIRECTORY = _user_cache() if IS_INSTALLED else PROJECT_DIRECTORY / ".aws-sam" / "imagescribe"
"""What builds share: `sam build`'s cache of unpacked requirements, and the lock that keeps builds apart."""


def cache_directory() -> Path:
    """Return the cache directory, made if it was not there.

    Raises
    ------
    OperationError
        It can't be made.
    """
    try:
        CACHE_DIRECTORY.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OperationError(
            f"The folder for what is built, {CACHE_DIRECTORY}, can't be made: {error.strerror}.",
            "Set XDG_CACHE_HOME to a folder that you may write to." if IS_INSTALLED else "Look at its permissions.",
        ) from error
    return CACHE_DIRECTORY
