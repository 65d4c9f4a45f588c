"""The deployed functions in the emulator: a snapshot by scan, a cold and warm search, and a Scan with `contains`.

The emulator's table bears some ten thousand records, so the catalog has the newest images only, which are those that a
search for common words shows. The index that is searched has all of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import batched, islice
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any, Final

from imagescribe.model.times import iso_utc
from imagescribe.query.index_file import Document, build
from imagescribe.query.snapshot import Snapshots
from imagescribe_ops.local.stack import LocalCloud, LocalStack
from imagescribe_ops.query_client import QueryClient
from tests.bench.search.prompts import documents, queries

_WARM: Final = 60
_COLD: Final = 5
RECORDS: Final = 20_000
"""In the catalog."""


def measure(images: int) -> dict[str, Any]:
    """Deploy, fill the catalog, and ask."""
    with LocalCloud() as cloud:
        stack = cloud.deploy("bench")
        _fill(stack, images)
        functions = stack.connection.lambda_functions()
        began = time.perf_counter()
        functions.invoke(FunctionName=stack.outputs.snapshot_function_name, InvocationType="Event")
        snapshots = Snapshots(stack.connection.s3(), stack.outputs.index_bucket_name)
        while not (standing := snapshots.standing()):
            time.sleep(0.2)
        snapshot = time.perf_counter() - began
        scans = [_scan(stack, word) for word in ("lighthouse", "harbour", "nowhere")]
        with TemporaryDirectory() as place:
            index, now = Path(place) / "index", int(time.time() * 1000)
            count = build(index, _documents(stack, images), now)
            assert snapshots.replace(index, standing, images=count, complete_until=now)
        client = QueryClient(stack.connection, stack.outputs)
        cold = []
        for _ in range(_COLD):
            functions.update_function_configuration(FunctionName=stack.outputs.query_function_name, Timeout=29)
            cold.append(_seconds(client, "red boat"))
        texts = queries()["two common words"]
        warm = [_seconds(client, text) for text, _ in zip(texts * 10, range(_WARM), strict=False)]
        return {
            "snapshot": snapshot,
            "images": standing.images,
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
    client, table = stack.connection.dynamodb(), stack.outputs.catalog_table_name

    def put(batch: tuple[Document, ...]) -> None:
        client.batch_write_item(RequestItems={table: [{"PutRequest": {"Item": _item(each)}} for each in batch]})

    newest = islice(_documents(stack, images), max(0, images - RECORDS), None)
    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(put, batched(newest, 25)):
            pass


def _documents(stack: LocalStack, images: int) -> Iterator[Document]:
    """Yield the images as if they were in the stack's bucket."""
    for each in documents(images):
        yield replace(each, image=each.image.replace("s3://pictures/", f"s3://{stack.outputs.bucket_name}/"))


def _item(document: Document) -> Any:
    at = iso_utc(document.at / 1000)
    bucket, _, key = document.image.removeprefix("s3://").partition("/")
    texts = {
        "image": document.image,
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
    cold = f"{told['cold']:.2f} s, {told['cold_worst']:.2f} s"
    yield f"| snapshot of {told['images']:,} made by the function (scan, index, upload) | {told['snapshot']:.1f} s |"
    yield f"| first search of a new environment, median and worst of {_COLD} | {cold} |"
    yield f"| search, p50 and p99 of {_WARM} | {1e3 * told['p50']:.0f} ms, {1e3 * told['p99']:.0f} ms |"
    yield f"| `Scan` with `contains` over {told['images']:,} records | {told['scan']:.1f} s |"
