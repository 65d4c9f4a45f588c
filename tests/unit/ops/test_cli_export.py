"""`imagescribe export`: what it writes where, what it refuses, and what it says when it is stopped."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner, Result

from imagescribe.model.record import Status
from imagescribe_ops.aws import stack
from imagescribe_ops.catalog_view import CatalogView
from imagescribe_ops.commands.main import app
from imagescribe_ops.errors import OperationError
from tests.factories import ROOT
from tests.unit.conftest import REGION
from tests.unit.ops.test_catalog_view import put
from tests.unit.stack_in_moto import Clients, StackInMoto, make_stack

LATE = "2026-11-23T10:00:00.000Z"


@pytest.fixture(scope="module")
def deployed(aws: boto3.Session) -> StackInMoto:
    made = make_stack(aws)
    table = made.outputs["CatalogTableName"]

    def image(key: str, status: Status, updated_at: str, **more: str) -> None:
        put(made.dynamodb, table, key, status, LATE, bucket=made.bucket, updated_at=updated_at, **more)

    image("=cmd.png", Status.DESCRIBED, "2026-11-01T00:00:00.000Z", prompt="a cat")
    image("b/cat.jpg", Status.DESCRIBED, "2026-11-23T10:00:05.000Z", prompt="=SUM(A1)")
    image("b/notes.txt", Status.SKIPPED, "2026-11-24T00:00:00.000Z", error="no image")
    return made


@pytest.fixture(autouse=True)
def _one_stack(aws: boto3.Session, deployed: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> None:
    Clients.of_session(aws).lend(monkeypatch)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setattr(stack, "describe_stack", lambda _connection, _stack: deployed.describe())


def run(*arguments: object, ends_with: int = 0) -> Result:
    result = CliRunner().invoke(app, ["export", *map(str, arguments)])
    assert result.exit_code == ends_with, result.output
    return result


def way_on(said: str) -> list[str]:
    """The arguments of the command that goes on, as it was said."""
    words = shlex.split(said.splitlines()[-1])
    return words[words.index("export") + 1 :]


def keys(result: Result) -> list[str]:
    return [json.loads(line)["key"] for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("name", "asked", "begin"),
    [
        ("prompts.csv", [], "\ufeffimage,bucket,key,"),
        ("PROMPTS.CSV", [], "\ufeffimage,bucket,key,"),
        ("prompts.csv", ["--format", "jsonl"], '{"image": '),
        ("prompts.jsonl", [], '{"image": '),
        ("prompts.txt", [], '{"image": '),
    ],
)
def test_a_file_is_what_its_name_says_unless_asked(tmp_path: Path, name: str, asked: list[str], begin: str) -> None:
    run("-o", tmp_path / name, *asked)
    assert (tmp_path / name).read_text(encoding="utf-8").startswith(begin)


def test_it_prints_a_line_of_json_for_each_image_in_the_order_of_keys() -> None:
    result = run()
    assert keys(result) == ["=cmd.png", "b/cat.jpg", "b/notes.txt"]
    assert "Exported 3 of 3 records." in result.stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--prefix", "b/"), ["b/cat.jpg", "b/notes.txt"]),
        (("--status", "described"), ["=cmd.png", "b/cat.jpg"]),
        (("--since", "2026-11-23"), ["b/cat.jpg", "b/notes.txt"]),
        (("--since", "2026-11-23T10:00:06Z"), ["b/notes.txt"]),
        (("--prefix", "none/"), []),
    ],
)
def test_it_takes_a_prefix_a_status_and_a_time(options: tuple[str, ...], expected: list[str]) -> None:
    assert keys(run(*options)) == expected


def test_it_writes_a_table_for_spreadsheets(tmp_path: Path) -> None:
    run("--format", "csv", "-o", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["key"] for row in rows] == ["'=cmd.png", "b/cat.jpg", "b/notes.txt"]
    assert rows[1]["prompt"] == "'=SUM(A1)"
    assert run("--format", "csv").stdout.startswith("image,bucket,key,")  # without the mark, for pipes


def test_it_writes_a_parquet_file(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="`uv run --extra parquet pytest` has it")
    run("--format", "parquet", "-o", tmp_path / "out.parquet")
    assert parquet.read_table(tmp_path / "out.parquet").column("key").to_pylist()[0] == "=cmd.png"
    assert "is there already" in run("--format", "parquet", "-o", tmp_path / "out.parquet", ends_with=1).stderr


def test_sidecars_alone_print_nothing_else(tmp_path: Path) -> None:
    result = run("--sidecars", tmp_path / "captions")
    assert result.stdout == ""
    assert (tmp_path / "captions" / "b" / "cat.txt").read_text(encoding="utf-8") == "=SUM(A1)\n"
    assert "2 sidecars are in" in result.stderr


def test_sidecars_and_a_file_are_written_together(tmp_path: Path) -> None:
    run("--sidecars", tmp_path / "captions", "-o", tmp_path / "out.jsonl")
    assert len((tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    assert (tmp_path / "captions" / "=cmd.txt").is_file()


def test_xmp_sidecars_are_written_beside_the_others_and_counted_by_themselves(tmp_path: Path) -> None:
    result = run("--xmp", tmp_path / "xmp", "--sidecars", tmp_path / "captions")
    assert result.stdout == ""
    assert "2 XMP sidecars are in" in result.stderr
    assert "=SUM(A1)" in (tmp_path / "xmp" / "b" / "cat.xmp").read_text(encoding="utf-8")
    assert (tmp_path / "captions" / "b" / "cat.txt").is_file()
    told = json.loads(run("--xmp", tmp_path / "xmp", "--json").stdout)
    assert (told["xmp"], told["sidecars"], told["file"]) == ({"written": 2, "left_out": 0}, None, "")


def test_as_json_it_tells_what_was_done(tmp_path: Path) -> None:
    result = run("--json", "-o", tmp_path / "out.jsonl", "--sidecars", tmp_path / "captions", "--prefix", "b/")
    assert json.loads(result.stdout) == {
        "complete": True,
        "cursor": "",
        "read": 2,
        "written": 2,
        "file": str(tmp_path / "out.jsonl"),
        "sidecars": {"written": 1, "left_out": 0},
        "xmp": None,
    }
    assert run("--json", ends_with=2).stdout == ""


@pytest.mark.parametrize(
    "options",
    [
        ("--format", "xlsx"),
        ("--format", "parquet"),
        ("--status", "lost"),
        ("--since", "yesterday"),
        ("--prefix", "\udcff"),
    ],
)
def test_it_refuses_what_it_cannot_write(options: tuple[str, ...]) -> None:
    assert run(*options, ends_with=2).stdout == ""


def test_a_file_that_is_there_and_a_wrong_cursor_are_sentences(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    assert "is there already" in run("-o", tmp_path / "mine", ends_with=1).stderr
    assert "no cursor of an export" in run("--after", "mine", ends_with=1).stderr
    assert "No such file or directory" in run("-o", tmp_path / "no" / "such", ends_with=1).stderr


def test_a_lost_connection_is_said_with_the_command_that_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    walk = CatalogView.walk

    def break_off(view: CatalogView, *place: str) -> Iterator[Any]:
        for number, record in enumerate(walk(view, *place)):
            if number == 2:
                raise OperationError("AWS could not be reached.", "Check the network.")
            yield record

    monkeypatch.setattr(CatalogView, "walk", break_off)
    monkeypatch.setattr("imagescribe_ops.export.export.CHUNK", 1)
    path = tmp_path / "my prompts.jsonl"
    said = run("-o", path, "--since", "2026-01-01", "--stack", "mine", ends_with=1).stderr
    assert "AWS could not be reached" in said

    monkeypatch.setattr(CatalogView, "walk", walk)
    run(*way_on(said))
    assert [json.loads(line)["key"] for line in path.read_text(encoding="utf-8").splitlines()] == keys(run())


SLOW = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from types import SimpleNamespace
from imagescribe_ops.commands import base, export, main
from tests.unit.ops.export.catalogs import LargeTable

class SlowTable(LargeTable):
    def batch_get_item(self, **request):
        time.sleep(self.seconds)
        return super().batch_get_item(**request)

table = SlowTable(5_000)
table.seconds = float(sys.argv.pop(1))
parts = SimpleNamespace(bucket_name="pictures", catalog_table_name="catalog")
base.StackOptions.outputs = lambda options: (None, parts)
export.CatalogView = lambda *names: table.view()
main.main()
"""


def process(seconds: float, *arguments: str) -> subprocess.Popen[str]:
    """The command in a process of its own, on a table that takes so long for a hundred records."""
    command = [sys.executable, "-c", SLOW, str(seconds), "export", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.parametrize(("form", "number"), [("jsonl", signal.SIGINT), ("csv", signal.SIGTERM)])
def test_ctrl_c_ends_it_with_a_cursor_that_goes_on_without_doubles_or_gaps(
    form: str, number: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "parts"
    stopped = process(0.2, "--format", form, "-o", str(path))
    while not path.exists() or not path.stat().st_size:
        assert stopped.poll() is None
        time.sleep(0.01)
    os.kill(stopped.pid, number)
    _, said = stopped.communicate(timeout=30)
    assert stopped.returncode == 128 + number
    assert f"Stopped by {number.name}." in said
    assert 0 < path.stat().st_size < 5_000 * 1_000

    gone_on = process(0.0, *way_on(said))
    assert gone_on.wait(timeout=60) == 0, gone_on.communicate()
    text = path.read_text(encoding="utf-8-sig")
    numbers = [int(found) for found in re.findall(r"s3://pictures/(\d{8})\.png", text)]
    assert numbers == list(range(5_000))


def test_a_reader_that_has_enough_ends_it_without_a_traceback() -> None:
    piped = process(0.0)
    assert piped.stdout is not None
    assert json.loads(piped.stdout.readline())["key"] == "00000000.png"
    piped.stdout.close()
    assert piped.stderr is not None
    said = piped.stderr.read()
    assert piped.wait(timeout=60) == 1
    assert "Traceback" not in said
