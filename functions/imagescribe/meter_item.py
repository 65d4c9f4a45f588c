"""The meter's item of DynamoDB: how it is read, made where there is none, and changed.

The pace is changed by the copy of the item that this process saw last, on condition that it is not too old. The answer
to each request, a failed one too, has the item as it is, and is the copy from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from imagescribe import pacing
from imagescribe.stores.dynamodb import ConditionFailedError, get, run_update, update_if

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

METER_KEY: Final = {"content": "#meter"}
"""The item's key in the ledger's table; the key of a content never looks like it."""

_PACED: Final[Mapping[Any, Any]] = {"int": int, "float": float}  # the types of `pacing.State`, by their annotation


class PausedBy(StrEnum):
    """Who or what paused intake."""

    NOBODY = ""
    OPERATOR = "operator"
    ACCOUNT = "account"
    ENDPOINT = "endpoint"
    BUDGET = "budget"  # not kept in the item: it follows from what was spent


@dataclass(frozen=True, slots=True)
class Reading:
    """The item.

    Attributes
    ----------
    paused_until
        Epoch seconds; 0 where there is no pause. A pause whose time is over still waits for its probe.
    pauses
        How many pauses came one after the other, which sets how long the next one is.
    failures
        Failed calls since the last success.
    spent_day, spent_usd
        The UTC day, and what was spent on it.
    is_switched_off
        Whether the event source mappings were disabled for a long pause.
    letters_left, letters_looked_at
        How many dead letters stayed when they were last looked through, and when that was (epoch seconds).
    """

    paced: pacing.State
    paused_until: float = 0.0
    paused_by: PausedBy = PausedBy.NOBODY
    paused_because: str = ""
    pauses: int = 0
    failures: int = 0
    spent_day: str = ""
    spent_usd: float = 0.0
    is_switched_off: bool = False
    letters_left: int = 0
    letters_looked_at: float = 0.0

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> Reading:
        """Read the item's attributes."""
        return cls(
            paced=pacing.State(
                **{f.name: _PACED[f.type](item[f.name]) for f in fields(pacing.State) if f.name in item}
            ),
            paused_until=float(item["paused_until"]),
            paused_by=PausedBy(item["paused_by"]),
            paused_because=item["paused_because"],
            pauses=int(item["pauses"]),
            failures=int(item["failures"]),
            spent_day=item["spent_day"],
            spent_usd=float(item["spent_usd"]),
            is_switched_off=item["is_switched_off"],
            letters_left=int(item["letters_left"]),
            letters_looked_at=float(item["letters_looked_at"]),
        )

    def spent_on(self, day: str) -> float:
        """Return what was spent on a UTC day, in USD; days before the last one asked for are forgotten."""
        return self.spent_usd if self.spent_day == day else 0.0


@dataclass(slots=True)
class MeterItem:
    """The item, as one process knows it.

    Attributes
    ----------
    ceiling
        MaxRequestsPerMinute, or 0: for the pace of a new item.
    clock
        Epoch seconds.
    known, known_at
        The copy from this process's last request (None before the first), and when that was in epoch seconds.
    """

    client: DynamoDBClient
    table: str
    ceiling: float
    clock: Callable[[], float]
    known: Reading | None = None
    known_at: float = 0.0

    def read(self) -> Reading:
        """Return the item as it is, made first where there is none and completed where an older version made it."""
        return self._note(self._complete(get(self.client, self.table, METER_KEY) or {}))

    def pace(
        self,
        seen: pacing.State,
        becomes: pacing.State,
        update: str = "",
        condition: str = "",
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Write what the pace becomes, and with it what a further update sets.

        Raises
        ------
        ConditionFailedError
            The pace that was seen was overtaken meanwhile, or the further condition does not hold.
        """
        before, after = asdict(seen), asdict(becomes)
        changed = {name: value for name, value in after.items() if value != before[name]}
        clauses = [f"{name} = :{name}" for name in changed] + ([update] if update else [])
        self.run(
            "SET " + ", ".join(clauses),
            "version = :seen_version" + (f" AND {condition}" if condition else ""),
            {f":{name}": value for name, value in changed.items()} | {":seen_version": seen.version, **(values or {})},
        )

    def set(
        self,
        values: Mapping[str, Any],
        condition: str = "attribute_exists(content)",
        operands: Mapping[str, Any] | None = None,
        add: Mapping[str, int] | None = None,
    ) -> Reading:
        """Set and add to attributes on a condition, and return the item as it is then.

        Raises
        ------
        ConditionFailedError
            The condition does not hold.
        """
        return self._noting(
            lambda: update_if(
                self.client,
                self.table,
                METER_KEY,
                values=values,
                condition=condition,
                operands=operands or {},
                add=add,
            )
        )

    def run(self, update: str, condition: str, values: Mapping[str, Any]) -> Reading:
        """Run an update in the service's own expressions, and return the item as it is then."""
        return self._noting(
            lambda: run_update(self.client, self.table, METER_KEY, update=update, condition=condition, values=values)
        )

    def _noting(self, write: Callable[[], dict[str, Any]]) -> Reading:
        try:
            return self._note(write())
        except ConditionFailedError as failed:
            if failed.item:
                self._note(failed.item)
            else:
                self.known = None  # somebody deleted it: it is made when it is read
            raise

    def _note(self, item: Mapping[str, Any]) -> Reading:
        self.known, self.known_at = Reading.of_item(item), self.clock()
        return self.known

    def _complete(self, present: dict[str, Any]) -> dict[str, Any]:
        """Add what the item lacks: conditions on attributes that are not there would never hold."""
        fresh: dict[str, Any] = {
            **asdict(pacing.fresh(self.clock(), ceiling=self.ceiling)),
            "paused_until": 0.0,
            "paused_by": PausedBy.NOBODY,
            "paused_because": "",
            "pauses": 0,
            "failures": 0,
            "spent_day": utc_day(self.clock()),
            "spent_usd": 0.0,
            "is_switched_off": False,
            "letters_left": 0,
            "letters_looked_at": 0.0,
        }
        missing = {name: value for name, value in fresh.items() if name not in present}
        if not missing:
            return present
        try:
            return update_if(
                self.client,
                self.table,
                METER_KEY,
                values=missing,
                condition=f"attribute_not_exists(#{next(iter(missing))})",
                operands={},
            )
        except ConditionFailedError as failed:
            return failed.item


def utc_day(epoch_seconds: float) -> str:
    """Return the UTC day of a time, such as ``2026-11-23``."""
    return datetime.fromtimestamp(epoch_seconds, UTC).date().isoformat()
