"""What goes wrong in the `imagescribe` command, in words for the one who typed it."""

from __future__ import annotations


class OperationError(Exception):
    """Something a person has to act on.

    Attributes
    ----------
    problem
        What happened, a sentence; details may follow on lines of their own.
    advice
        What to do next, a sentence.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem} {advice}")
        self.problem = problem
        self.advice = advice


class NotFoundError(OperationError):
    """What was asked for does not exist."""
