"""What the recover function notes from one run to the next: one item in the ledger's table."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from imagescribe.stores.dynamodb import get, update_if

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

RECOVERY_KEY: Final = {"content": "#recovery"}


@dataclass(frozen=True, slots=True)
class Standstill:
    """A time in which something waited and nothing was seen to come to its end; no such time by default.

    Attributes
    ----------
    since
        Epoch seconds.
    least_waiting
        The fewest messages that waited in it.
    day, most_spent_usd
        The most that was spent in it, and on which UTC day.
    """

    since: float = 0.0
    least_waiting: int = 0
    day: str = ""
    most_spent_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Notes:
    """What was noted.

    Attributes
    ----------
    intake_disabled, intake_settled
        Whether the event source mappings were to be disabled while no calls are made, and whether all of them were.
    dlq_remaining, dlq_read_at
        How many dead letters stayed when they were last looked through, and when that was (epoch seconds).
    """

    intake_disabled: bool = False
    intake_settled: bool = True
    dlq_remaining: int = 0
    dlq_read_at: float = 0.0
    standstill: Standstill = field(default=Standstill())


class Notebook:
    """The notebook of a stack."""

    def __init__(self, client: DynamoDBClient, table: str) -> None:
        self._client = client
        self._table = table

    def read(self) -> Notes:
        """Return what was noted."""
        item = get(self._client, self._table, RECOVERY_KEY) or {}
        return Notes(
            bool(item.get("intake_disabled", False)),
            bool(item.get("intake_settled", True)),
            int(item.get("dlq_remaining", 0)),
            float(item.get("dlq_read_at", 0)),
            Standstill(
                float(item.get("since", 0)),
                int(item.get("least_waiting", 0)),
                item.get("day", ""),
                float(item.get("most_spent_usd", 0)),
            ),
        )

    def note_intake(self, *, disabled: bool, settled: bool = True) -> None:
        """Note whether the event source mappings are to be disabled, and whether all of them are as they are to be."""
        self._note({"intake_disabled": disabled, "intake_settled": settled})

    def note_dead_letters(self, remaining: int, now: float) -> None:
        """Note that the dead letters were looked through just now, and how many stayed."""
        self._note({"dlq_remaining": remaining, "dlq_read_at": now})

    def note_standstill(self, standstill: Standstill) -> None:
        """Note since when nothing was seen to come to its end."""
        self._note(asdict(standstill))

    def _note(self, values: dict[str, Any]) -> None:
        update_if(self._client, self._table, RECOVERY_KEY, values=values)
