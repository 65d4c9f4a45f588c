"""What a question can have wrong with it. Each error says so in a sentence for whoever asked."""

from imagescribe.errors import ImageScribeError


class QueryError(ImageScribeError):
    """A question that can't be answered as it stands.

    Attributes
    ----------
    problem, advice
        What is wrong, and what to do.
    """

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem} {advice}")
        self.problem = problem
        self.advice = advice


class NotFoundError(QueryError):
    """There is no such thing."""


class BusyError(QueryError):
    """The catalog can't answer for now."""
