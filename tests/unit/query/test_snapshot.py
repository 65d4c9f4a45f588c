"""The snapshot is made from the catalog; two at once do no harm, and one that fails leaves the one before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from imagescribe.query import snapshot as snapshots
from imagescribe.query import snapshot_job
from imagescribe.query.index import SnapshotIndex
from imagescribe.query.index_file import Document, build
from imagescribe.query.scan import described
from tests.unit.query.conftest import Library, newest


def test_the_first_one_is_made_even_of_nothing(library: Library) -> None:
    assert library.job.run().startswith("0 images, ")
    assert newest(library.search(), "boat") == []
    standing = library.snapshots.standing()
    assert standing
    assert standing.images == 0


def test_it_has_what_is_described_and_nothing_else(library: Library) -> None:
    gone = library.describe("gone.png", "a boat")
    library.delete(gone)
    library.upload("waiting.png")
    library.describe("1.png", "a boat")
    library.describe("2.png", "a ship")
    assert {document.prompt for document in described(library.dynamodb, library.table)} == {"a boat", "a ship"}
    assert library.job.run().startswith("2 images")


@pytest.mark.parametrize("lacking", ["prompt", "updated_at"])
def test_a_record_of_which_a_person_took_something_out_is_left_out(library: Library, lacking: str) -> None:
    taken = library.describe("1.png", "a boat")
    library.describe("2.png", "a ship")
    library.dynamodb.update_item(
        TableName=library.table, Key={"image": {"S": taken.image}}, UpdateExpression=f"REMOVE {lacking}"
    )
    assert library.job.run().startswith("1 images")


def test_every_page_of_every_segment_is_read(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        library.describe(f"{number}.png", f"number {number}")
    scan = library.dynamodb.scan
    monkeypatch.setattr(library.dynamodb, "scan", lambda **asked: scan(Limit=3, **asked))
    prompts = [document.prompt for document in described(library.dynamodb, library.table, segments=4)]
    assert sorted(prompts) == sorted(f"number {number}" for number in range(40))


def test_it_is_made_afresh_only_when_enough_is_new_or_a_day_is_over(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot_job, "MIN_NEW", 3)
    library.job.run()
    library.clock.sleep(120)
    for number in range(2):
        library.describe(f"{number}.png", "a boat")
    assert library.job.run() == "0 images: nothing to do"
    library.describe("2.png", "a boat")
    library.clock.sleep(120)
    assert library.job.run().startswith("3 images, ")
    library.clock.sleep(86_000)
    assert library.job.run() == "3 images: nothing to do"
    library.clock.sleep(1_000)
    assert library.job.run().startswith("3 images, ")


def test_of_two_that_are_made_at_once_the_first_to_be_done_stands(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.describe("1.png", "a boat")
    library.job.run()
    other = library.job
    make = build

    def slow(path: Path, *arguments: Any) -> int:
        made = make(path, *arguments)
        monkeypatch.undo()
        library.describe("2.png", "a boat")
        assert other.run(always=True).startswith("2 images")
        return made

    monkeypatch.setattr(snapshot_job, "build", slow)
    assert library.job.run(always=True).endswith("dropped, since another one was quicker")
    standing = library.snapshots.standing()
    assert standing
    assert standing.images == 2


def test_of_two_first_ones_the_first_to_be_done_stands(library: Library, tmp_path: Path) -> None:
    path = tmp_path / "index"
    build(path, [], 0)
    assert library.snapshots.replace(path, None, images=1, complete_until=1)
    assert not library.snapshots.replace(path, None, images=2, complete_until=2)
    standing = library.snapshots.standing()
    assert standing
    assert standing.images == 1


def test_one_that_fails_leaves_the_one_before(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    library.describe("1.png", "a boat")
    library.job.run()
    before = library.snapshots.standing()

    def killed(*_: Any) -> int:
        raise OSError("no space left on device")

    monkeypatch.setattr(snapshot_job, "build", killed)
    with pytest.raises(OSError, match="no space"):
        library.job.run(always=True)
    assert library.snapshots.standing() == before
    assert newest(library.search(), "boat") == ["1.png"]


def test_a_large_one_is_fetched_in_parts_and_an_unchanged_one_not_at_all(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "_PART_BYTES", 10_000)
    path, copy = tmp_path / "index", tmp_path / "copy"
    build(path, [Document(number, f"s3://b/{number}", f"number {number} " * 20) for number in range(500)], 7)
    assert path.stat().st_size > 40_000
    assert library.snapshots.fetch(copy) == ""
    library.snapshots.replace(path, None, images=500, complete_until=7)
    etag = library.snapshots.fetch(copy)
    assert etag
    assert copy.read_bytes() == path.read_bytes()
    copy.unlink()
    assert library.snapshots.fetch(copy, etag) == etag
    assert not copy.exists()
    assert [each.name for each in tmp_path.iterdir() if each.suffix] == []


def test_what_a_function_that_was_killed_while_fetching_left_behind_does_not_add_up(
    library: Library, tmp_path: Path
) -> None:
    library.job.run()
    left, of_another_process = tmp_path / "index.4711", tmp_path / "index.4712"
    for part in (left, of_another_process):
        part.write_bytes(b"half of it")
    os.utime(left, (0, 0))
    library.snapshots.fetch(tmp_path / "index.sqlite")
    assert sorted(tmp_path.iterdir()) == [of_another_process, tmp_path / "index.sqlite"]


def test_what_a_run_that_was_killed_left_behind_does_not_add_up(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / f"{snapshot_job.PREFIX}killed"
    left.mkdir()
    (left / "index.sqlite").write_bytes(b"half of it")
    library.job.run()
    assert list(tmp_path.iterdir()) == [left]  # it may be at work still
    os.utime(left, (0, 0))
    library.job.run(always=True)
    assert list(tmp_path.iterdir()) == []


def test_rows_stand_in_the_order_of_time(tmp_path: Path) -> None:
    path = tmp_path / "index"
    documents = [Document(at, f"s3://b/{image}", "boat") for at, image in [(3, "a"), (1, "b"), (2, "c"), (2, "a")]]
    assert build(path, iter(documents), 9) == 4
    index = SnapshotIndex(path)
    assert (index.images, index.complete_until) == (4, 9)
    rows = list(index._connection.execute("SELECT at, image FROM images ORDER BY id"))
    assert rows == sorted((document.at, document.image) for document in documents)
    assert [each.name for each in tmp_path.iterdir()] == ["index"]
