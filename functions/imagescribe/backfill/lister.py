"""The lister: reads the pages of a job, and sends what is not described to the backfill queue.

It is woken every minute and goes on where the job stands. It does not invoke itself: Lambda drops what a function
sends itself more than 16 times (https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html), and a run a
minute that keeps the queue a few minutes deep is as fast as the endpoint. What a run that died had sent already is sent
again with its page, and paid for once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.aws.s3_listing import is_versioned, look
from imagescribe.aws.sqs import depth
from imagescribe.aws.sqs_batches import send_all
from imagescribe.backfill.jobs import Job, Jobs, Phase
from imagescribe.backfill.selection import Recorded, Selection
from imagescribe.backfill.sources import ManifestError, Source, source_of
from imagescribe.errors import ImageScribeError
from imagescribe.model.events import Upload, upload_body
from imagescribe.model.listing import Listed, made_upload
from imagescribe.stores.dynamodb import ConditionFailedError, delete_if
from imagescribe.stores.ledger import content_key

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

SOURCE: Final = "imagescribe.backfill"

MAX_DEPTH: Final = 2_000
"""Messages in the queue from which on no page is read. A page adds 1,000: three minutes of work at the most that the
endpoint's largest plan takes, ten hours at 5 calls a minute, and never near the 14 days that a queue keeps them."""

PAGE_SECONDS: Final = 15.0
"""Kept of a run for its last page."""

_BATCH_GET: Final = 100
_BATCH_GETS: Final = 6


class UnreadRecordsError(ImageScribeError):
    """The catalog's table did not answer for all of a page."""


@dataclass(frozen=True, slots=True)
class Lister:
    """Whom the jobs meet.

    Parameters
    ----------
    key_prefix
        The stack's own: nothing else is sent.
    pool
        For requests side by side.
    """

    jobs: Jobs
    s3: S3Client
    sqs: SQSClient
    dynamodb: DynamoDBClient
    bucket: str
    key_prefix: str
    queue_url: str
    catalog_table: str
    ledger_table: str
    pool: Executor
    clock: Callable[[], float] = time.time

    def run(self, holder: str, ends_at: float) -> dict[str, str]:
        """Go on with all running jobs until the invocation ends (epoch seconds), and say what became of each."""
        waiting = depth(self.sqs, self.queue_url)
        told: dict[str, str] = {}
        for job in self.jobs.all():
            if job.phase is not Phase.RUNNING or not self.jobs.take(job, holder, ends_at):
                continue
            try:
                after = self._work(job, holder, MAX_DEPTH - waiting, ends_at)
            except ManifestError as error:
                self.jobs.release(job, holder, Phase.FAILED, str(error))
                told[job.id] = f"failed: {error}"
                continue
            except (ClientError, BotoCoreError, ImageScribeError) as error:
                # The next run begins with the page that this one did not finish.
                self.jobs.release(job, holder, trouble=str(error))
                told[job.id] = f"trouble: {error}"
                continue
            waiting += after.sent - job.sent
            is_done = after.is_listed and not waiting
            self.jobs.release(after, holder, Phase.DONE if is_done else Phase.RUNNING)
            told[job.id] = "done" if is_done else f"{after.listed} listed, {after.sent} sent"
        return told

    def _work(self, job: Job, holder: str, room: int, ends_at: float) -> Job:
        """Read pages while there is room in the queue and time."""
        if job.is_listed:
            return job
        source = source_of(self.s3, self.bucket, job.prefix, job.manifest)
        needs_look = not source.is_current or is_versioned(self.s3, self.bucket)
        while not job.is_listed and room > 0 and ends_at - self.clock() > PAGE_SECONDS:
            after = self._page(job, source, needs_look=needs_look)
            if not self.jobs.advance(after, holder):
                return job
            room -= after.sent - job.sent
            job = after
        return job

    def _page(self, job: Job, source: Source, *, needs_look: bool) -> Job:
        """Send what a job takes of its next page, and return the job as it is then."""
        page = source.page(job.checkpoint)
        uploads = self._select(job.selection, page.objects, needs_look=needs_look)
        left = job.most - job.sent if job.most else len(uploads)
        uploads = uploads[:left]
        if job.selection.described_before:
            list(self.pool.map(lambda each: self._forget(each, job.selection), uploads))
        batches = batched((upload_body(replace(each, job=job.id), SOURCE) for each in uploads), 100)
        sent = sum(self.pool.map(lambda batch: send_all(self.sqs, self.queue_url, batch), batches))
        is_enough = bool(job.most) and job.sent + sent >= job.most
        return replace(
            job,
            checkpoint=page.checkpoint or job.checkpoint,
            is_listed=page.checkpoint is None or is_enough,
            listed=job.listed + len(page.objects),
            sent=job.sent + sent,
            trouble="",
        )

    def _select(self, selection: Selection, objects: Sequence[Listed], *, needs_look: bool) -> list[Upload]:
        """Return the uploads that a job takes, looked at once more where the source says too little."""
        objects = [each for each in objects if each.key.startswith(self.key_prefix)]
        records = recorded(
            self.dynamodb, self.catalog_table, [f"s3://{self.bucket}/{each.key}" for each in objects], self.pool
        )
        pairs = [(each, records.get(f"s3://{self.bucket}/{each.key}")) for each in objects]
        pairs = [(listed, record) for listed, record in pairs if selection.may_take(listed, record)]
        if needs_look:
            looked = self.pool.map(lambda pair: self._look(pair[0]), pairs)
            found = [(listed, record) for listed, (_, record) in zip(looked, pairs, strict=True)]
            pairs = [(listed, record) for listed, record in found if listed and selection.takes(listed, record)]
        return [made_upload(listed, self.bucket, record.sequencer if record else None) for listed, record in pairs]

    def _look(self, listed: Listed) -> Listed | None:
        """Return an object as it is at this moment, or as it was listed where S3 says no more of it."""
        now = look(self.s3, self.bucket, listed.key)
        return listed if now and not now.etag else now

    def _forget(self, upload: Upload, selection: Selection) -> None:
        """Take an answer out of the ledger that is older than what is asked for; never one that was paid for since."""
        condition = "attribute_exists(body) AND described_at < :before"
        operands = {":before": selection.described_before}
        if selection.not_by:
            condition += " AND (attribute_not_exists(model) OR model <> :model)"
            operands[":model"] = selection.not_by
        with suppress(ConditionFailedError):
            delete_if(
                self.dynamodb,
                self.ledger_table,
                content_key(upload),
                condition,
                operands,
            )


def recorded(client: DynamoDBClient, table: str, images: Sequence[str], pool: Executor) -> dict[str, Recorded]:
    """Return what the catalog says of images; those without a record are left out.

    Raises
    ------
    UnreadRecordsError
        The table is too busy to answer.
    """
    batches = batched(images, _BATCH_GET)
    items = (
        item for found in pool.map(lambda batch: list(_batch_get(client, table, batch)), batches) for item in found
    )
    return {item["image"]: _recorded(item) for item in items}


def _batch_get(client: DynamoDBClient, table: str, images: Iterable[str]) -> Iterator[Mapping[str, str]]:
    names = {f"#{name}": name for name in ("image", "etag", "status", "sequencer", "described_at", "model")}
    keys: list[Any] = [{"image": {"S": image}} for image in images]
    for attempt in range(_BATCH_GETS):
        answer = client.batch_get_item(
            RequestItems={
                table: {
                    "Keys": keys,
                    "ConsistentRead": True,
                    "ProjectionExpression": ", ".join(names),
                    "ExpressionAttributeNames": names,
                }
            }
        )
        for item in answer["Responses"].get(table, []):
            yield {name: value.get("S", "") for name, value in item.items()}
        unprocessed: dict[str, Any] = dict(answer.get("UnprocessedKeys", {}))
        keys = unprocessed.get(table, {}).get("Keys", [])
        if not keys:
            return
        time.sleep(0.05 * 2**attempt)
    raise UnreadRecordsError("the catalog's table is too busy to answer")


def _recorded(item: Mapping[str, str]) -> Recorded:
    return Recorded(
        item["etag"], item["status"], item["sequencer"], item.get("described_at", ""), item.get("model", "")
    )
