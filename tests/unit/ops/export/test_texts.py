"""What a program, a spreadsheet and a terminal find in an export."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pytest

from imagescribe_ops.catalog_view import ImageRecord
from imagescribe_ops.export.export import FIELDS, Cursor
from imagescribe_ops.export.texts import Csv, JsonLines, Output, defused
from tests.unit.ops.export.catalogs import make_record

HOSTILE = 'a "quoted", é 写真\nsecond line\r\n\u2028third\x85 \x1b[31m\x7f'


def written(form: type[JsonLines | Csv], path: Path, records: Sequence[ImageRecord]) -> bytes:
    output = Output(path, Cursor())
    (Csv(output, is_file=True) if form is Csv else JsonLines(output)).write(records)
    output.close()
    return path.read_bytes()


def test_a_record_is_one_line_of_json_with_all_its_fields_whatever_is_in_it(tmp_path: Path) -> None:
    records = [make_record("é.png", prompt=HOSTILE, labels=("beach", "boat")), make_record("b.png")]
    content = written(JsonLines, tmp_path / "out.jsonl", records)
    lines = content.decode().splitlines()  # which ends a line at more characters than JSON Lines does
    assert [json.loads(line) for line in lines] == [
        asdict(record) | {"labels": list(record.labels)} for record in records
    ]
    assert "写真" in lines[0]  # to be found by grep
    assert b"\x1b" not in content


def test_a_spreadsheet_sees_a_row_for_each_record_under_the_fields_names(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    written(Csv, path, [make_record("é.png", prompt=HOSTILE, labels=("beach", "boat")), make_record("b.png")])
    assert path.read_bytes().startswith(b"\xef\xbb\xbfimage,bucket,key,")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == FIELDS
    assert [row["prompt"] for row in rows] == [HOSTILE, "a cat"]
    assert rows[0]["size"] == "158015"
    assert [row["labels"] for row in rows] == ["beach boat", ""]


@pytest.mark.parametrize("form", [JsonLines, Csv])
def test_an_export_of_nothing_is_a_file_that_says_so(form: type[JsonLines | Csv], tmp_path: Path) -> None:
    content = written(form, tmp_path / "out", [])
    assert content.decode("utf-8-sig").splitlines() == ([",".join(FIELDS)] if form is Csv else [])


@pytest.mark.parametrize(
    "formula",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        "'=1",
        "＝1",
        '=HYPERLINK("http://x")',
        "\u00a0=1",
    ],
)
def test_what_a_spreadsheet_takes_for_a_formula_has_an_apostrophe_before_it(formula: str, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    written(Csv, path, [make_record(formula, prompt=formula, error=formula)])
    with path.open(encoding="utf-8-sig", newline="") as file:
        (row,) = csv.DictReader(file)
    assert [row[name] for name in ("key", "prompt", "error")] == [f"'{formula}"] * 3


@pytest.mark.parametrize("text", ["", "a=b", "it's", "'quoted'", "1 + 1", "é", "https://x/?a=-1"])
def test_what_is_no_formula_stays_as_it_is(text: str) -> None:
    assert defused(text) == text


def test_two_texts_that_differ_are_two_when_they_are_defused() -> None:
    texts = ["=1", "'=1", "''=1"]
    assert len({defused(text) for text in texts}) == len(texts)


@pytest.mark.parametrize("form", [JsonLines, Csv])
def test_on_a_terminal_nothing_from_a_bucket_steers_it(
    form: type[JsonLines | Csv], capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    output = Output(None, Cursor())
    sink = Csv(output, is_file=False) if form is Csv else JsonLines(output)
    sink.write([make_record("\u202egnp.exe", prompt=HOSTILE)])
    shown = capfdbinary.readouterr().out
    assert shown
    assert not any(sign.encode() in shown for sign in "\x1b\x07\x7f\x85\u202e\u2028")
