"""The audit: bucket and catalog side by side in the order of their keys.

Both are streams, so that it takes the same memory for any bucket. What looks wrong there is looked at once more, as it
is at that moment: a listing and an index are some seconds old when they are read. A repair sends the event that was
lost, on the queue's way: a record is opened for it, or taken out and announced as removed, only while that is of no
later one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import batched
from random import Random
from typing import Final

from imagescribe.aws.sqs_batches import NotSentError, send_all
from imagescribe.model.events import Deletion, deletion_body, upload_body
from imagescribe.model.listing import Listed, made_upload, sequencer_after
from imagescribe.model.record import Status
from imagescribe.model.tags import TagState
from imagescribe.model.times import iso_utc
from imagescribe_ops.audit.bucket import BucketView
from imagescribe_ops.audit.merge import merge_join
from imagescribe_ops.audit.report import AuditReport
from imagescribe_ops.audit.tags import TagAudit
from imagescribe_ops.audit.verdicts import MENDED, Verdict, judge
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.catalog_view import CatalogView, ImageRecord
from imagescribe_ops.display import safe
from imagescribe_ops.errors import OperationError
from imagescribe_ops.operations import Operations

UNDERWAY_SECONDS: Final = 900.0
"""S3's events come in seconds, sometimes in minutes. With an empty queue, what is older has no message any more."""

BACKLOG_SECONDS: Final = 86_400.0
"""While messages wait, theirs may be among them."""

PAUSE_SECONDS: Final = 14 * 86_400.0  # while intake is paused, they wait for as long as the queue keeps them

SOURCE: Final = "imagescribe.audit"
JOB: Final = "audit"
"""What it sends waits behind uploads, as a backfill's do."""

LOOKED_AT_TOGETHER: Final = 100
SIDE_BY_SIDE: Final = 8
TAGS_SAMPLED: Final = 1_000
REPORT_EACH: Final = 1_000

type Pair = tuple[Listed | None, ImageRecord | None]


class TagCheck(StrEnum):
    """Whose tags are looked at, a request for each."""

    NONE = "none"
    SAMPLE = "sample"
    ALL = "all"


@dataclass(frozen=True)
class Audit:
    """An audit of one stack.

    Parameters
    ----------
    progress
        Called now and then with the number of objects and records walked so far.
    """

    operations: Operations
    repairs: bool = False
    tag_check: TagCheck = TagCheck.NONE
    progress: Callable[[int, int], None] = lambda _objects, _records: None
    random: Random = field(default_factory=Random)

    def run(self, prefix: str = "", limit: int = 0) -> AuditReport:
        """Walk all that the stack describes under a prefix.

        Parameters
        ----------
        limit
            How many findings of each kind are kept; 0 keeps all.

        Raises
        ------
        OperationError
            The stack describes nothing under the prefix, or an AWS service can't be read.
        """
        prefix = described_prefix(self.operations.parameters.get("KeyPrefix", ""), prefix)
        with readable_errors(), ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            try:
                return _Walk(self, pool, prefix, limit).run()
            except NotSentError as error:
                raise OperationError(
                    f"{error}.", "Run it again: an event that is sent twice is paid for once."
                ) from error


def described_prefix(key_prefix: str, prefix: str) -> str:
    """Return the part of a prefix that a stack describes.

    Parameters
    ----------
    key_prefix
        The stack's own.

    Raises
    ------
    OperationError
        It describes nothing of it.
    """
    if prefix.startswith(key_prefix):
        return prefix
    if key_prefix.startswith(prefix):
        return key_prefix
    raise OperationError(
        f"The stack describes nothing under {safe(prefix)!r}.",
        f"It describes keys that begin with {key_prefix!r} (its parameter KeyPrefix).",
    )


class _Walk:
    """One run of an audit."""

    def __init__(self, audit: Audit, pool: ThreadPoolExecutor, prefix: str, limit: int) -> None:
        self._audit = audit
        self._pool = pool
        self._clock = audit.operations.clock
        operations, outputs = audit.operations, audit.operations.outputs
        self._bucket_name = outputs.bucket_name
        self._bucket = BucketView(operations.connection.s3(), outputs.bucket_name)
        self._records = CatalogView(operations.connection, outputs.catalog_table_name)
        self._sqs = operations.connection.sqs()
        self._queue_url = outputs.backfill_queue_url or outputs.upload_queue_url  # uploads of today go first
        self._tags = TagAudit(operations, self._bucket, repairs=audit.repairs)
        self._report = AuditReport(prefix, limit)
        self._suspects: list[Pair] = []
        self._to_tag_check: list[ImageRecord] = []
        self._described = 0
        self._in_queue_since = self._since = self._created_at = ""

    def run(self) -> AuditReport:
        report = self._report
        outputs, connection = self._audit.operations.outputs, self._audit.operations.connection
        queues = {outputs.upload_queue_url, self._queue_url}
        report.messages = sum(QueueDepth.read(connection, url).total for url in queues)
        report.paused = self._audit.operations.intake().paused_by
        patience = UNDERWAY_SECONDS
        if report.messages:
            patience = PAUSE_SECONDS if report.paused else BACKLOG_SECONDS
        # What was there before the stack can only have come in with a backfill.
        self._created_at = "" if report.messages else self._audit.operations.created_at
        began = self._clock()
        self._since, self._in_queue_since = iso_utc(began - patience), iso_utc(began - UNDERWAY_SECONDS)
        listing, records = self._bucket.walk(report.prefix), self._records.walk(self._bucket_name, report.prefix)
        for number, (listed, record) in enumerate(merge_join(listing, records), start=1):
            self._meet(listed, record)
            if number % REPORT_EACH == 0:
                self._audit.progress(report.objects, report.records)
        self._look_again()
        self._check_tags()
        return report

    def _meet(self, listed: Listed | None, record: ImageRecord | None) -> None:
        """Take the next of both streams."""
        self._report.objects += listed is not None
        self._report.count(record)
        verdict = judge(listed, record, self._since, self._created_at)
        if verdict in MENDED:
            self._suspects.append((listed, record))
            if len(self._suspects) == LOOKED_AT_TOGETHER:
                self._look_again()
            return
        self._conclude(verdict, listed, record)
        if verdict is Verdict.WELL and record is not None:
            self._choose_for_tag_check(record)

    def _look_again(self) -> None:
        """Judge what looked wrong as it is at this moment, and mend it if that is asked for."""
        suspects, self._suspects = self._suspects, []
        images = [self._image(pair) for pair in suspects]
        # The record first: if the object is still the one that was listed after that, it is the record that is wrong.
        fresh = {record.image: record for record in self._records.get_many(images, consistent=True)}
        pairs = [(listed, fresh.get(image)) for (listed, _), image in zip(suspects, images, strict=True)]
        bodies: list[str] = []
        for listed, (_, record) in zip(self._pool.map(self._look, suspects, pairs), pairs, strict=True):
            verdict = judge(listed, record, self._since, self._created_at)
            self._conclude(verdict, listed, record)
            if self._audit.repairs:
                bodies += self._mend(verdict, listed, record)
        self._report.sent += send_all(self._sqs, self._queue_url, bodies)

    def _look(self, suspect: Pair, now: Pair) -> Listed | None:
        """Return a suspect's object as it is at this moment."""
        listed, record = now
        if record is None and listed is not None and not self._audit.repairs:
            return listed  # there may be millions of these, and each look is a request
        return self._bucket.look(_key(suspect))

    def _conclude(self, verdict: Verdict, listed: Listed | None, record: ImageRecord | None) -> None:
        if verdict is Verdict.UNDERWAY and _touched_at(listed, record) <= self._in_queue_since:
            self._report.awaited += 1
        self._report.find(verdict, self._image((listed, record)), _detail(verdict, listed, record))

    def _mend(self, verdict: Verdict, listed: Listed | None, record: ImageRecord | None) -> Sequence[str]:
        """Return the event that sends an object on its way, or tells that it is gone."""
        match verdict, listed, record:
            case Verdict.MISSING | Verdict.STALE, Listed(), _:
                upload = made_upload(listed, self._bucket_name, record.sequencer if record else None)
                return [upload_body(replace(upload, job=JOB), SOURCE)]
            case Verdict.STUCK, Listed(), ImageRecord():  # the record's own event, once more
                upload = made_upload(listed, self._bucket_name, None)
                upload = replace(upload, sequencer=record.sequencer, uploaded_at=record.uploaded_at)
                return [upload_body(replace(upload, job=JOB), SOURCE)]
            case Verdict.ORPHAN, None, ImageRecord():
                sequencer, now = sequencer_after(record.sequencer), iso_utc(self._clock())
                return [deletion_body(Deletion(self._bucket_name, record.key, sequencer, now), SOURCE)]
        return []

    def _choose_for_tag_check(self, record: ImageRecord) -> None:
        """Look at an image's tags with others', or keep it for the sample, in which each has the same chance."""
        if record.status != Status.DESCRIBED or record.tags != TagState.WRITTEN:
            return
        self._described += 1
        match self._audit.tag_check:
            case TagCheck.ALL:
                self._to_tag_check.append(record)
                if len(self._to_tag_check) == LOOKED_AT_TOGETHER:
                    self._check_tags()
            case TagCheck.SAMPLE if len(self._to_tag_check) < TAGS_SAMPLED:
                self._to_tag_check.append(record)
            case TagCheck.SAMPLE:
                place = self._audit.random.randrange(self._described)
                if place < TAGS_SAMPLED:
                    self._to_tag_check[place] = record

    def _check_tags(self) -> None:
        records, self._to_tag_check = self._to_tag_check, []
        for batch in batched(records, LOOKED_AT_TOGETHER):
            now = self._records.items(record.image for record in batch)
            items = [item for item in now if item["status"] == Status.DESCRIBED]
            for item, (detail, is_mended) in zip(items, self._pool.map(self._tags.check, items), strict=True):
                self._report.tags_checked += 1
                self._report.tags_mended += is_mended
                if detail:
                    self._report.find(Verdict.TAGS, item["image"], detail)

    def _image(self, pair: Pair) -> str:
        return f"s3://{self._bucket_name}/{_key(pair)}"


def _key(pair: Pair) -> str:
    listed, record = pair
    return listed.key if listed else record.key if record else ""


def _touched_at(listed: Listed | None, record: ImageRecord | None) -> str:
    """Return when something last happened to an image that is underway."""
    times = [listed.modified_at if listed else ""]
    if record:
        times += [record.updated_at, record.waiting_until]
    return max(times)


def _detail(verdict: Verdict, listed: Listed | None, record: ImageRecord | None) -> str:
    match verdict, listed, record:
        case Verdict.MISSING, Listed(), _:
            return f"uploaded {listed.modified_at}, {listed.size:,} bytes"
        case Verdict.STALE, Listed(), ImageRecord():
            return f"uploaded {listed.modified_at}, the record is of {record.uploaded_at}"
        case Verdict.ORPHAN, _, ImageRecord():
            return f"{record.status}, uploaded {record.uploaded_at}"
        case Verdict.STUCK | Verdict.DEAD, _, ImageRecord():
            return f"{record.status} since {record.updated_at}: {record.error}".removesuffix(": ")
    return ""
