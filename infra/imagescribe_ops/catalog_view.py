"""The catalog as people read it. Every question has an index; nothing scans the table.

| question | how it is answered |
|---|---|
| one image | GetItem on the table |
| by prefix | index `by-key`: the bucket's keys in order |
| by status, by day | index `by-status`: a status in the order of upload, newest first; a day is a range of it |

The indexes hold keys only, so the records themselves are fetched by BatchGetItem, a hundred at a time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from heapq import merge
from itertools import batched, islice
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Self

from imagescribe.model.events import Upload
from imagescribe.stores.catalog import Status
from imagescribe_ops.errors import OperationError
from imagescribe_ops.stack import Connection, readable_errors

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BATCH_GET_LIMIT = 100
"""Items in one BatchGetItem: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html"""

BATCH_GET_TRIES = 8
WALK_SIDE_BY_SIDE = 4  # the index tells of keys faster than one request after the other fetches their records
COUNT_PAGES = 20
"""Pages of 1 MB (about 5,000 keys each) that are read for one count; further on it says "at least"."""


UNFINISHED = frozenset({Status.DESCRIBING, Status.WAITING})
"""With any other status, nothing more happens to the image by itself."""


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image's record; times are ISO 8601 in UTC, and what the record lacks is empty or zero."""

    image: str
    bucket: str
    key: str
    status: str
    prompt: str
    tags: str
    attempts: int
    error: str
    etag: str
    version_id: str
    size: int
    sequencer: str
    uploaded_at: str
    described_at: str
    updated_at: str
    waiting_until: str

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> Self:
        """Read a DynamoDB item in the client's form (``{"status": {"S": "described"}, …}``)."""

        def text(name: str) -> str:
            return str(item.get(name, {}).get("S", ""))

        def number(name: str) -> int:
            return int(item.get(name, {}).get("N", 0))

        return cls(
            image=text("image"),
            bucket=text("bucket"),
            key=text("key"),
            status=text("status"),
            prompt=text("prompt"),
            tags=text("tags"),
            attempts=number("attempts"),
            error=text("error"),
            etag=text("etag"),
            version_id=text("version_id"),
            size=number("size"),
            sequencer=text("sequencer"),
            uploaded_at=text("uploaded_at"),
            described_at=text("described_at"),
            updated_at=text("updated_at"),
            waiting_until=text("waiting_until"),
        )

    def upload(self) -> Upload:
        """Return the upload that the record is of."""
        return Upload(
            self.bucket, self.key, self.version_id or None, self.etag, self.size, self.sequencer, self.uploaded_at
        )


@dataclass(frozen=True, slots=True)
class Page:
    """The records that were asked for, and whether there are more behind the limit."""

    records: list[ImageRecord]
    more: bool


@dataclass(frozen=True, slots=True)
class StatusCounts:
    """How many images have each status; ``complete`` is False where counting was cut short (then: at least)."""

    counts: dict[Status, int]
    complete: bool


class CatalogView:
    """Reads one stack's catalog table."""

    def __init__(self, connection: Connection, table: str) -> None:
        self._client: DynamoDBClient = connection.dynamodb()
        self._table = table

    def get(self, image: str) -> ImageRecord | None:
        """Return the record of ``s3://bucket/key``, as it is now; None where there is none."""
        with readable_errors():
            answer = self._client.get_item(TableName=self._table, Key={"image": {"S": image}}, ConsistentRead=True)
        return ImageRecord.of_item(answer["Item"]) if "Item" in answer else None

    def find(
        self,
        *,
        bucket: str,
        prefix: str = "",
        status: Status | None = None,
        day: date | None = None,
        limit: int = 0,
    ) -> Page:
        """List images: in the order of keys, or newest first where a status or a day is asked for.

        Parameters
        ----------
        prefix
            Of the key.
        day
            Of the upload, in UTC.
        limit
            At most so many records; 0 for all.
        """
        if status is None and day is None:
            keys = self._by_key(bucket, prefix)
        else:
            # A day's images of every status: six ranges of the same index, merged by time.
            statuses = [status] if status else list(Status)
            ranges = (self._by_status(one, day) for one in statuses)
            newest_first = merge(*ranges, key=lambda pair: pair[1], reverse=True)
            keys = (image for image, _ in newest_first if image.startswith(f"s3://{bucket}/{prefix}"))
        with readable_errors():
            # One more than asked for tells whether there are more.
            wanted = list(islice(keys, limit + 1)) if limit else list(keys)
            records = self.get_many(wanted[:limit] if limit else wanted)
        if status:
            # The index lags behind the table by a moment.
            records = [record for record in records if record.status == status]
        return Page(records=records, more=bool(limit) and len(wanted) > limit)

    def walk(self, bucket: str, prefix: str = "") -> Iterator[ImageRecord]:
        """Yield all records under a prefix in the order of their keys, holding only some hundreds of them at a time.

        A record that was changed in the last moment may be yielded as it was before.
        """
        with ThreadPoolExecutor(WALK_SIDE_BY_SIDE) as pool:
            ahead: deque[Future[list[ImageRecord]]] = deque()
            for batch in batched(self._by_key(bucket, prefix), BATCH_GET_LIMIT):
                ahead.append(pool.submit(self.get_many, batch))
                if len(ahead) > WALK_SIDE_BY_SIDE:
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()

    def get_many(self, images: Iterable[str], *, consistent: bool = False) -> list[ImageRecord]:
        """Return the records of images, in the same order, leaving out those that have none.

        Parameters
        ----------
        consistent
            Whether they are read as they are at this moment, which costs twice as much.
        """
        found: dict[str, ImageRecord] = {}
        wanted = list(images)
        with readable_errors():
            for batch in batched(dict.fromkeys(wanted), BATCH_GET_LIMIT):
                found.update((record.image, record) for record in self._get_batch(batch, consistent=consistent))
        return [found[image] for image in wanted if image in found]

    def _get_batch(self, images: tuple[str, ...], *, consistent: bool) -> Iterator[ImageRecord]:
        keys: list[Any] = [{"image": {"S": image}} for image in images]
        for attempt in range(BATCH_GET_TRIES):
            answer = self._client.batch_get_item(
                RequestItems={self._table: {"Keys": keys, "ConsistentRead": consistent}}
            )
            for item in answer.get("Responses", {}).get(self._table, []):
                yield ImageRecord.of_item(item)
            unprocessed: dict[str, Any] = dict(answer.get("UnprocessedKeys", {}))
            keys = unprocessed.get(self._table, {}).get("Keys", [])
            if not keys:
                return
            # Full jitter, as DynamoDB asks for with what it did not get to.
            time.sleep(SystemRandom().uniform(0, min(2.0, 0.05 * 2**attempt)))
        raise OperationError("DynamoDB is too busy to answer.", "Try again in a minute, or ask for fewer with --limit.")

    def _by_key(self, bucket: str, prefix: str) -> Iterator[str]:
        condition, values, names = "#b = :b", {":b": {"S": bucket}}, {"#b": "bucket"}
        if prefix:
            condition += " AND begins_with(#k, :k)"
            values[":k"] = {"S": prefix}
            names["#k"] = "key"
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName="by-key",
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
        )
        for page in pages:
            for item in page["Items"]:
                yield item["image"]["S"]

    def _by_status(self, status: Status, day: date | None) -> Iterator[tuple[str, str]]:
        condition, values = "#s = :s", {":s": {"S": str(status)}}
        names = {"#s": "status"}
        if day is not None:
            # Text compares as time does; every time of the next day is greater than that day's bare date.
            condition += " AND uploaded_at BETWEEN :from AND :to"
            values[":from"] = {"S": day.isoformat()}
            values[":to"] = {"S": (day + timedelta(days=1)).isoformat()}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName="by-status",
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            ScanIndexForward=False,
        )
        for page in pages:
            for item in page["Items"]:
                yield item["image"]["S"], item["uploaded_at"]["S"]

    def count(self) -> StatusCounts:
        """Count the images of each status, by the index and no further than `COUNT_PAGES` pages each."""
        counts: dict[Status, int] = {}
        complete = True
        with readable_errors():
            for status in Status:
                pages = self._client.get_paginator("query").paginate(
                    TableName=self._table,
                    IndexName="by-status",
                    KeyConditionExpression="#s = :s",
                    ExpressionAttributeNames={"#s": "status"},
                    ExpressionAttributeValues={":s": {"S": str(status)}},
                    Select="COUNT",
                )
                counts[status] = 0
                for number, page in enumerate(pages, start=1):
                    counts[status] += page["Count"]
                    if number == COUNT_PAGES and "LastEvaluatedKey" in page:
                        complete = False
                        break
        return StatusCounts(counts=counts, complete=complete)

    def oldest_unfinished(self) -> str:
        """Return when the image was uploaded that waits, or is being described, for longest; empty if none does."""
        oldest = []
        with readable_errors():
            for status in UNFINISHED:
                items = self._client.query(
                    TableName=self._table,
                    IndexName="by-status",
                    KeyConditionExpression="#s = :s",
                    ExpressionAttributeNames={"#s": "status"},
                    ExpressionAttributeValues={":s": {"S": str(status)}},
                    Limit=1,
                )["Items"]
                oldest += [item["uploaded_at"]["S"] for item in items]
        return min(oldest, default="")
