"""What a check comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a link of the chain stands."""

    WELL = "well"
    WARNING = "warning"
    BROKEN = "broken"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    check
        The check's name.
    found
        What stands there, a sentence; further ones may follow on lines of their own.
    mend
        What to do about it, with commands between backticks; empty where all is well.
    waits_for
        The check that has to be well before this one can be made; empty where nothing is in its way.
    """

    check: str
    state: State
    found: str
    mend: str = ""
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A finding without the name of its check; see `Finding`."""

    state: State
    found: str
    mend: str = ""


def well(found: str) -> Verdict:
    """Say that all is as it should be."""
    return Verdict(State.WELL, found)


def warning(found: str, mend: str) -> Verdict:
    """Say that it works, or stands still on purpose, and that somebody should know."""
    return Verdict(State.WARNING, found, mend)


def broken(found: str, mend: str) -> Verdict:
    """Say that images are not described, or that nobody is told of it, until this is mended."""
    return Verdict(State.BROKEN, found, mend)


class NotCheckedError(Exception):
    """A check can't be made, by no fault of the link itself.

    Attributes
    ----------
    found, mend
        As of a `Finding`.
    """

    def __init__(self, found: str, mend: str = "") -> None:
        super().__init__(found)
        self.found = found
        self.mend = mend
