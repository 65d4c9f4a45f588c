"""The catalog as people read it: the query function's own reading (`imagescribe.query`), with readable errors.

It goes straight to the table, so that `get` and `list` work whatever else of the stack does not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from itertools import batched
from typing import TYPE_CHECKING, Any

from imagescribe.model.events import Upload
from imagescribe.model.record import Record, Status
from imagescribe.query.pages import Page, Pages
from imagescribe.query.reader import BATCH_GET_LIMIT, CatalogReader, StatusCounts
from imagescribe.query.records import ImageRecord
from imagescribe.stores.dynamodb import get_all
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors

__all__ = ["UNFINISHED", "CatalogView", "ImageRecord", "Page", "StatusCounts", "upload_of"]

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

WALK_SIDE_BY_SIDE = 4  # the index tells of keys faster than one request after the other fetches their records
UNFINISHED = frozenset({Status.DESCRIBING, Status.WAITING})
"""With any other status, nothing more happens to the image by itself."""


class CatalogView:
    """Reads one stack's catalog table."""

    def __init__(self, connection: Connection, table: str) -> None:
        self._client: DynamoDBClient = connection.dynamodb()
        self._table = table
        self._reader = CatalogReader(self._client, table)

    def get(self, image: str) -> ImageRecord | None:
        """Return the record of ``s3://bucket/key``, as it is now; None where there is none."""
        with readable_errors():
            return self._reader.get(image)

    def find(
        self,
        *,
        bucket: str,
        prefix: str = "",
        status: Status | None = None,
        day: date | None = None,
        label: str = "",
        limit: int = 0,
        after: str = "",
    ) -> Page:
        """List images: in the order of keys, or newest first where a status or a day is asked for; see `Pages.page`."""
        pages = Pages(self._client, self._table, bucket, self._reader)
        records: list[ImageRecord] = []
        with readable_errors():
            while True:
                left = limit and limit - len(records)
                page = pages.page(prefix=prefix, status=status, day=day, label=label, after=after, limit=left)
                records += page.records
                if not label or not page.more or len(records) == limit:
                    return Page(records, page.after)
                after = page.after  # it looked through as many as one request does, and there are more

    def walk(self, bucket: str, prefix: str = "", after: str = "") -> Iterator[ImageRecord]:
        """Yield all records under a prefix in the order of their keys, holding only some hundreds of them at a time.

        A record that was changed in the last moment may be yielded as it was before.

        Parameters
        ----------
        after
            A key under the prefix, of an image that need not be there any more: only what comes after it.
        """
        return self._walk(self._by_key(bucket, prefix, after), self.get_many)

    def walk_items(self, bucket: str, prefix: str = "") -> Iterator[dict[str, Any]]:
        """Yield the same as they are at this moment, with all that the table has of them."""
        return self._walk(self._by_key(bucket, prefix), self.items)

    def items(self, images: Iterable[str]) -> list[dict[str, Any]]:
        """Return the records of a hundred images at most as they are at this moment, with all that the table has."""
        with readable_errors():
            return get_all(self._client, {self._table: [{"image": image} for image in images]})[self._table]

    @staticmethod
    def _walk[T](images: Iterable[str], read: Callable[[tuple[str, ...]], list[T]]) -> Iterator[T]:
        with ThreadPoolExecutor(WALK_SIDE_BY_SIDE) as pool:
            ahead: deque[Future[list[T]]] = deque()
            for batch in batched(images, BATCH_GET_LIMIT):
                ahead.append(pool.submit(read, batch))
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
        with readable_errors():
            return self._reader.get_many(images, consistent=consistent)

    def _by_key(self, bucket: str, prefix: str, after: str = "") -> Iterator[str]:
        condition, values, names = "#b = :b", {":b": {"S": bucket}}, {"#b": "bucket"}
        if prefix:
            condition += " AND begins_with(#k, :k)"
            values[":k"] = {"S": prefix}
            names["#k"] = "key"
        start: dict[str, Any] = {}
        if after:
            place = {"bucket": bucket, "key": after, "image": f"s3://{bucket}/{after}"}
            start["ExclusiveStartKey"] = {name: {"S": value} for name, value in place.items()}
        pages = self._client.get_paginator("query").paginate(
            TableName=self._table,
            IndexName="by-key",
            KeyConditionExpression=condition,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
            **start,
        )
        for page in pages:
            for item in page["Items"]:
                yield item["image"]["S"]

    def count(self) -> StatusCounts:
        """Count the images of each status; see `CatalogReader.count`."""
        with readable_errors():
            return self._reader.count()

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


def upload_of(item: Mapping[str, Any]) -> Upload:
    """Return the upload that a record is of."""
    record = Record.of_item(item)
    return Upload(
        bucket=item["bucket"],
        key=item["key"],
        version_id=record.version_id,
        etag=record.etag,
        size=int(item["size"]),
        sequencer=record.sequencer,
        uploaded_at=item["uploaded_at"],
    )
