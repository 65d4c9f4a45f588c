"""The `imagescribe` command, assembled. What each command does is in the modules beside this one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from imagescribe_ops.commands import (
    adopt,
    audit,
    backfill,
    dead_letters,
    demo,
    deploy,
    destroy,
    doctor,
    export,
    gallery,
    gateway,
    key,
    local,
    operate,
    read,
    relabel,
    search,
    status,
    story,
    upload,
)
from imagescribe_ops.commands.base import app

__all__ = [
    "adopt",
    "app",
    "audit",
    "backfill",
    "dead_letters",
    "demo",
    "deploy",
    "destroy",
    "doctor",
    "export",
    "gallery",
    "gateway",
    "key",
    "local",
    "main",
    "operate",
    "read",
    "relabel",
    "search",
    "status",
    "story",
    "upload",
]


def main() -> None:
    """Run the command."""
    if sys.stdout is None:  # it was closed: `imagescribe list >&-`
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the command runs
    # Where standard output cannot show a character, an escape of it is better than an error.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")
    app(prog_name="imagescribe")


if __name__ == "__main__":
    main()
