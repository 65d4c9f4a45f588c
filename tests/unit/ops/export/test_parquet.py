"""A Parquet file has named types, and nulls where a record lacks something."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from imagescribe_ops.errors import OperationError
from imagescribe_ops.export.parquet import Parquet
from tests.unit.ops.export.catalogs import make_record


def test_without_pyarrow_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OperationError, match="uv run --extra parquet"):
        Parquet(tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def table() -> Any:
    """Reads a Parquet file."""
    return pytest.importorskip("pyarrow.parquet", reason="`uv run --extra parquet pytest` has it").read_table


def write(path: Path, *groups: list[Any]) -> None:
    parquet = Parquet(path)
    for records in groups:
        parquet.write(records)
    parquet.close()


def test_its_columns_have_types(table: Any, tmp_path: Path) -> None:
    write(tmp_path / "out.parquet", [make_record(prompt="é 写真", error="", version_id="", labels=("a", "b"))])
    read = table(tmp_path / "out.parquet")
    types = {field.name: str(field.type) for field in read.schema}
    assert types.pop("size") == types.pop("attempts") == "int64"
    times = {types.pop(name) for name in ("uploaded_at", "described_at", "updated_at", "waiting_until")}
    assert times == {"timestamp[ms, tz=UTC]"}
    assert types.pop("labels").startswith("list<")
    assert set(types.values()) == {"string"}
    (row,) = read.to_pylist()
    assert row["prompt"] == "é 写真"
    assert row["labels"] == ["a", "b"]
    assert row["described_at"] == datetime(2026, 11, 2, 9, 15, 4, 123_000, UTC)
    assert (row["error"], row["version_id"], row["waiting_until"], row["attempts"]) == (None, None, None, 0)


def test_an_export_of_nothing_is_a_table_without_rows(table: Any, tmp_path: Path) -> None:
    write(tmp_path / "out.parquet", [])
    assert table(tmp_path / "out.parquet").num_rows == 0


def test_records_are_written_in_groups(table: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("imagescribe_ops.export.parquet.ROWS_OF_A_GROUP", 10)
    write(tmp_path / "out.parquet", *[[make_record(f"{number}.png")] * 4 for number in range(10)])
    assert table(tmp_path / "out.parquet").num_rows == 40


def test_a_file_that_is_there_is_not_overwritten(table: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    write(path, [make_record()])
    with pytest.raises(OperationError, match="is there already"):
        Parquet(path)
