"""Pages of the catalog.

A page ends where its cursor says, and the next goes on there whatever changed meanwhile. What comes to stand before
that place meanwhile is not seen; what moves behind it (an image that gets another status, where statuses are asked for)
is seen again. A page may have fewer images than asked for, even none, and a cursor all the same: no request that has a
limit looks through more than `MAX_EXAMINED` keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from heapq import merge
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

from imagescribe.model.record import Status
from imagescribe.model.times import iso_utc
from imagescribe.query import cursors
from imagescribe.query.cursors import Position
from imagescribe.query.errors import QueryError
from imagescribe.query.reader import BATCH_GET_LIMIT
from imagescribe.query.records import ImageRecord

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from imagescribe.query.reader import CatalogReader

MAX_EXAMINED: Final = 5_000
_PAGE: Final = 1_000
_MAX_KEY_BYTES: Final = 1_024

type Found = Iterator[tuple[str, Position]]
"""Images, and the position that each of them is at."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some images, and the cursor of the next page; it is empty where there is none."""

    records: list[ImageRecord]
    after: str

    @property
    def more(self) -> bool:
        """Whether there are more."""
        return bool(self.after)


@dataclass(frozen=True, slots=True)
class Pages:
    """Lists the images of one bucket."""

    client: DynamoDBClient
    table: str
    bucket: str
    catalog: CatalogReader

    def page(
        self,
        *,
        prefix: str = "",
        status: Status | None = None,
        day: date | None = None,
        described_since_ms: int | None = None,
        label: str = "",
        after: str = "",
        limit: int = 0,
    ) -> Page:
        """List images: newest first by status or day, oldest first since a description, else in the order of keys.

        Parameters
        ----------
        prefix
            Of the key.
        day
            Of the upload, in UTC.
        described_since_ms
            Milliseconds since 1970. It goes without a status and a day.
        label
            Only images that have it. No index knows of labels: the records of all others are looked at too.
        limit
            At most so many; 0 for all there are.

        Raises
        ------
        QueryError
            The cursor is of another question.
        """
        if described_since_ms is not None:
            if status or day:
                raise QueryError("Descriptions since a time are listed without a status and a day.", "Leave those out.")
            found = self._by_described(described_since_ms, after)
        elif status is None and day is None:
            found = self._by_key(prefix, after)
        else:
            found = self._by_status([status] if status else list(Status), day, after)
        beginning = f"s3://{self.bucket}/{prefix}"
        if label:
            return self._labelled(found, beginning, label, status, limit)
        images: list[str] = []
        last: Position | None = None
        for number, (image, position) in enumerate(found):
            if limit and (len(images) == limit or number == MAX_EXAMINED):
                break
            last = position
            if image.startswith(beginning):
                images.append(image)
        else:
            last = None  # that was all
        records = [each for each in self.catalog.get_many(images) if status is None or each.status == status]
        return Page(records, cursors.encode(last) if last else "")

    def _labelled(self, found: Found, beginning: str, label: str, status: Status | None, limit: int) -> Page:
        records: list[ImageRecord] = []
        for number, stretch in enumerate(batched(found, BATCH_GET_LIMIT), start=1):
            images = (image for image, _ in stretch if image.startswith(beginning))
            of_image = {record.image: record for record in self.catalog.get_many(images)}
            for image, position in stretch:
                record = of_image.get(image)
                if record and label in record.labels and status in (None, record.status):
                    records.append(record)
                    if len(records) == limit:
                        return Page(records, cursors.encode(position))
            if limit and number * BATCH_GET_LIMIT >= MAX_EXAMINED:
                return Page(records, cursors.encode(stretch[-1][1]))
        return Page(records, "")

    def _by_key(self, prefix: str, after: str) -> Found:
        start: dict[str, Any] = {}
        if after:
            (key,) = map(str, cursors.decode(after, str))
            if not key.startswith(prefix) or not 0 < len(key.encode()) <= _MAX_KEY_BYTES:
                raise cursors.foreign_cursor()
            start = _key(bucket=self.bucket, key=key, image=f"s3://{self.bucket}/{key}")
        condition, values = "#bucket = :bucket", {":bucket": self.bucket}
        if prefix:
            condition, values = condition + " AND begins_with(#key, :prefix)", values | {":prefix": prefix}
        for item in self._query("by-key", condition, values, start):
            yield item["image"]["S"], (item["key"]["S"],)

    def _by_status(self, statuses: list[Status], day: date | None, after: str) -> Found:
        """Yield ranges of one index, merged by time; at the same time they stand in the order of the statuses."""
        # Text compares as time does, and a ~ comes after all that stands in a time.
        first, end = (day.isoformat(), f"{day}~") if day else ("0", "~")
        last_status = ""
        until, until_before = end, end
        start: dict[str, Any] = {}
        if after:
            until, last_status, image = map(str, cursors.decode(after, str, str, str))
            if not (first <= until < end and _is_time(until) and last_status in statuses and self._has(image)):
                raise cursors.foreign_cursor()
            # Of the statuses before the last one, all of that moment was seen; of those behind it, nothing.
            until_before = until[:-1] + "Y~"  # which sorts before every text that a Z ends, and behind all before it
            start = _key(status=last_status, uploaded_at=until, image=image)
        place = statuses.index(Status(last_status)) if after else len(statuses)
        ranges = [
            self._of_status(status, first, until_before if number < place else until, start if number == place else {})
            for number, status in enumerate(statuses)
        ]
        yield from merge(*ranges, key=lambda found: found[1][0], reverse=True)

    def _of_status(self, status: Status, first: str, until: str, start: Mapping[str, Any]) -> Found:
        if until < first:
            return
        condition = "#status = :status AND uploaded_at BETWEEN :first AND :until"
        values = {":status": status, ":first": first, ":until": until}
        for item in self._query("by-status", condition, values, start, newest_first=True):
            yield item["image"]["S"], (item["uploaded_at"]["S"], str(status), item["image"]["S"])

    def _by_described(self, since_ms: int, after: str) -> Found:
        since = iso_utc(since_ms / 1000)
        start: dict[str, Any] = {}
        if after:
            last, image = map(str, cursors.decode(after, str, str))
            if not (_is_time(last) and last >= since and self._has(image)):
                raise cursors.foreign_cursor()
            start = _key(described_day=last[:10], updated_at=last, image=image)
            since = last
        for day in self.catalog.days_since(date.fromisoformat(since[:10])):
            condition = "described_day = :day AND updated_at >= :since"
            for item in self._query("by-described", condition, {":day": day.isoformat(), ":since": since}, start):
                yield item["image"]["S"], (item["updated_at"]["S"], item["image"]["S"])
            start = {}

    def _query(
        self,
        index: str,
        condition: str,
        values: Mapping[str, str],
        start: Mapping[str, Any],
        *,
        newest_first: bool = False,
    ) -> Iterator[Any]:
        reserved = {f"#{name}": name for name in ("bucket", "key", "status") if f"#{name}" in condition}
        optional: dict[str, Any] = {"ExpressionAttributeNames": reserved} if reserved else {}
        if start:
            optional["ExclusiveStartKey"] = start
        pages = self.client.get_paginator("query").paginate(
            TableName=self.table,
            IndexName=index,
            KeyConditionExpression=condition,
            ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
            ScanIndexForward=not newest_first,
            PaginationConfig={"PageSize": _PAGE},
            **optional,
        )
        for page in pages:
            yield from page["Items"]

    def _has(self, image: str) -> bool:
        """Say whether an address is one of the bucket's, as far as that can be seen."""
        return image.startswith(f"s3://{self.bucket}/") and len(image.encode()) <= 2 * _MAX_KEY_BYTES


def _key(**names: str) -> dict[str, Any]:
    return {name: {"S": value} for name, value in names.items()}


def _is_time(text: str) -> bool:
    return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", text, re.ASCII) is not None and _is_day(text[:10])


def _is_day(text: str) -> bool:
    with suppress(ValueError):
        return bool(date.fromisoformat(text))
    return False
