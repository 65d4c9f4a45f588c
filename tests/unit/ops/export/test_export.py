"""An export goes on where it was stopped, without a record twice or missing, and holds no more than some hundreds."""

from __future__ import annotations

import resource
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from imagescribe.model.record import Status
from imagescribe_ops.catalog_view import ImageRecord
from imagescribe_ops.errors import OperationError
from imagescribe_ops.export.export import CHUNK, Cursor, Export, Query
from imagescribe_ops.export.sidecars import Sidecars
from imagescribe_ops.export.texts import Csv, JsonLines, Output
from imagescribe_ops.local.processes import Interrupted
from tests.factories import stand_in
from tests.unit.ops.export.catalogs import BUCKET, LargeTable, make_record

QUERY = Query(BUCKET, form="jsonl")
AWKWARD = ["a\nb.png", 'q"uote,.png', "=1+1.png", "é\u2028.png"]
RECORDS = [make_record(f"{number:04}-{AWKWARD[number % 4]}", prompt=f"line\nof {number}") for number in range(950)]


class Walk:
    """A view of some records."""

    def __init__(self, records: Sequence[ImageRecord], stops_at: int = -1) -> None:
        self._records = records
        self._stops_at = stops_at

    def walk(self, _bucket: str, _prefix: str, after: str) -> Iterator[ImageRecord]:
        for number, record in enumerate(self._records):
            if number == self._stops_at:
                raise Interrupted(2)
            if record.key > after:
                yield record


def export(
    path: Path, form: type[JsonLines | Csv], cursor: Cursor | None = None, stops_at: int = -1, query: Query = QUERY
) -> Export:
    """Export the records to a file, as far as it comes."""
    output = Output(path, cursor or Cursor())
    sink = Csv(output, is_file=True) if form is Csv else JsonLines(output)
    run = Export(stand_in(Walk(RECORDS, stops_at)), query, [sink], cursor or Cursor())
    try:
        run.run()
    except Interrupted:
        assert stops_at >= 0
    finally:
        output.close()
    return run


@pytest.mark.parametrize("form", [JsonLines, Csv])
@pytest.mark.parametrize("stops", [[0], [1, CHUNK], [CHUNK + 50, 5 * CHUNK, 949]])
def test_a_file_that_was_gone_on_with_is_the_same_as_one_in_one_go(
    form: type[JsonLines | Csv], stops: list[int], tmp_path: Path
) -> None:
    export(tmp_path / "whole", form)
    cursor = Cursor()
    for stop in stops:
        word = export(tmp_path / "parts", form, cursor, stop).cursor.encoded(QUERY)
        cursor = Cursor.decoded(word, QUERY)
    export(tmp_path / "parts", form, cursor)
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()


def test_what_the_query_does_not_take_is_passed_over_and_not_looked_at_again(tmp_path: Path) -> None:
    query = Query(BUCKET, since="2027-01-01")
    run = export(tmp_path / "none", JsonLines, stops_at=500, query=query)
    assert (run.read, run.written, run.cursor.key) == (500, 0, RECORDS[499].key)


def test_the_query_takes_a_status_and_what_changed_since() -> None:
    record = make_record(updated_at="2026-11-23T00:00:00.000Z")
    assert Query(BUCKET, since="2026-11-23").takes(record)
    assert not Query(BUCKET, since="2026-11-23T00:00:01").takes(record)
    assert Query(BUCKET, status=Status.DESCRIBED).takes(record)
    assert not Query(BUCKET, status=Status.DEAD).takes(record)


@pytest.mark.parametrize("word", ["", "x", "%%%", "bnVsbA", "WzEsMl0", "WyJhIiwiYiIsImMiXQ", "é"])
def test_what_is_no_cursor_is_refused_in_a_sentence(word: str) -> None:
    with pytest.raises(OperationError, match="no cursor of an export"):
        Cursor.decoded(word, QUERY)


@pytest.mark.parametrize(
    "other", [Query("other", form="jsonl"), Query(BUCKET, "x/", form="jsonl"), Query(BUCKET, form="csv")]
)
def test_a_cursor_of_another_query_is_refused(other: Query) -> None:
    with pytest.raises(OperationError, match="another export"):
        Cursor.decoded(Cursor("x/cat.png", 10).encoded(QUERY), other)


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mine"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(OperationError, match="is there already"):
        export(path, JsonLines)
    assert path.read_text(encoding="utf-8") == "mine"


def test_a_cursor_does_not_go_on_in_a_file_that_is_not_as_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "parts"
    first = export(path, JsonLines, stops_at=200).cursor
    export(path, JsonLines, first, stops_at=400)
    with pytest.raises(OperationError, match="not as the export of this cursor left it"):
        export(path, JsonLines, first)


def test_a_cursor_goes_on_in_another_file_which_gets_the_rest_alone(tmp_path: Path) -> None:
    cursor = export(tmp_path / "one", Csv, stops_at=300).cursor
    export(tmp_path / "two", Csv, cursor)
    export(tmp_path / "whole", Csv)
    head = (tmp_path / "whole").read_bytes().splitlines(keepends=True)[0]
    two = (tmp_path / "two").read_bytes()
    assert two.startswith(head)
    assert (tmp_path / "one").read_bytes() + two.removeprefix(head) == (tmp_path / "whole").read_bytes()


def test_on_a_full_disk_the_file_ends_with_the_last_whole_record_of_its_cursor(tmp_path: Path) -> None:
    path = tmp_path / "parts"
    output = Output(path, Cursor())
    run = Export(stand_in(Walk(RECORDS)), QUERY, [JsonLines(output)], Cursor())
    with no_file_larger_than(100_000), pytest.raises(OperationError, match="could not be written"):
        run.run()
    output.close()
    assert path.stat().st_size == run.cursor.size <= 100_000
    assert path.read_bytes().endswith(b"}\n")

    export(path, JsonLines, run.cursor)
    export(tmp_path / "whole", JsonLines)
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match="No such file or directory"):
        Output(tmp_path / "no" / "such", Cursor())


@pytest.mark.parametrize("form", [JsonLines, Csv, Sidecars])
def test_a_table_never_is_in_memory_as_a_whole(form: type, tmp_path: Path) -> None:
    images, prompt_length = 2_500, 4_000
    assert peak(form, tmp_path / "out", images, prompt_length) < images * prompt_length


def peak(form: type, path: Path, images: int, prompt_length: int) -> int:
    """The most bytes that Python held at a time during an export."""
    if form is Sidecars:
        sink: JsonLines | Csv | Sidecars = Sidecars(path, print)
    else:
        output = Output(path, Cursor())
        sink = Csv(output, is_file=True) if form is Csv else JsonLines(output)
    view = LargeTable(images, prompt_length).view()
    tracemalloc.start()
    run = Export(view, QUERY, [sink], Cursor())
    run.run()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert run.written == images
    return most
