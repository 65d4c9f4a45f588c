"""Where a job's objects come from: any checkpoint goes on where the page before ended."""

from __future__ import annotations

import csv
import gzip
import json
from io import StringIO
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imagescribe.backfill import sources
from imagescribe.backfill.sources import ManifestError, Source, source_of
from imagescribe.model.listing import Listed
from tests.factories import unique

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag, StorageClass"
KEYS = ["a b.png", "a+b.png", "100%.png", 'say "hi", twice.png', "café/写真🎉.png", " edges ", "x/\u2028y.png"]


def walk(source: Source, checkpoint: str = "") -> list[Listed]:
    found: list[Listed] = []
    while True:
        page = source.page(checkpoint)
        found += page.objects
        if page.checkpoint is None:
            return found
        checkpoint = page.checkpoint


def put_inventory(s3: S3Client, bucket: str, rows: list[list[Any]], **changes: Any) -> str:
    """Write an Inventory of a bucket into itself as S3 does, a thousand rows a file; return its address."""
    folder = unique("inventory")
    files = []
    for number in range(0, max(1, len(rows)), 1_000):
        text = StringIO()
        csv.writer(text, quoting=csv.QUOTE_ALL).writerows(rows[number : number + 1_000])
        key = f"{folder}/data/{number}.csv.gz"
        s3.put_object(Bucket=bucket, Key=key, Body=gzip.compress(text.getvalue().encode()))
        files.append({"key": key})
    manifest = {"sourceBucket": bucket, "fileFormat": "CSV", "fileSchema": SCHEMA, "files": files, **changes}
    s3.put_object(Bucket=bucket, Key=f"{folder}/manifest.json", Body=json.dumps(manifest).encode())
    return f"s3://{bucket}/{folder}/manifest.json"


def row(bucket: str, key: str, *, latest: str = "true", deleted: str = "false") -> list[Any]:
    return [bucket, quote_plus(key), "", latest, deleted, 7, "2026-11-02T09:15:00.000Z", "e1", "STANDARD"]


def test_a_listing_is_read_in_pages(s3: S3Client, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=f"listing/{key}", Body=b"x")
    expected = sorted(f"listing/{key}" for key in KEYS)
    for size in (1, 2, 3, 7, 8):
        monkeypatch.setattr("imagescribe.aws.s3_listing.PAGE", size)
        source = source_of(s3, bucket, "listing/", "")
        assert [listed.key for listed in walk(source)] == expected
        first = source.page("")
        if first.checkpoint:
            assert [listed.key for listed in walk(source, first.checkpoint)] == expected[size:]


def test_an_inventory_tells_of_current_objects_under_their_own_keys(s3: S3Client, bucket: str) -> None:
    rows = [row(bucket, key) for key in KEYS]
    rows += [row(bucket, "old.png", latest="false"), row(bucket, "deleted.png", deleted="true"), row("other", "x.png")]
    found = walk(source_of(s3, bucket, "", put_inventory(s3, bucket, rows)))
    assert found == [Listed(key, "e1", 7, "2026-11-02T09:15:00.000Z") for key in KEYS]


def test_an_inventory_is_narrowed_to_a_prefix(s3: S3Client, bucket: str) -> None:
    address = put_inventory(s3, bucket, [row(bucket, "in/a.png"), row(bucket, "out/b.png")])
    assert [listed.key for listed in walk(source_of(s3, bucket, "in/", address))] == ["in/a.png"]


@pytest.mark.parametrize("suffix", [".txt", ".txt.gz"])
def test_a_list_has_a_key_on_each_line(s3: S3Client, bucket: str, suffix: str) -> None:
    text = ("\n".join(KEYS) + "\r\n\n" + "last.png").encode()
    s3.put_object(Bucket=bucket, Key=f"list{suffix}", Body=gzip.compress(text) if suffix.endswith("gz") else text)
    found = walk(source_of(s3, bucket, "", f"s3://{bucket}/list{suffix}"))
    assert [listed.key for listed in found] == [*KEYS, "last.png"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(count=st.integers(0, 12), size=st.integers(1, 5), stops=st.sets(st.integers(0, 12)))
def test_a_source_that_is_made_anew_at_any_checkpoint_loses_and_repeats_nothing(
    s3: S3Client, bucket: str, count: int, size: int, stops: set[int]
) -> None:
    keys = [f"{number}.png" for number in range(count)]
    s3.put_object(Bucket=bucket, Key="resumed.txt", Body="\n".join(keys).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "PAGE", size)
        found, checkpoint, number = [], "", 0
        source = source_of(s3, bucket, "", f"s3://{bucket}/resumed.txt")
        while True:
            page = source.page(checkpoint)
            found += [listed.key for listed in page.objects]
            if page.checkpoint is None:
                break
            checkpoint, number = page.checkpoint, number + 1
            if number in stops:
                source = source_of(s3, bucket, "", f"s3://{bucket}/resumed.txt")
    assert found == keys


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"sourceBucket": "another"}, "of the bucket another"),
        ({"fileFormat": "ORC"}, "ORC; only CSV"),
        ({"fileSchema": "Bucket, Size"}, "column Key"),
        ({"files": []}, "no files"),
        ({"files": [{}]}, "no manifest of S3 Inventory"),
    ],
)
def test_a_manifest_that_can_not_be_used_is_refused(
    s3: S3Client, bucket: str, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ManifestError, match=problem):
        source_of(s3, bucket, "", put_inventory(s3, bucket, [], **changes))


@pytest.mark.parametrize("broken", [["just a bucket"], ["BUCKET", "a.png", "", "true", "false", "seven", "", "", ""]])
def test_an_inventory_with_a_row_that_is_none_is_refused(s3: S3Client, bucket: str, broken: list[str]) -> None:
    rows = [row(bucket, "a.png"), [bucket, *broken[1:]]]
    with pytest.raises(ManifestError, match="data/0"):
        walk(source_of(s3, bucket, "", put_inventory(s3, bucket, rows)))
