"""Where the `imagescribe` command starts: it is read in first, which takes a second."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; Ctrl-C ends it without a traceback, also while it is read in."""
    try:
        from imagescribe_ops.commands.main import main as run  # noqa: PLC0415 - it is this that takes the second

        run()
    except KeyboardInterrupt:
        sys.exit(130)
