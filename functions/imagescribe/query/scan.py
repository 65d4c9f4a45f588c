"""Every prompt of the catalog, by a parallel scan: what the snapshot is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from imagescribe.model.record import Status
from imagescribe.model.times import milliseconds
from imagescribe.query.index_file import Document

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import ScanOutputTypeDef

SEGMENTS = 8


def described(client: DynamoDBClient, table: str, segments: int = SEGMENTS) -> Iterator[Document]:
    """Yield all prompts that stand in the catalog, in no order; one page of each segment is held at a time."""

    def page(segment: int, start: Mapping[str, Any]) -> ScanOutputTypeDef:
        return _scan(client, table, Segment=segment, TotalSegments=segments, **start)

    with ThreadPoolExecutor(segments) as pool:
        pages = {pool.submit(page, segment, {}): segment for segment in range(segments)}
        while pages:
            done, _ = wait(pages, return_when=FIRST_COMPLETED)
            for future in done:
                segment, found = pages.pop(future), future.result()
                if "LastEvaluatedKey" in found:
                    pages[pool.submit(page, segment, {"ExclusiveStartKey": found["LastEvaluatedKey"]})] = segment
                yield from map(_document, found["Items"])


def _document(item: Mapping[str, Any]) -> Document:
    return Document(milliseconds(item["updated_at"]["S"]), item["image"]["S"], item["prompt"]["S"])


def _scan(client: DynamoDBClient, table: str, **part: Any) -> ScanOutputTypeDef:
    return client.scan(
        TableName=table,
        FilterExpression="#status = :described AND attribute_type(#prompt, :text) AND attribute_type(#at, :text)",
        ProjectionExpression="#image, #prompt, #at",
        ExpressionAttributeNames={"#status": "status", "#image": "image", "#prompt": "prompt", "#at": "updated_at"},
        ExpressionAttributeValues={":described": {"S": Status.DESCRIBED}, ":text": {"S": "S"}},
        **part,
    )
