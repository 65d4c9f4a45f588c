"""What becomes of a backfill's messages that come after it was paused or cancelled: they are dropped.

So a pause or a cancellation holds at once, however much waits in the queue. Nothing is lost by it: a job that is
resumed lists again, and the audit shows what has no description.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imagescribe.backfill.jobs import Jobs, Phase
from imagescribe.errors import MalformedMessageError
from imagescribe.model.events import Upload, job_of, parse_body
from imagescribe.model.record import Status
from imagescribe.stores.dynamodb import ConditionFailedError, delete_if

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@dataclass(frozen=True, slots=True)
class Gate:
    """Lets through what is still wanted."""

    jobs: Jobs
    dynamodb: DynamoDBClient
    catalog_table: str

    def admitted(self, records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return those of a batch's records that are still wanted; the others may be deleted."""
        ids = {id(record): job_of(record["body"]) for record in records}
        jobs = {job_id: self.jobs.get(job_id) for job_id in set(ids.values()) if job_id}
        stopped = {job_id for job_id, job in jobs.items() if job and job.phase in (Phase.PAUSED, Phase.CANCELLED)}
        # A dead letter that came back is wanted: its record stays `dead` without it, and no job takes it up again.
        wanted = [each for each in records if ids[id(each)] not in stopped or _is_redriven(each)]
        kept = {id(record) for record in wanted}
        self._forget(record for record in records if id(record) not in kept and _is_begun(record))
        return wanted

    def _forget(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Take out the records of images that would otherwise wait for ever."""
        for record in records:
            with suppress(MalformedMessageError):
                for event in parse_body(record["body"]):
                    if isinstance(event, Upload):
                        self._remove_unfinished(event)

    def _remove_unfinished(self, upload: Upload) -> None:
        with suppress(ConditionFailedError):
            delete_if(
                self.dynamodb,
                self.catalog_table,
                {"image": upload.image},
                "sequencer = :sequencer AND #status IN (:describing, :waiting)",
                {":sequencer": upload.sequencer, ":describing": Status.DESCRIBING, ":waiting": Status.WAITING},
            )


def _is_redriven(record: Mapping[str, Any]) -> bool:
    return "redrives" in record.get("messageAttributes", {})


def _is_begun(record: Mapping[str, Any]) -> bool:
    receive_count = int(record.get("attributes", {}).get("ApproximateReceiveCount", 1))
    return receive_count > 1 or bool(record.get("messageAttributes"))
