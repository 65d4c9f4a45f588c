"""Every prompt of the catalog, by a parallel scan: what the snapshot is made of."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from imagescribe.model.times import milliseconds
from imagescribe.query.index_file import Document
from imagescribe.stores.catalog import Status

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SEGMENTS = 8


def described(client: DynamoDBClient, table: str, segments: int = SEGMENTS) -> Iterator[Document]:
    """Yield all prompts that stand in the catalog, in no order; one page of each segment is held at a time."""
    with ThreadPoolExecutor(segments) as pool:
        pages = {pool.submit(_page, client, table, segment, segments, {}): segment for segment in range(segments)}
        while pages:
            done, _ = wait(pages, return_when=FIRST_COMPLETED)
            for future in done:
                yield from _read(pool, client, table, segments, pages, future)


def _read(
    pool: ThreadPoolExecutor,
    client: DynamoDBClient,
    table: str,
    segments: int,
    pages: dict[Future[Any], int],
    future: Future[Any],
) -> Iterator[Document]:
    segment, page = pages.pop(future), future.result()
    if "LastEvaluatedKey" in page:
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        pages[pool.submit(_page, client, table, segment, segments, start)] = segment
    for item in page["Items"]:
        if "S" in item.get("prompt", {}):
            yield Document(milliseconds(item["updated_at"]["S"]), item["image"]["S"], item["prompt"]["S"])


def _page(client: DynamoDBClient, table: str, segment: int, segments: int, start: dict[str, Any]) -> Any:
    return client.scan(
        TableName=table,
        Segment=segment,
        TotalSegments=segments,
        FilterExpression="#status = :described",
        ProjectionExpression="#image, #prompt, #at",
        ExpressionAttributeNames={"#status": "status", "#image": "image", "#prompt": "prompt", "#at": "updated_at"},
        ExpressionAttributeValues={":described": {"S": Status.DESCRIBED}},
        **start,
    )
