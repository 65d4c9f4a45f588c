"""The catalog: one record for each image, what people query.

A record carries the sequencer of the event it was written for. Every write is conditional on it, so an event that is
late or came twice never overwrites a newer one, and what was described meanwhile is never written for what is gone.

What is described and is to be described again stays described with its old prompt until there is a new one. Its record
is `renewing` meanwhile, and only says why if none came of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Set
from typing import TYPE_CHECKING, Any, Final

from imagescribe.model.record import Opened, Record, Stale, Standing, Status
from imagescribe.model.times import iso_utc
from imagescribe.stores.dynamodb import ConditionFailedError, delete_if, update_if

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from imagescribe.model.events import ObjectEvent, Upload
    from imagescribe.model.outcomes import Deferred
    from imagescribe.model.tags import TagState


_OF_AN_OUTCOME: Final = (
    *("prompt", "model", "rendered_from", "labels", "tags", "annotation"),
    *("error", "described_at", "waiting_until"),
)
"""What goes when an image comes to another status. Its `label_tags` stay: they tell our tags from a person's."""


class Catalog:
    """The catalog table."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def open(self, upload: Upload, waiting: Deferred | None = None) -> Standing:
        """Open the record for an upload, of one that waits already if so, or say why not.

        The prompt of the same content stays until there is a new one.
        """
        state = self._state(Status.DESCRIBING, 0) if waiting is None else self._waiting(waiting, 0)
        try:
            self._update(
                upload,
                {
                    "bucket": upload.bucket,
                    "key": upload.key,
                    "version_id": upload.version_id,
                    "etag": upload.etag,
                    "size": upload.size,
                    "sequencer": upload.sequencer,
                    "uploaded_at": upload.uploaded_at,
                    "requester": upload.requester,
                    "job": upload.job or None,
                    **state,
                },
                "attribute_not_exists(sequencer) OR (sequencer = :sequencer AND #status = :dead) OR "
                "(sequencer < :sequencer AND (#status <> :described OR etag <> :etag))",
                {":dead": Status.DEAD, ":described": Status.DESCRIBED, ":etag": upload.etag},
            )
        except ConditionFailedError as failed:
            found = Record.of_item(failed.item)
            if found.sequencer < upload.sequencer:
                return self._renew(upload) or self.open(upload, waiting)
            return found.standing(upload) or Stale()
        return Opened()

    def _renew(self, upload: Upload) -> Opened | None:
        """Open a record that keeps its prompt. None where it is another one by now."""
        values = {
            "version_id": upload.version_id,
            "sequencer": upload.sequencer,
            "uploaded_at": upload.uploaded_at,
            "requester": upload.requester,
            "job": upload.job or None,
            "attempts": 0,
            "status": Status.DESCRIBED,
            "renewing": True,
        }
        condition = "sequencer < :sequencer AND #status = :described AND etag = :etag"
        try:
            self._update(upload, values, condition, {":described": Status.DESCRIBED, ":etag": upload.etag}, remove=())
        except ConditionFailedError:
            return None
        return Opened()

    def wait(self, upload: Upload, waiting: Deferred, attempts: int | None) -> bool:
        """Record that an image waits. With None the attempts stay as they are."""
        return self._end(upload, self._waiting(waiting, attempts))

    def give_up(self, upload: Upload, status: Status, error: str, attempts: int | None) -> bool:
        """Record that an image was skipped, was rejected or is dead, and why.

        False where the record is not ours, or keeps the prompt that it has.
        """
        return self._end(upload, self._state(status, attempts, error=error))

    def describe(
        self,
        upload: Upload,
        described_at: str,
        prompt: str,
        tags: TagState,
        attempts: int,
        *,
        model: str | None = None,
        rendered_from: str | None = None,
        labels: Set[str] = frozenset(),
        label_tags: Mapping[str, str] | None = None,
        annotation: TagState | None = None,
    ) -> str | None:
        """Record a prompt, the model that wrote it and what of, and return the prompt that stands then.

        That is another where the record became a newer upload's meanwhile, and None where that one is not described
        yet or the record was removed with its object.

        Parameters
        ----------
        label_tags
            The tags of labels that are ours on the object now; None where the record has them already.
        """
        state = self._state(
            Status.DESCRIBED,
            attempts,
            prompt=prompt,
            model=model,
            rendered_from=rendered_from,
            labels=labels or None,  # there is no empty set
            tags=tags,
            annotation=annotation,
            described_at=described_at,
            **({} if label_tags is None else {"label_tags": dict(label_tags)}),
        )
        try:
            # A prompt that stands is not taken back by a duplicate, or by an event that could not be sent.
            condition = "sequencer = :sequencer AND (#status <> :described OR renewing = :true)"
            self._update(upload, state, condition, {":described": Status.DESCRIBED, ":true": True})
        except ConditionFailedError as failed:
            return failed.item.get("prompt")
        return prompt

    def relabel(
        self,
        upload: Upload,
        updated_at: str,
        labels: Set[str],
        label_tags: Mapping[str, str] | None = None,
        annotation: TagState | None = None,
    ) -> bool:
        """Record other labels of a prompt, or its annotation. False where the record is not as it was when it was read.

        Parameters
        ----------
        updated_at
            When the record was last written, which this does not change: the image was not described anew.
        label_tags, annotation
            None where they stay as they are.
        """
        values: dict[str, Any] = {"labels": labels or None}
        values |= {} if label_tags is None else {"label_tags": dict(label_tags)}
        values |= {} if annotation is None else {"annotation": annotation}
        try:
            update_if(
                self._client,
                self._table,
                {"image": upload.image},
                values=values,
                condition="sequencer = :sequencer AND updated_at = :updated_at",
                operands={":sequencer": upload.sequencer, ":updated_at": updated_at},
            )
        except ConditionFailedError:
            return False
        return True

    def remove(self, event: ObjectEvent) -> bool:
        """Take out the record of an object that is gone, unless it is of a newer event; say whether there was one."""
        try:
            delete_if(
                self._client,
                self._table,
                {"image": event.image},
                "sequencer <= :sequencer",
                {":sequencer": event.sequencer},
            )
        except ConditionFailedError:
            return False
        return True

    def oldest_waiting(self, since: float) -> str | None:
        """Return when the image was uploaded that waits for longest, of those uploaded since (epoch seconds)."""
        found = self._client.query(
            TableName=self._table,
            IndexName="by-status",
            KeyConditionExpression="#status = :waiting AND uploaded_at >= :since",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":waiting": {"S": Status.WAITING}, ":since": {"S": iso_utc(since)}},
            Limit=1,
        )["Items"]
        return found[0]["uploaded_at"]["S"] if found else None

    def _end(self, upload: Upload, state: dict[str, Any]) -> bool:
        condition = "sequencer = :sequencer AND #status <> :described"
        try:
            self._update(upload, state, condition, {":described": Status.DESCRIBED})
        except ConditionFailedError as failed:
            is_renewing = failed.item.get("renewing") and failed.item["sequencer"] == upload.sequencer
            return bool(is_renewing) and self._keep(upload, state)
        return True

    def _keep(self, upload: Upload, state: Mapping[str, Any]) -> bool:
        """Leave a prompt as it stands, since there is no new one, or none yet; True where it is still waited for."""
        waits, is_dead = state["status"] is Status.WAITING, state["status"] is Status.DEAD
        values = {"attempts": state["attempts"]} if "attempts" in state else {}
        values |= {"error": None if waits else f"it could not be described again: {state['error']}"}
        values |= {"attempts": 0} if is_dead else {}  # its dead letter may come back
        remove = () if waits or is_dead else ("renewing",)
        try:
            self._update(upload, values, "sequencer = :sequencer AND renewing = :true", {":true": True}, remove=remove)
        except ConditionFailedError:
            return False
        return waits

    def _waiting(self, waiting: Deferred, attempts: int | None) -> dict[str, Any]:
        until = iso_utc(waiting.until)
        return self._state(Status.WAITING, attempts, error=waiting.why, waiting_until=until)

    def _state(self, status: Status, attempts: int | None, **outcome: Any) -> dict[str, Any]:
        nothing = dict.fromkeys(_OF_AN_OUTCOME)
        counted = {} if attempts is None else {"attempts": attempts}
        now = iso_utc(self._clock())
        # The key of index `by-described`, which has what is described now and nothing else.
        indexed = {"described_day": now[:10]} if status is Status.DESCRIBED else {}
        return nothing | counted | outcome | indexed | {"status": status, "updated_at": now}

    def _update(
        self,
        upload: Upload,
        values: dict[str, Any],
        condition: str,
        operands: Mapping[str, Any],
        remove: tuple[str, ...] | None = None,
    ) -> None:
        if remove is None:
            remove = tuple({"described_day", "renewing"} - values.keys())
        update_if(
            self._client,
            self._table,
            {"image": upload.image},
            values=values,
            condition=condition,
            operands={":sequencer": upload.sequencer, **operands},
            remove=remove,
        )
