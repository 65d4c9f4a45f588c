"""The story of one image, from everywhere that knows of it, in the order of time. It only reads."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from imagescribe.aws.s3 import error_code
from imagescribe.errors import MalformedMessageError
from imagescribe.model.dead_letter import DeadLetter
from imagescribe.model.events import parse_body
from imagescribe.model.record import Status
from imagescribe.model.times import iso_utc
from imagescribe.stores.dynamodb import get
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.logs import Logs
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.catalog_view import CatalogView, ImageRecord
from imagescribe_ops.errors import OperationError
from imagescribe_ops.operations import Operations
from imagescribe_ops.standing import pause_sentence, queued_sentence


@dataclass(frozen=True, slots=True)
class Chapter:
    """One thing that happened to an image.

    Attributes
    ----------
    time
        ISO 8601 in UTC.
    place
        Who knows it: `object`, `catalog`, `ledger`, `dead letters` or `log`.
    what
        What happened.
    """

    time: str
    place: str
    what: str


@dataclass(frozen=True, slots=True)
class Story:
    """What is known of one image.

    Attributes
    ----------
    now
        How it stands, and what to do if anything.
    missing
        What could not be read, and why.
    """

    image: str
    chapters: list[Chapter]
    now: str
    missing: list[str]


def tell(operations: Operations, bucket: str, key: str, seconds: float) -> Story:
    """Look an image up everywhere; in the logs as far back as told."""
    image = f"s3://{bucket}/{key}"
    operations.check_is_ours(bucket, key)
    record = CatalogView(operations.connection, operations.outputs.catalog_table_name).get(image)
    missing: list[str] = []
    with readable_errors():
        head = _head(operations, bucket, key)
        letters = [each for each in operations.dead_letters() if _tells_of(each, image)]
    chapters = [*_of_object(head), *_of_record(record), *_of_ledger(operations, record, head), *_of_letters(letters)]
    try:
        lines = Logs.of_stack(operations.connection, operations.outputs).read(operations.clock() - seconds, image)
        chapters += [Chapter(line.time, "log", f"{line.status} {line.detail}".strip()) for line in lines]
    except OperationError as error:
        missing.append(f"the logs: {error.problem}")
    now = _now(operations, record, exists=head is not None, letters=letters)
    return Story(image, sorted(chapters, key=lambda chapter: chapter.time), now, missing)


def _head(operations: Operations, bucket: str, key: str) -> dict[str, Any] | None:
    try:
        return dict(operations.connection.s3().head_object(Bucket=bucket, Key=key))
    except ClientError as error:
        if error_code(error) in {"404", "NoSuchKey", "NotFound"}:
            return None
        raise


def _of_object(head: dict[str, Any] | None) -> Iterator[Chapter]:
    if head:
        modified = iso_utc(head["LastModified"].timestamp())
        yield Chapter(
            modified, "object", f"uploaded as it is now: {head['ContentLength']:,} bytes, ETag {head['ETag']}"
        )


def _of_record(record: ImageRecord | None) -> Iterator[Chapter]:
    if record is None:
        return
    yield Chapter(record.uploaded_at, "catalog", f"the event of ETag {record.etag}, sequencer {record.sequencer}")
    if record.status == Status.DESCRIBED:
        yield Chapter(record.described_at, "catalog", f"described; tags {record.tags}")
        return
    attempts = f", {record.attempts} failed attempts" if record.attempts else ""
    until = f" until {record.waiting_until}" if record.status == Status.WAITING and record.waiting_until else ""
    why = f": {record.error}" if record.error else ""
    yield Chapter(record.updated_at, "catalog", f"{record.status}{until}{attempts}{why}")


def _of_ledger(operations: Operations, record: ImageRecord | None, head: dict[str, Any] | None) -> Iterator[Chapter]:
    contents = {f"{record.etag}-{record.size}"} if record else set()
    contents |= {f"{head['ETag'].strip(chr(34))}-{head['ContentLength']}"} if head else set()
    for content in sorted(contents):
        with readable_errors():
            kept = get(operations.connection.dynamodb(), operations.outputs.ledger_table_name, {"content": content})
        if not kept:
            continue
        number = int(kept.get("claims", 1))
        claims = f"; {number} claims: it may have been paid for more than once" if number > 1 else ""
        if "body" in kept:
            cost, first = f"${float(kept['cost_usd']):g}", kept.get("image", "")
            yield Chapter(kept["described_at"], "ledger", f"paid {cost} for this content, for {first}{claims}")
        elif "lease_until" in kept:
            until = iso_utc(float(kept["lease_until"]))
            yield Chapter(until, "ledger", f"claimed until then by {kept.get('holder', 'nobody')}{claims}")


def _of_letters(letters: list[DeadLetter]) -> Iterator[Chapter]:
    for each in letters:
        back = f", came back {each.redrives} times" if each.redrives else ""
        yield Chapter(iso_utc(each.sent_at), "dead letters", f"{each.reason}: {each.detail}{back}")


def _tells_of(letter: DeadLetter, image: str) -> bool:
    try:
        return any(event.image == image for event in parse_body(letter.body))
    except MalformedMessageError:
        return False


def _now(operations: Operations, record: ImageRecord | None, *, exists: bool, letters: list[DeadLetter]) -> str:
    """Say how an image stands, and what to do."""
    intake = operations.intake()
    if record is None:
        if not exists:
            return "There is no such object, and no record of one."
        depth = QueueDepth.read(operations.connection, operations.outputs.upload_queue_url)
        queued = (
            queued_sentence(depth, intake) or "No message waits, so its event came to nothing: `imagescribe audit`."
        )
        return f"It has no record. {queued}"
    again = f"`imagescribe retry {shlex.quote(record.image)}` tries it again."
    match record.status:
        case Status.DESCRIBED:
            return "Described."
        case Status.WAITING | Status.DESCRIBING:
            due = record.waiting_until and record.waiting_until > iso_utc(operations.clock())
            until = f"It comes back at {record.waiting_until}. " if due else "It is due. "
            return until + (pause_sentence(intake) or f"Calls go at up to {intake.requests_per_minute:g} a minute.")
        case Status.DEAD:
            by_itself = " The recover function brings it back by itself." if any(map(_heals, letters)) else ""
            return f"Given up: {record.error}.{by_itself} {again}"
        case _:
            return f"Final: {record.status}, {record.error}. {again}"


def _heals(letter: DeadLetter) -> bool:
    return letter.is_retryable(float("inf"))
