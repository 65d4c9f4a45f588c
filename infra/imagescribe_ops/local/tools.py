"""The two locked tool environments (AWS SAM CLI, MiniStack) and the `uv` that makes them."""

from __future__ import annotations

import os
import shutil
import sys
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile

from imagescribe_ops.errors import OperationError
from imagescribe_ops.local.processes import Child
from imagescribe_ops.project import IS_INSTALLED, MISSING_ADVICE, PROJECT_DIRECTORY, cache_directory

SYNC_SECONDS = 300.0
"""A first run downloads about 60 MB for the SAM CLI."""


class Tool(StrEnum):
    """A tool with an environment of its own, as their dependencies contradict each other."""

    SAM = "sam"
    MINISTACK = "ministack"


def find_uv() -> str:
    """Return the path of `uv`: the one that runs us, the one installed beside our interpreter, or the one on PATH.

    Raises
    ------
    OperationError
        There is none.
    """
    candidates = [os.environ.get("UV", ""), str(Path(sys.executable).with_name("uv"))]
    for candidate in candidates:
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    found = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.base_prefix) / "bin"))
    if not found:
        raise OperationError(
            "uv was not found, which brings the SAM CLI and the emulator of AWS.",
            "Install it with `pip install uv`, then try again.",
        )
    return found


def tool_binaries(tool: Tool) -> Path:
    """Bring a tool's environment in line with its lock file and return its directory of programs.

    Takes some 30 s when the environment is new, a fraction of a second later on.

    Raises
    ------
    OperationError
        The environment could not be made (no network, say).
    """
    project = _project(tool)
    # Of uv's own settings these would move the environment or choose another Python than the project says.
    ignored = {
        "VIRTUAL_ENV",
        "UV_PROJECT_ENVIRONMENT",
        "UV_PROJECT",
        "UV_WORKING_DIR",
        "UV_NO_SYNC",
        "UV_FROZEN",
        "UV_PYTHON",
    }
    environment = {name: value for name, value in os.environ.items() if name not in ignored}
    with TemporaryFile() as log:
        command = [find_uv(), "sync", "--project", str(project), "--locked", "--no-progress"]
        with Child(command, environment=environment, output=log) as sync:
            try:
                status = sync.wait(SYNC_SECONDS)
            except TimeoutError:
                raise OperationError(
                    f"Installing {tool} took longer than {SYNC_SECONDS:.0f} s.", "Check the network and try again."
                ) from None
        if status != 0:
            log.seek(0)
            raise OperationError(
                f"Installing {tool} failed:\n{log.read().decode(errors='replace').strip()}",
                f"Check the network and try again, or run `uv sync --project {project} --locked` yourself.",
            )
    return project / ".venv" / "bin"


def _project(tool: Tool) -> Path:
    """Return a tool's project: the checkout's or, as nothing is written beside installed files, a copy in the cache.

    uv itself refuses a project in its own cache, where `uvx` installs us.
    """
    carried = PROJECT_DIRECTORY / "infra" / "tools" / tool
    lock = carried / "uv.lock"
    if not lock.is_file():
        raise OperationError(f"{lock} is missing.", MISSING_ADVICE)
    if not IS_INSTALLED:
        return carried
    # Each version of a tool has its place, whichever version of ours asks for it.
    project = cache_directory() / "tools" / f"{tool}-{sha256(lock.read_bytes()).hexdigest()[:12]}"
    project.mkdir(parents=True, exist_ok=True)
    for name in ("pyproject.toml", "uv.lock"):
        aside = project / f"{name}.{os.getpid()}"
        shutil.copyfile(carried / name, aside)
        aside.replace(project / name)  # at once: another process may read it
    return project
