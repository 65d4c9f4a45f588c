"""What became of a message."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from imagescribe.model.announcements import Announcement


class Reason(StrEnum):
    """Why a message is a dead letter; its message attribute `reason`."""

    TRANSIENT = "transient"  # the endpoint kept failing
    AWS = "aws"  # an AWS service kept failing, or refuses us
    CRASH = "crash"  # the function died with the message, again and again
    UNREADABLE = "unreadable"  # paid for, and no prompt can be read in the answer
    MALFORMED = "malformed"  # the message tells of no upload


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do for the message, once what there is to announce is announced."""

    result: str
    announces: Announcement | None = None


@dataclass(frozen=True, slots=True)
class Deferred:
    """The message waits.

    Attributes
    ----------
    until
        Epoch seconds.
    is_failure
        Whether our own infrastructure failed, and not the endpoint: that is counted on the message.
    """

    until: float
    why: str
    is_failure: bool = False


@dataclass(frozen=True, slots=True)
class Dead:
    """The message is given up, with the reason on it, once what there is to announce is announced."""

    reason: Reason
    detail: str
    announces: Announcement | None = None


Outcome = Done | Deferred | Dead  # no `type`: it is matched by isinstance
