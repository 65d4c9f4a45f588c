"""The jobs' table: one item for each job, with how far it got.

A table of its own: the lister then has nothing to do with what was paid for, a job is rewritten at every page, and all
jobs are found by one query, which the ledger's key does not allow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from boto3.dynamodb.types import TypeDeserializer

from imagescribe.backfill.selection import Selection
from imagescribe.model.times import iso_utc
from imagescribe.stores.dynamodb import ConditionFailedError, get, update_if

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KIND: Final = "backfill"
MAX_ERROR_LENGTH: Final = 500

_deserialize = TypeDeserializer().deserialize


class Phase(StrEnum):
    """How a job stands."""

    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


ACTIVE: Final = frozenset({Phase.RUNNING, Phase.PAUSED})


@dataclass(frozen=True, slots=True)
class Job:
    """A job.

    Attributes
    ----------
    id
        Sorts by the time of its beginning.
    manifest
        ``s3://bucket/key`` of a list of keys; empty where the bucket is listed.
    most
        How many images are sent at the most; 0 for all.
    checkpoint
        Where its source goes on; empty at the beginning.
    is_listed
        Whether the source is at its end, so that only the queue has to be emptied.
    listed, sent
        Objects seen, and those of them that were sent.
    expected, expected_usd
        By the estimate at its beginning: images that are paid for, and what they cost.
    holder, lease_until
        The run of the lister that works on it, and until when (epoch seconds).
    trouble
        What hinders it, or made it fail; empty where nothing does.
    """

    id: str
    phase: Phase = Phase.RUNNING
    prefix: str = ""
    manifest: str = ""
    selection: Selection = field(default=Selection())
    most: int = 0
    checkpoint: str = ""
    is_listed: bool = False
    listed: int = 0
    sent: int = 0
    expected: int = 0
    expected_usd: float = 0.0
    created_at: str = ""
    updated_at: str = ""
    holder: str = ""
    lease_until: float = 0.0
    trouble: str = ""

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> Self:
        """Read an item, leaving out what this version does not know."""
        known = {each.name: item[each.name] for each in fields(cls) if each.name in item}
        for name in ("most", "listed", "sent", "expected"):
            known[name] = int(known.get(name, 0))
        for name in ("expected_usd", "lease_until"):
            known[name] = float(known.get(name, 0))
        return cls(
            **known | {"phase": Phase(item["phase"]), "selection": Selection(**item["selection"]), "id": item["job"]}
        )


class Jobs:
    """The table of jobs."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def all(self) -> list[Job]:
        """Return all jobs there ever were, the oldest first."""
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            KeyConditionExpression="kind = :kind",
            ExpressionAttributeValues={":kind": {"S": KIND}},
            ConsistentRead=True,
        )
        return [
            Job.of_item({name: _deserialize(value) for name, value in item.items()})
            for page in pages
            for item in page["Items"]
        ]

    def get(self, job_id: str) -> Job | None:
        """Return a job as it is; None where there is none of this id."""
        item = get(self._client, self._table, _key(job_id))
        return Job.of_item(item) if item else None

    def add(self, job: Job) -> bool:
        """Add a job. False where there is one of its id."""
        now = iso_utc(self._clock())
        values = asdict(job) | {"created_at": now, "updated_at": now}
        del values["id"]
        return self._update(job.id, values, "attribute_not_exists(phase)", {})

    def turn(self, job_id: str, phase: Phase, *from_phases: Phase) -> bool:
        """Bring a job into another phase. False where it is not, or no longer, in one of those it may come from."""
        return self._turn(job_id, {"phase": str(phase)}, from_phases)

    def resume(self, job_id: str) -> bool:
        """Let a paused job go on from its beginning. False where it is not paused.

        What waited in the queue went with the pause. The catalog knows what is described, so that a page that is read
        again costs a request and pays for nothing twice.
        """
        afresh = {"checkpoint": "", "is_listed": False, "listed": 0, "sent": 0}
        return self._turn(job_id, {"phase": str(Phase.RUNNING)} | afresh, (Phase.PAUSED,))

    def take(self, job: Job, holder: str, lease_until: float) -> bool:
        """Take a running job for one run of the lister. False where another run has it."""
        return self._update(
            job.id,
            {"holder": holder, "lease_until": lease_until},
            "phase = :running AND (lease_until < :now OR holder = :holder)",
            {":running": Phase.RUNNING, ":now": self._clock(), ":holder": holder},
        )

    def advance(self, job: Job, holder: str) -> bool:
        """Write how far a job got. False where it was paused, cancelled or taken over meanwhile."""
        values = {
            "checkpoint": job.checkpoint,
            "is_listed": job.is_listed,
            "listed": job.listed,
            "sent": job.sent,
            "trouble": job.trouble[:MAX_ERROR_LENGTH],
        }
        return self._update(job.id, values, *_held(holder))

    def release(self, job: Job, holder: str, phase: Phase = Phase.RUNNING, trouble: str = "") -> bool:
        """Let go of a job, so that the next run need not wait for the lease to end."""
        values = {"lease_until": 0.0, "phase": str(phase), "trouble": trouble[:MAX_ERROR_LENGTH]}
        return self._update(job.id, values, *_held(holder))

    def _turn(self, job_id: str, values: dict[str, Any], from_phases: Sequence[Phase]) -> bool:
        names = [f":from_{number}" for number in range(len(from_phases))]
        operands = dict(zip(names, map(str, from_phases), strict=True))
        return self._update(job_id, values, f"phase IN ({', '.join(names)})", operands)

    def _update(self, job_id: str, values: dict[str, Any], condition: str, operands: Mapping[str, Any]) -> bool:
        values = {"updated_at": iso_utc(self._clock())} | values
        try:
            update_if(self._client, self._table, _key(job_id), values=values, condition=condition, operands=operands)
        except ConditionFailedError:
            return False
        return True


def _key(job_id: str) -> dict[str, str]:
    return {"kind": KIND, "job": job_id}


def _held(holder: str) -> tuple[str, dict[str, Any]]:
    return "holder = :holder AND phase = :running", {":holder": holder, ":running": Phase.RUNNING}
