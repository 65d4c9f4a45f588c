"""The catalog: one record for each image, what people query.

A record carries the sequencer of the event it was written for. Every write is conditional on it, so an event that is
late or came twice never overwrites a newer one, and what was described meanwhile is never written for what is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from imagescribe.model.times import iso_utc
from imagescribe.stores.dynamodb import ConditionFailedError, delete_if, update_if

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from imagescribe.model.events import ObjectEvent, Upload
    from imagescribe.model.tags import TagState


class Status(StrEnum):
    """What became of an image."""

    DESCRIBING = "describing"
    WAITING = "waiting"
    DESCRIBED = "described"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    DEAD = "dead"


FINAL = frozenset({Status.DESCRIBED, Status.REJECTED, Status.SKIPPED})
"""Not looked at again for the same event. A dead one is: its message came back."""


@dataclass(frozen=True, slots=True)
class Begun:
    """The record is ours to write.

    Attributes
    ----------
    status
        What the record says now: `describing`, or `waiting` from an earlier try.
    attempts
        Failed calls so far.
    """

    status: Status
    attempts: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The same upload came to its end before: described, rejected or skipped."""

    status: Status
    prompt: str | None


@dataclass(frozen=True, slots=True)
class Superseded:
    """The record is of a newer event."""


type Beginning = Begun | Finished | Superseded


class Catalog:
    """The catalog table."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def begin(self, upload: Upload) -> Beginning:
        """Open the record for an upload, or say why not."""
        try:
            self._start(upload, "attribute_not_exists(image) OR sequencer < :sequencer")
        except ConditionFailedError as failed:
            present = failed.item
        else:
            return Begun(Status.DESCRIBING, attempts=0)
        if present.get("sequencer") != upload.sequencer:
            return Superseded()
        if (present["etag"], present["version_id"]) != (upload.etag, upload.version_id):
            # A deletion that comes again finds another version than before, which has an event of its own.
            return Superseded()
        status = Status(present["status"])
        if status is Status.DEAD:
            try:
                self._start(upload, "sequencer = :sequencer")
            except ConditionFailedError:
                return Superseded()
            return Begun(Status.DESCRIBING, attempts=0)
        if status in FINAL:
            return Finished(status, present["prompt"])
        return Begun(status, int(present["attempts"]))

    def wait(self, upload: Upload, error: str, attempts: int | None, until: float) -> bool:
        """Record that an image waits, why, and until when (epoch seconds). With None the attempts stay as they are."""
        return self._end(upload, Status.WAITING, attempts, error=error, waiting_until=iso_utc(until))

    def give_up(self, upload: Upload, status: Status, error: str, attempts: int | None) -> bool:
        """Record that an image was skipped, was rejected or is dead, and why."""
        return self._end(upload, status, attempts, error=error)

    def describe(self, upload: Upload, described_at: str, prompt: str, tags: TagState, attempts: int) -> str | None:
        """Record a prompt, and return the one that stands then.

        That is another where the record became a newer upload's meanwhile, and None where that one is not described
        yet or the record was removed with its object.
        """
        try:
            self._settle(upload, Status.DESCRIBED, attempts, prompt=prompt, tags=tags, described_at=described_at)
        except ConditionFailedError as failed:
            return failed.item.get("prompt")
        return prompt

    def remove(self, event: ObjectEvent) -> None:
        """Take out the record of an object that is gone, unless it is of a newer event."""
        with suppress(ConditionFailedError):
            delete_if(
                self._client,
                self._table,
                {"image": event.image},
                "sequencer <= :sequencer",
                {":sequencer": event.sequencer},
            )

    def _start(self, upload: Upload, condition: str) -> None:
        upload_values = {
            "bucket": upload.bucket,
            "key": upload.key,
            "version_id": upload.version_id,
            "etag": upload.etag,
            "size": upload.size,
            "sequencer": upload.sequencer,
            "uploaded_at": upload.uploaded_at,
        }
        self._update(upload, upload_values | self._state(Status.DESCRIBING, 0), condition)

    def _end(self, upload: Upload, status: Status, attempts: int | None, **outcome: str) -> bool:
        try:
            self._settle(upload, status, attempts, **outcome)
        except ConditionFailedError:
            return False
        return True

    def _settle(self, upload: Upload, status: Status, attempts: int | None, **outcome: str) -> None:
        # A prompt that stands is not taken back by a duplicate, or by an event that could not be sent.
        condition = "sequencer = :sequencer AND #status <> :described"
        state = self._state(status, attempts, **outcome)
        self._update(upload, state, condition, {":described": Status.DESCRIBED})

    def _state(self, status: Status, attempts: int | None, **outcome: str) -> dict[str, Any]:
        nothing = dict.fromkeys(("prompt", "tags", "error", "described_at", "waiting_until"))
        counted = {} if attempts is None else {"attempts": attempts}
        return nothing | counted | outcome | {"status": status, "updated_at": iso_utc(self._clock())}

    def _update(
        self, upload: Upload, values: dict[str, Any], condition: str, operands: Mapping[str, str] | None = None
    ) -> None:
        update_if(
            self._client,
            self._table,
            {"image": upload.image},
            values=values,
            condition=condition,
            operands={":sequencer": upload.sequencer, **(operands or {})},
            returns_item=False,
        )
