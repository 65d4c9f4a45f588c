"""Catalogs to export from, as large as a test wants them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from imagescribe.model.record import Status
from imagescribe.query.reader import CatalogReader
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.catalog_view import CatalogView, ImageRecord
from tests.factories import stand_in

BUCKET = "pictures"


def make_record(key: str = "cat.png", **changes: Any) -> ImageRecord:
    fields: dict[str, Any] = {
        "image": f"s3://{BUCKET}/{key}",
        "bucket": BUCKET,
        "key": key,
        "status": str(Status.DESCRIBED),
        "prompt": "a cat",
        "tags": "written",
        "attempts": 0,
        "error": "",
        "etag": "aca2968ee72afe386a75e2f395d77839",
        "version_id": "",
        "size": 158_015,
        "sequencer": "006AE85494A1B2C3D4",
        "uploaded_at": "2026-11-02T09:15:00.000Z",
        "described_at": "2026-11-02T09:15:04.123Z",
        "updated_at": "2026-11-02T09:15:04.123Z",
        "waiting_until": "",
    }
    return ImageRecord(**fields | changes)


class LargeTable:
    """DynamoDB's client with a catalog that nobody holds: what is asked for is made when it is asked for."""

    def __init__(self, images: int, prompt_length: int = 1_000) -> None:
        self._images = images
        self._prompt = "p" * prompt_length

    def view(self) -> CatalogView:
        connection = Connection(region="eu-central-1", access_key_id="testing", secret_access_key="testing")
        view = CatalogView(connection, "catalog")
        view._client = stand_in(self)
        view._reader = CatalogReader(stand_in(self), "catalog")
        return view

    def get_paginator(self, _name: str) -> LargeTable:
        return self

    def paginate(self, **query: Any) -> Iterator[dict[str, Any]]:
        after = query.get("ExclusiveStartKey", {}).get("key", {}).get("S")
        first = int(after.partition(".")[0]) + 1 if after else 0
        for start in range(first, self._images, 1000):
            numbers = range(start, min(start + 1000, self._images))
            yield {"Items": [{"image": {"S": f"s3://{BUCKET}/{number:08}.png"}} for number in numbers]}

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        keys = request["RequestItems"]["catalog"]["Keys"]
        return {"Responses": {"catalog": [self._item(key["image"]["S"]) for key in keys]}}

    def _item(self, image: str) -> dict[str, Any]:
        key = image.rpartition("/")[2]
        texts = {"image": image, "bucket": BUCKET, "key": key, "status": "described"}
        texts["prompt"] = f"{key} {self._prompt}"  # each of its own
        return {name: {"S": text} for name, text in texts.items()} | {"size": {"N": "1234"}}
