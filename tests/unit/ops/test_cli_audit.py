"""`imagescribe audit`: what it prints, and with which status it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from imagescribe.model.record import Status
from imagescribe_ops.commands.main import app
from tests.unit.stack_in_moto import StackInMoto

EVIL = "x/\x1b[31mred\x07 [bold]b[/bold] \u202egnp.exe.jpg"


@pytest.fixture(autouse=True)
def _much_later(deployed: StackInMoto) -> None:
    deployed.clock.now = 4e9  # long after what moto writes on its objects


def run(*arguments: str, ends_with: int = 0) -> Result:
    result = CliRunner().invoke(app, ["audit", *arguments])
    assert result.exit_code == ends_with, result.output
    return result


def answer(result: Result) -> Any:
    (line,) = result.stdout.splitlines()
    return json.loads(line)


def test_a_clean_stack_ends_with_0(deployed: StackInMoto) -> None:
    deployed.record(deployed.put("a.png"), Status.DESCRIBED)
    assert "Nothing is missing." in run().stderr


def test_what_is_wrong_is_a_line_each_and_ends_with_1(deployed: StackInMoto) -> None:
    deployed.put("a.png")
    result = run(ends_with=1)
    (line,) = result.stdout.splitlines()
    verdict, image, detail = line.split("\t")
    assert (verdict, image) == ("missing", f"s3://{deployed.bucket}/a.png")
    assert detail.startswith("uploaded 20")
    assert "Something is wrong: 1 missing." in result.stderr


def test_json_says_all_of_it_on_one_line(deployed: StackInMoto) -> None:
    deployed.put("in/a.png")
    deployed.put("out.png")
    said = answer(run("--json", "--prefix", "in/", ends_with=1))
    assert (said["ok"], said["prefix"], said["objects"], said["records"]) == (False, "in/", 1, 0)
    assert said["verdicts"] == {"missing": 1}
    assert [(each["verdict"], each["image"]) for each in said["findings"]] == [
        ("missing", f"s3://{deployed.bucket}/in/a.png")
    ]


def test_a_repair_says_what_it_did_and_still_ends_with_1(deployed: StackInMoto) -> None:
    deployed.put("a.png")
    assert answer(run("--repair", "--json", ends_with=1))["repaired"] == {"sent": 1, "tags": 0}
    assert len(deployed.sent_to_backfill()) == 1
    assert "1 sent on their way" in run("--repair", ends_with=1).stderr


def test_a_repair_of_tags_says_how_many_it_wrote(deployed: StackInMoto) -> None:
    deployed.record(deployed.put("a.png"), Status.DESCRIBED)
    result = run("--repair", "--tags", "all", ends_with=1)
    assert "with another tag than the catalog says" in result.stderr
    assert "the tags of 1 object written" in " ".join(result.stderr.split())
    assert "Nothing is missing" in run("--repair", "--tags", "all").stderr


def test_a_key_never_steers_the_terminal(deployed: StackInMoto) -> None:
    deployed.put(EVIL)
    for options in ([], ["--json"]):
        output = run(*options, ends_with=1).output
        assert not any(character in output for character in "\x1b\x07\u202e")


def test_a_prefix_that_is_no_utf_8_is_status_2(deployed: StackInMoto) -> None:
    run("--prefix", "\udcff", ends_with=2)
