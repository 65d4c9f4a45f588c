"""How a stack stands in CloudFormation, and whether it may be deployed over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imagescribe_ops.errors import OperationError

SIGN = "LedgerTableName"
"""An output that every stack of ImageScribe has."""

REVIEWED = "REVIEW_IN_PROGRESS"
"""A stack that has a change set and nothing else."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a stack stands.

    Attributes
    ----------
    status
        CloudFormation's word; empty where there is no such stack.
    parameters
        What it was deployed with.
    outputs
        Where its parts are.
    tags
        Its own, which all that it makes has.
    """

    status: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """Whether anything was ever deployed."""
        return self.status not in {"", REVIEWED}

    @property
    def is_left_over(self) -> bool:
        """Whether it is what a first deployment that failed has left: nothing, but for its name."""
        return self.status == "ROLLBACK_COMPLETE"

    @property
    def is_broken(self) -> bool:
        """Whether only deleting it helps."""
        return self.status in {"ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"}


def check_ours(standing: Standing, stack: str) -> None:
    """Refuse a stack that is something else's.

    Raises
    ------
    OperationError
        It is.
    """
    empty = standing.is_left_over or standing.is_broken
    if standing.exists and not empty and SIGN not in standing.outputs:
        raise OperationError(
            f"The stack {stack} is not one of ImageScribe's, and would lose all that it has.",
            "Name another with --stack.",
        )


def check_deployable(standing: Standing, stack: str) -> None:
    """Refuse a stack that no deployment can mend; see `check_ours`."""
    if standing.is_broken:
        raise OperationError(
            f"The stack {stack} is {standing.status}, and nothing can be deployed over that.",
            "Take it away with `imagescribe destroy`, which says what stays; then deploy again.",
        )
    if standing.status == "UPDATE_ROLLBACK_FAILED":
        raise OperationError(
            f"The stack {stack} could not go back after a deployment that failed ({standing.status}).",
            f"Run `aws cloudformation continue-update-rollback --stack-name {stack}`; then try again.",
        )
