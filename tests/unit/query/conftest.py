"""A catalog that images are described into, and searches over it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from imagescribe.aws.imaging import Imaging
from imagescribe.model.events import Upload
from imagescribe.model.record import Opened
from imagescribe.model.tags import TagState
from imagescribe.query.grammar import parse
from imagescribe.query.index import Range
from imagescribe.query.pages import Pages
from imagescribe.query.pictures import Pictures
from imagescribe.query.reader import CatalogReader
from imagescribe.query.search import Search
from imagescribe.query.snapshot import Snapshots
from imagescribe.query.snapshot_job import SnapshotJob
from imagescribe.stores.catalog import Catalog
from tests.factories import Clock, make_deletion, make_upload, stand_in
from tests.unit.conftest import REGION, make_bucket, make_table
from tests.unit.imaging_in_process import DERIVED_BUCKET, ImagingInProcess
from tests.unit.in_memory.written_through import WrittenThrough

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

BUCKET = "pictures"


@dataclass
class Library:
    """A stack's catalog and its index."""

    dynamodb: DynamoDBClient
    s3: S3Client
    table: str
    index_bucket: str
    directory: Path
    clock: Clock
    _numbers: count[int]
    _written: WrittenThrough

    @property
    def catalog(self) -> Catalog:
        return Catalog(stand_in(self._written), self.table, self.clock)

    @property
    def reader(self) -> CatalogReader:
        return CatalogReader(self.dynamodb, self.table, self.clock)

    @property
    def pages(self) -> Pages:
        return Pages(self.dynamodb, self.table, BUCKET, self.reader)

    @property
    def snapshots(self) -> Snapshots:
        return Snapshots(self.s3, self.index_bucket)

    @property
    def job(self) -> SnapshotJob:
        return SnapshotJob(self.dynamodb, self.table, self.reader, self.snapshots, self.clock)

    def search(self) -> Search:
        """A query function that starts now."""
        place = self.directory / str(next(self._numbers))
        place.mkdir()
        return Search(self.snapshots, self.reader, place, self.clock)

    def upload(self, key: str, **changes: Any) -> Upload:
        """Let an image be uploaded, a second after the one before."""
        self.clock.sleep(1)
        upload = make_upload(bucket=BUCKET, key=key, sequencer=f"{next(self._numbers):020X}", **changes)
        assert isinstance(self.catalog.open(upload), Opened)
        return upload

    def describe(self, key: str, prompt: str, *labels: str) -> Upload:
        """Let an image be uploaded and described."""
        upload = self.upload(key)
        at = "2026-11-02T09:15:04.000Z"
        assert self.catalog.describe(upload, at, prompt, TagState.WRITTEN, 0, labels=frozenset(labels)) == prompt
        return upload

    def delete(self, upload: Upload) -> None:
        """Let an image be deleted."""
        later = replace(make_deletion(bucket=BUCKET, key=upload.key), sequencer=f"{next(self._numbers):020X}")
        self.catalog.remove(later)

    def take_out(self, image: str) -> None:
        """Let a record be gone."""
        self._written.delete_item(TableName=self.table, Key={"image": {"S": image}})


def newest(search: Search, query: str, limit: int = 100, wanted: Range | None = None) -> list[str]:
    """The keys of what is found, newest first."""
    return [hit.record.key for hit in search.newest(parse(query), wanted or Range(), limit).hits]


def best(search: Search, query: str, limit: int = 100, wanted: Range | None = None) -> list[str]:
    """The keys of what is found, the best first."""
    return [hit.record.key for hit in search.best(parse(query), wanted or Range(), limit).hits]


def make_pictures(s3: S3Client) -> tuple[Pictures, ImagingInProcess]:
    """Pictures whose thumbnails are made in this process."""
    if DERIVED_BUCKET not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=DERIVED_BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    function = ImagingInProcess(s3)
    return Pictures(s3, Imaging(lambda: stand_in(function), "imaging"), DERIVED_BUCKET), function


@pytest.fixture
def library(aws: boto3.Session, dynamodb: DynamoDBClient, s3: S3Client, tmp_path: Path, clock: Clock) -> Library:
    return make_library(dynamodb, s3, tmp_path, clock)


def make_library(dynamodb: DynamoDBClient, s3: S3Client, directory: Path, clock: Clock) -> Library:
    table, bucket = make_table(dynamodb, "CatalogTable"), make_bucket(s3)
    return Library(dynamodb, s3, table, bucket, directory, clock, count(1), WrittenThrough(moto=dynamodb))


__all__ = ["BUCKET", "Library", "best", "make_library", "make_pictures", "newest"]
