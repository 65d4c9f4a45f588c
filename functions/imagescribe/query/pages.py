"""Pages of the catalog. A page ends where its cursor says, so that the next goes on there whatever changed meanwhile.

What comes to stand before that place meanwhile is not seen; what moves behind it (an image that gets another status,
where statuses are asked for) is seen again. A page may have fewer images than asked for, even none, and a cursor all the
same: no request looks through more than `MAX_EXAMINED` keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from heapq import merge
from typing import TYPE_CHECKING, Any, Final

from imagescribe.model.times import iso_utc
from imagescribe.query import cursors
from imagescribe.query.cursors import Position
from imagescribe.query.errors import QueryError
from imagescribe.query.records import ImageRecord
from imagescribe.stores.catalog import Status

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

    def _by_key(self, prefix: str, after: str) -> Found:
        start: dict[str, Any] = {}
        if after:
            (key,) = cursors.decode(after, str)
            if not str(key).startswith(prefix) or not 0 < len(str(key).encode()) <= _MAX_KEY_BYTES:
                raise _of_another_question()
            start = _key(bucket=self.bucket, key=str(key), image=f"s3://{self.bucket}/{key}")
        condition, values = "#bucket = :bucket", {":bucket": self.bucket}
        if prefix:
            condition, values = condition + " AND begins_with(#key, :prefix)", values | {":prefix": prefix}
        for item in self._query("by-key", condition, values, start):
            yield item["image"]["S"], (item["key"]["S"],)

    def _by_status(self, statuses: list[Status], day: date | None, after: str) -> Found:
        """Yield ranges of one index, merged by time; at the same time they stand in the order of the statuses."""
        # Text compares as time does; every time of the next day is greater than that day's bare date.
        first, end = (day.isoformat(), (day + timedelta(days=1)).isoformat()) if day else ("", "~")
        uploaded_at, last_status, image = cursors.decode(after, str, str, str) if after else (end, "", "")
        if after and not (first <= str(uploaded_at) < end and last_status in statuses and _is_address(str(image))):
            raise _of_another_question()
        is_before = True  # of the statuses before the last one, all of that time was seen; of those behind it, none
        ranges = []
        for status in statuses:
            start: dict[str, Any] = {}
            is_last = status == last_status
            if is_last:
                start = _key(status=status, uploaded_at=str(uploaded_at), image=str(image))
            until = str(uploaded_at) if not (after and is_before and not is_last) else _just_before(str(uploaded_at))
            ranges.append(self._of_status(status, first, until, start))
            is_before = is_before and not is_last
        newest_first = merge(*ranges, key=lambda found: found[1][0], reverse=True)
        yield from newest_first

    def _of_status(self, status: Status, first: str, until: str, start: Mapping[str, Any]) -> Found:
        condition = "#status = :status AND uploaded_at BETWEEN :first AND :until"
        values = {":status": status, ":first": first or "0", ":until": until}
        for item in self._query("by-status", condition, values, start, newest_first=True):
            yield item["image"]["S"], (item["uploaded_at"]["S"], str(status), item["image"]["S"])

    def _by_described(self, since_ms: int, after: str) -> Found:
        since = iso_utc(since_ms / 1000)
        start: dict[str, Any] = {}
        if after:
            updated_at, image = map(str, cursors.decode(after, str, str))
            try:
                date.fromisoformat(updated_at[:10])
            except ValueError:
                raise _of_another_question() from None
            if updated_at < since or len(updated_at) != len(since) or not _is_address(image):
                raise _of_another_question()
            start = _key(described_day=updated_at[:10], updated_at=updated_at, image=image)
            since_day = updated_at[:10]
        else:
            since_day = since[:10]
        for day in self.catalog.days_since(date.fromisoformat(since_day)):
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
        while True:
            answer = self.client.query(
                TableName=self.table,
                IndexName=index,
                KeyConditionExpression=condition,
                ExpressionAttributeValues={name: {"S": value} for name, value in values.items()},
                ScanIndexForward=not newest_first,
                Limit=_PAGE,
                **optional,
                **({"ExclusiveStartKey": start} if start else {}),
            )
            yield from answer["Items"]
            start = answer.get("LastEvaluatedKey", {})
            if not start:
                return


def _key(**names: str) -> dict[str, Any]:
    return {name: {"S": value} for name, value in names.items()}


def _is_address(image: str) -> bool:
    return image.startswith("s3://") and len(image.encode()) <= 2 * _MAX_KEY_BYTES


def _just_before(text: str) -> str:
    """Return a text that sorts before another one and after every time that does."""
    return text[:-1] + chr(ord(text[-1]) - 1) + "~"


def _of_another_question() -> QueryError:
    return QueryError("The cursor is of another question.", "Ask with it what was asked for the page before.")
