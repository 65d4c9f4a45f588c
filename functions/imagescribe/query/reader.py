"""The catalog, read by whoever asks for images. Every question has an index; only the snapshot scans the table.

| question | how it is answered |
|---|---|
| one image | GetItem on the table |
| by prefix | index `by-key`: the bucket's keys in order |
| by status, by day | index `by-status`: a status in the order of upload, newest first; a day is a range of it |
| described since | index `by-described`: a day in the order of time, oldest first |

The indexes hold keys only, so the records themselves are fetched by BatchGetItem, a hundred at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import batched
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final

from imagescribe.model.record import Status
from imagescribe.model.times import iso_utc, milliseconds
from imagescribe.query.errors import BusyError
from imagescribe.query.records import Entry, ImageRecord

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

BATCH_GET_LIMIT: Final = 100
"""Items in one BatchGetItem: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html"""

FIRST_DAY: Final = date(2026, 11, 1)
"""Nothing was described before there was ImageScribe, and a question since then is a request for each day."""

COUNT_PAGES: Final = 20
"""Pages of 1 MB (about 5,000 keys each) that are read for one count; further on it says "at least"."""

_BATCH_GETS: Final = 8
_SIDE_BY_SIDE: Final = 8


@dataclass(frozen=True, slots=True)
class StatusCounts:
    """How many images have each status; ``complete`` is False where counting was cut short (then: at least)."""

    counts: dict[Status, int]
    complete: bool


class CatalogReader:
    """Reads one stack's catalog table."""

    def __init__(self, client: DynamoDBClient, table: str, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._table = table
        self._clock = clock

    def get(self, image: str) -> ImageRecord | None:
        """Return the record of ``s3://bucket/key``, as it is now; None where there is none."""
        answer = self._client.get_item(TableName=self._table, Key={"image": {"S": image}}, ConsistentRead=True)
        return ImageRecord.of_item(answer["Item"]) if "Item" in answer else None

    def get_many(self, images: Iterable[str], *, consistent: bool = False) -> list[ImageRecord]:
        """Return the records of images, in the same order, leaving out those that have none.

        Parameters
        ----------
        consistent
            Whether they are read as they are at this moment, which costs twice as much.
        """
        wanted = list(images)
        batches = list(batched(dict.fromkeys(wanted), BATCH_GET_LIMIT))
        found: dict[str, ImageRecord] = {}
        if len(batches) == 1:
            found.update(self._get_batch(batches[0], consistent=consistent))
        elif batches:
            with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
                for records in pool.map(lambda batch: self._get_batch(batch, consistent=consistent), batches):
                    found.update(records)
        return [found[image] for image in wanted if image in found]

    def described_since(self, since_ms: int) -> Iterator[Entry]:
        """Yield the images that were described since a time and are so now, the oldest first."""
        for day in self.days_since(datetime.fromtimestamp(since_ms / 1000, UTC).date()):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                IndexName="by-described",
                KeyConditionExpression="described_day = :day AND updated_at >= :since",
                ExpressionAttributeValues={":day": {"S": day.isoformat()}, ":since": {"S": iso_utc(since_ms / 1000)}},
            )
            for page in pages:
                for item in page["Items"]:
                    yield Entry(milliseconds(item["updated_at"]["S"]), item["image"]["S"])

    def days_since(self, day: date) -> Iterator[date]:
        """Yield the days from one on to tomorrow, since another clock may be ahead of ours."""
        day, tomorrow = max(day, FIRST_DAY), datetime.fromtimestamp(self._clock(), UTC).date() + timedelta(days=1)
        while day <= tomorrow:
            yield day
            day += timedelta(days=1)

    def count(self) -> StatusCounts:
        """Count the images of each status, by the index and no further than `COUNT_PAGES` pages each."""
        with ThreadPoolExecutor(len(Status)) as pool:
            counted = dict(zip(Status, pool.map(self._count, Status), strict=True))
        return StatusCounts(
            counts={status: count for status, (count, _) in counted.items()},
            complete=all(complete for _, complete in counted.values()),
        )

    def _count(self, status: Status) -> tuple[int, bool]:
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName="by-status",
            KeyConditionExpression="#status = :status",
            ExpressionAttributeNames={"#status": "status"},
            ExpressionAttributeValues={":status": {"S": str(status)}},
            Select="COUNT",
        )
        count = 0
        for number, page in enumerate(pages, start=1):
            count += page["Count"]
            if number == COUNT_PAGES and "LastEvaluatedKey" in page:
                return count, False
        return count, True

    def _get_batch(self, images: Iterable[str], *, consistent: bool) -> dict[str, ImageRecord]:
        keys: list[Any] = [{"image": {"S": image}} for image in images]
        found: dict[str, ImageRecord] = {}
        for attempt in range(_BATCH_GETS):
            answer = self._client.batch_get_item(
                RequestItems={self._table: {"Keys": keys, "ConsistentRead": consistent}}
            )
            for item in answer.get("Responses", {}).get(self._table, []):
                record = ImageRecord.of_item(item)
                found[record.image] = record
            unprocessed: dict[str, Any] = dict(answer.get("UnprocessedKeys", {}))
            keys = unprocessed.get(self._table, {}).get("Keys", [])
            if not keys:
                return found
            # Full jitter, as DynamoDB asks for with what it did not get to.
            time.sleep(SystemRandom().uniform(0, min(2.0, 0.05 * 2**attempt)))
        raise BusyError("DynamoDB is too busy to answer.", "Try again in a minute, or ask for fewer.")
