"""Rows by their names on the command line, for each bench alike."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence


def add_names(parser: argparse.ArgumentParser, what: str = "all of them") -> None:
    """Let rows be named, and listed."""
    parser.add_argument("names", nargs="*", metavar="ROW", help=f"rows to run (default {what}); see --list")
    parser.add_argument("--list", action="store_true", help="say which rows there are, and run none")


def chosen[T](
    parser: argparse.ArgumentParser,
    given: argparse.Namespace,
    rows: Mapping[str, T],
    about: Callable[[T], str],
    default: Sequence[str],
) -> Mapping[str, T]:
    """Return the rows that were named, in the table's order; a name that is none ends the command.

    Parameters
    ----------
    about
        Says what a row does, for the list.
    default
        The rows where none is named.
    """
    if given.list:
        for name, row in rows.items():
            print(f"{name:<20}{about(row)}")
        sys.exit()
    if unknown := [name for name in given.names if name not in rows]:
        parser.error(f"there is no row {', '.join(unknown)}; there are {', '.join(rows)}")
    wanted = given.names or default
    return {name: row for name, row in rows.items() if name in wanted}


def first_line(work: Callable[..., object]) -> str:
    """Return what a function does, as its docstring begins."""
    return (work.__doc__ or "").partition("\n")[0]
