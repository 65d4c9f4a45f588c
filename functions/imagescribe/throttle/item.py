"""The throttle's item: one state, replaced on condition that it is still the one that was seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, get_type_hints

from imagescribe.stores.dynamodb import ConditionFailedError, get, update_if
from imagescribe.throttle import rate
from imagescribe.throttle.breaker import Breaker
from imagescribe.throttle.budget import Budget

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from mypy_boto3_dynamodb import DynamoDBClient

THROTTLE_KEY: Final = {"content": "#throttle"}
"""The item's key in the ledger's table; the key of a content never looks like it."""


@dataclass(frozen=True, slots=True)
class State:
    """What the item holds.

    Attributes
    ----------
    uploads_until
        Until when uploads were told to come back for their start (epoch seconds): backfill waits for that.
    backfill_line_end
        When the last of a backfill comes back that found no start (epoch seconds).
    version
        Counts the item's changes.
    """

    rate: rate.Rate
    breaker: Breaker = field(default=Breaker())
    budget: Budget = field(default=Budget())
    uploads_until: float = 0.0
    backfill_line_end: float = 0.0
    version: int = 0


_TIMES: Final = ("uploads_until", "backfill_line_end")


class OvertakenError(Exception):
    """Somebody changed the item first.

    Attributes
    ----------
    state
        As it is now.
    """

    def __init__(self, state: State) -> None:
        super().__init__("the throttle's item was changed meanwhile")
        self.state = state


class ThrottleItem:
    """The item in its table.

    Parameters
    ----------
    fresh
        Makes the rate of a stack that has none yet.
    """

    def __init__(self, client: DynamoDBClient, table: str, fresh: Callable[[], rate.Rate]) -> None:
        self._client = client
        self._table = table
        self._fresh = fresh

    def read(self) -> State:
        """Return the state as it is; where there is no item, a fresh one of version 0."""
        return self._state(get(self._client, self._table, THROTTLE_KEY))

    def replace(self, seen: State, becomes: State) -> State:
        """Write what the state becomes, and return it with its version.

        Raises
        ------
        OvertakenError
            The item is no longer the one that was seen.
        """
        becomes = replace(becomes, version=seen.version + 1)
        parts = {name: asdict(getattr(becomes, name)) for name in ("rate", "breaker", "budget")}
        seen_condition = "version = :seen" if seen.version else "attribute_not_exists(version)"
        try:
            update_if(
                self._client,
                self._table,
                THROTTLE_KEY,
                values={**parts, **{name: getattr(becomes, name) for name in _TIMES}, "version": becomes.version},
                condition=seen_condition,
                operands={":seen": seen.version} if seen.version else {},
            )
        except ConditionFailedError as failed:
            raise OvertakenError(self._state(failed.item)) from None
        return becomes

    def _state(self, item: Mapping[str, Any] | None) -> State:
        if not item or "version" not in item:
            return State(self._fresh())
        return State(
            rate=_read(self._fresh(), item.get("rate", {})),
            breaker=_read(Breaker(), item.get("breaker", {})),
            budget=_read(Budget(), item.get("budget", {})),
            **{name: float(item.get(name, 0)) for name in _TIMES},
            version=int(item["version"]),
        )


def _read[T: DataclassInstance](default: T, part: Mapping[str, Any]) -> T:
    """Read one part of the item. What another version did not write has its default, what it wrote beside is left."""
    kinds = get_type_hints(type(default))
    return replace(default, **{name: kind(part[name]) for name, kind in kinds.items() if name in part})
