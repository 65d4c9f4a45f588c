"""What is told: sentences whose commands can be pasted as they stand, and errors."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from imagescribe_ops.display import safe, shown
from imagescribe_ops.errors import OperationError

_HINT = re.compile(r"`imagescribe ([^\s`]+)([^`]*)`")
_WITHOUT_STACK = {"demo", "local", "gateway", "--help"}
_OF_AWS = {"deploy", "destroy"}


def pasteable(text: str, options: str = "") -> str:
    """Complete each `imagescribe …` of a text to what can be pasted: how it is run here, and the stack's options."""

    def complete(hint: re.Match[str]) -> str:
        mine = options and not (hint[1] in _WITHOUT_STACK or (hint[1] in _OF_AWS and "--local" in options))
        own = f" {options}" if mine else ""
        return f"`{program()} {hint[1]}{hint[2]}{own}`"

    return _HINT.sub(complete, text)


def program() -> str:
    """Return how this program is run here."""
    if "UV_RUN_RECURSION_DEPTH" in os.environ:
        return "uv run imagescribe"
    # `uvx` says nothing of itself, but it runs what it has put into its cache.
    if not any(part.startswith("archive-v") for part in Path(sys.prefix).parts):
        return "imagescribe"
    source = _source(distribution("imagescribe").read_text("direct_url.json"))
    return f"uvx --from {shlex.quote(source)} imagescribe" if source else "uvx imagescribe"


def _source(direct_url: str | None) -> str:
    """Return what a package was installed from, as pip and uv note it: https://peps.python.org/pep-0610/."""
    noted: dict[str, Any] = json.loads(direct_url or "{}")
    version_control = noted.get("vcs_info", {})
    revision = version_control.get("requested_revision", "")
    prefix = f"{version_control['vcs']}+" if version_control else ""
    url = str(noted.get("url", "")).removeprefix("file://")
    return f"{prefix}{url}@{revision}" if revision else f"{prefix}{url}"


def complain(error: OperationError, options: str = "") -> None:
    """Tell an error on standard error: what happened, and what to do."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    first, *details = error.problem.splitlines() or [""]
    console.print(Text.assemble(("Error: ", "bold red"), safe(pasteable(first, options))))
    for line in details:
        console.print(shown(f"  {line.expandtabs()}"))
    console.print(shown(pasteable(error.advice, options)))
