"""The deployed functions in the emulator: a snapshot by scan, a cold and warm search, and a Scan with `contains`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import batched
from statistics import median, quantiles
from typing import Any, Final

from imagescribe.model.times import iso_utc
from imagescribe.query.index_file import Document
from imagescribe_ops.local.stack import LocalCloud, LocalStack
from imagescribe_ops.query_client import QueryClient
from tests.bench.search.prompts import documents, queries

_WARM: Final = 60
_COLD: Final = 5
_SCANS: Final = 3


def measure(images: int) -> dict[str, Any]:
    """Deploy, fill the catalog, and ask."""
    with LocalCloud() as cloud:
        stack = cloud.deploy("bench")
        _fill(stack, images)
        functions = stack.connection.lambda_functions()
        began = time.perf_counter()
        told = functions.invoke(FunctionName=stack.outputs.snapshot_function_name, Payload=b'{"always": true}')
        answer = json.loads(told["Payload"].read())
        snapshot = time.perf_counter() - began
        client = QueryClient(stack.connection, stack.outputs)
        cold = []
        for _ in range(_COLD):
            functions.update_function_configuration(FunctionName=stack.outputs.query_function_name, Timeout=29)
            cold.append(_seconds(client, "red boat"))
        texts = queries()["two common words"]
        warm = [_seconds(client, text) for text, _ in zip(texts * 10, range(_WARM), strict=False)]
        scans = [_scan(stack, word) for word in ("lighthouse", "harbour", "nowhere")[:_SCANS]]
        return {
            "snapshot": snapshot,
            "said": answer,
            "cold": median(cold),
            "cold_worst": max(cold),
            "p50": median(warm),
            "p99": quantiles(warm, n=100)[98],
            "scan": median(scans),
        }


def _seconds(client: QueryClient, text: str) -> float:
    began = time.perf_counter()
    found = client.get("/search", {"q": text, "limit": 20})
    assert found["images"], text
    return time.perf_counter() - began


def _scan(stack: LocalStack, word: str) -> float:
    began = time.perf_counter()
    pages = (
        stack.connection.dynamodb()
        .get_paginator("scan")
        .paginate(
            TableName=stack.outputs.catalog_table_name,
            FilterExpression="contains(prompt, :word)",
            ExpressionAttributeValues={":word": {"S": word}},
        )
    )
    found = [(item["updated_at"]["S"], item["image"]["S"]) for page in pages for item in page["Items"]]
    sorted(found, reverse=True)[:20]
    return time.perf_counter() - began


def _fill(stack: LocalStack, images: int) -> None:
    client, table, bucket = stack.connection.dynamodb(), stack.outputs.catalog_table_name, stack.outputs.bucket_name

    def put(batch: tuple[Document, ...]) -> None:
        client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": _item(bucket, each)}} for each in batch]})

    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(put, batched(documents(images), 25, strict=False)):
            pass


def _item(bucket: str, document: Document) -> Any:
    at = iso_utc(document.at / 1000)
    key = document.image.removeprefix("s3://pictures/")
    texts = {
        "image": f"s3://{bucket}/{key}",
        "bucket": bucket,
        "key": key,
        "status": "described",
        "prompt": document.prompt,
        "sequencer": "0055AED6DCD90281E5",
        "etag": "d41d8cd98f00b204e9800998ecf8427e",
        "uploaded_at": at,
        "described_at": at,
        "updated_at": at,
        "described_day": at[:10],
    }
    assert datetime.fromisoformat(at).tzinfo == UTC
    return {name: {"S": text} for name, text in texts.items()}


def rows(told: dict[str, Any]) -> Iterator[str]:
    """Yield what was seen, as lines of a table."""
    made, cold = told["said"]["snapshot"], f"{told['cold']:.2f} s, {told['cold_worst']:.2f} s"
    yield f"| snapshot made by the function (scan, index, upload) | {told['snapshot']:.1f} s: {made} |"
    yield f"| first search of a new environment, median and worst of {_COLD} | {cold} |"
    yield f"| search, p50 and p99 of {_WARM} | {1e3 * told['p50']:.0f} ms, {1e3 * told['p99']:.0f} ms |"
    yield f"| `Scan` with `contains` | {told['scan']:.1f} s |"
