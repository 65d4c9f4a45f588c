"""The table that Athena reads has the export's columns, and the questions to begin with are answered.

DuckDB answers here for Athena: what is asked is in both their languages.
"""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from imagescribe_ops.catalog_view import ImageRecord
from imagescribe_ops.export.parquet import TIMES, Parquet
from tests.factories import ROOT
from tests.unit.ops.export.catalogs import make_record

EXAMPLES = ROOT / "infra" / "examples" / "athena"
MISSING = "`uv run --extra parquet --group bench pytest` has it"


def statements(name: str) -> list[str]:
    """The statements of a file, without their comments."""
    text = re.sub(r"^--.*\n", "", (EXAMPLES / name).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [each.strip() for each in text.split(";") if each.strip()]


@pytest.mark.parametrize(("name", "time"), [("images.sql", "timestamp"), ("images-jsonl.sql", "string")])
def test_the_table_has_the_columns_of_the_export_in_their_order(name: str, time: str) -> None:
    columns = re.findall(r"^  `(\w+)` ([\w<>]+)", statements(name)[1], flags=re.MULTILINE)
    types = {"labels": "array<string>", **dict.fromkeys(TIMES, time)}
    assert columns == [
        (each.name, types.get(each.name, "bigint" if each.type == "int" else "string")) for each in fields(ImageRecord)
    ]


@pytest.fixture
def answers(tmp_path: Path) -> list[list[tuple[Any, ...]]]:
    """What the questions are answered with, over two exports: the second of what changed alone."""
    pytest.importorskip("pyarrow", reason=MISSING)
    duckdb = pytest.importorskip("duckdb", reason=MISSING)
    boat: dict[str, Any] = {
        "prompt": "A Red boat at dusk",
        "labels": ("boat", "dusk"),
        "model": "one",
        "described_at": "2026-11-02T09:15:04.000Z",
    }
    nothing = {"prompt": "", "model": "", "described_at": "", "status": "rejected", "error": "no"}
    earlier = {"updated_at": "2026-11-02T09:15:04.000Z"}
    first = [
        make_record("boat.png", **boat, **earlier),
        make_record("changed.png", **boat, **earlier),
        make_record("refused.png", **nothing, **earlier),
    ]
    second = [
        make_record(
            "changed.png",
            **(boat | {"prompt": "a blue ship", "labels": ("ship",)}),
            updated_at="2026-11-03T00:00:00.000Z",
        )
    ]
    for number, records in enumerate((first, second)):
        parquet = Parquet(tmp_path / f"{number}.parquet")
        parquet.write(records)
        parquet.close()
    _database, _table, view, *questions = statements("images.sql")
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA imagescribe")
    connection.execute(f"CREATE VIEW imagescribe.images AS SELECT * FROM '{tmp_path}/*.parquet'")
    connection.execute(view)
    return [connection.execute(question).fetchall() for question in questions]


def test_the_questions_are_answered_by_each_images_newest_record(answers: list[list[tuple[Any, ...]]]) -> None:
    words, days, labels, without = answers
    assert [row[0].rpartition("/")[2] for row in words] == ["boat.png"]
    assert [row[1:] for row in days] == [("one", 2)]
    assert labels == [("boat", 1), ("dusk", 1), ("ship", 1)]
    assert without == [("rejected", "no", 1)]
