"""`imagescribe search`: what it prints, what it refuses, and that a prompt never steers the terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner, Result

from imagescribe.model.tags import TagState
from imagescribe.query import search
from imagescribe.query.api import Api
from imagescribe.query.pages import Pages
from imagescribe.query.reader import CatalogReader
from imagescribe.query.search import Search
from imagescribe.query.snapshot import Snapshots
from imagescribe_ops.aws import stack
from imagescribe_ops.commands.main import app
from imagescribe_ops.commands.search import _marked
from tests.factories import stand_in, unique
from tests.unit.conftest import make_bucket
from tests.unit.query.conftest import make_pictures
from tests.unit.query.function_url import Handler, serving
from tests.unit.stack_in_moto import StackInMoto

type Run = Callable[..., Result]

FUNCTION_URL = "https://abc.lambda-url.eu-central-1.on.aws/"


@pytest.fixture
def library(deployed: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> StackInMoto:
    """A stack with a query function."""
    deployed.outputs["QueryUrl"] = FUNCTION_URL
    monkeypatch.setattr(stack, "describe_stack", lambda _connection, _stack: deployed.describe())
    return deployed


@pytest.fixture
def handler(library: StackInMoto, tmp_path: Path, aws: boto3.Session) -> Handler:
    """The query function over the stack's tables."""
    reader = CatalogReader(library.dynamodb, library.outputs["CatalogTableName"], library.clock)
    search = Search(Snapshots(library.s3, make_bucket(library.s3)), reader, tmp_path, library.clock)
    pages = Pages(library.dynamodb, library.outputs["CatalogTableName"], library.bucket, reader)
    api = Api(search, pages, reader, make_pictures(library.s3)[0]).resolver()
    return lambda event: api.resolve(event, stand_in(None))


@pytest.fixture
def run(handler: Handler, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    with serving(handler) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield lambda *arguments: CliRunner().invoke(app, ["search", *arguments])


def describe(library: StackInMoto, key: str, prompt: str, *labels: str) -> None:
    library.clock.sleep(1)
    upload = library.put(key, sequencer=f"{unique('0'):0>20}")
    library.catalog.open(upload)
    at = "2026-11-02T09:15:04.000Z"
    library.catalog.describe(upload, at, prompt, TagState.WRITTEN, 0, labels=frozenset(labels))


def test_what_is_found_is_a_line_each_newest_first(library: StackInMoto, run: Run) -> None:
    describe(library, "1.png", "a red boat")
    describe(library, "2.png", "two red boats")
    result = run("red", "boat")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"2026-11-02T09:15:04.000Z\ts3://{library.bucket}/2.png\ttwo red boats",
        f"2026-11-02T09:15:04.000Z\ts3://{library.bucket}/1.png\ta red boat",
    ]


def test_a_word_with_a_minus_is_left_out_and_is_no_option(library: StackInMoto, run: Run) -> None:
    describe(library, "1.png", "a boat in the harbour")
    describe(library, "2.png", "a boat at sea")
    for left_out in ("-harbour", '-"the harbour"', "-harb*"):
        assert [image["key"] for image in json.loads(run("boat", left_out, "--json").stdout)["images"]] == ["2.png"]


def test_as_json_it_is_what_the_function_answers_page_by_page(library: StackInMoto, run: Run) -> None:
    for number in range(3):
        describe(library, f"a/{number}.png", "a boat")
    first = json.loads(run("boat", "--json", "--limit", "2", "--prefix", "a/", "--since", "2026-11-01").stdout)
    assert [image["key"] for image in first["images"]] == ["a/2.png", "a/1.png"]
    assert first["images"][0]["matches"] == [[2, 6]]
    second = json.loads(run("boat", "--json", "--limit", "2", "--prefix", "a/", "--after", first["after"]).stdout)
    assert [image["key"] for image in second["images"]] == ["a/0.png"]
    assert second["after"] is None
    assert f"--after {first['after']}" in run("boat", "--limit", "2", "--prefix", "a/").stderr
    assert json.loads(run("boat", "--json", "--until", "2026-11-01").stdout)["images"] == []
    assert len(json.loads(run("boat", "--json", "--best").stdout)["images"]) == 3


def test_by_label_only_what_has_it_is_found(library: StackInMoto, run: Run) -> None:
    describe(library, "1.png", "a red boat", "boat")
    describe(library, "2.png", "a red house")
    assert run("red", "--label", " Boat ").stdout.splitlines() == [
        f"2026-11-02T09:15:04.000Z\ts3://{library.bucket}/1.png\ta red boat"
    ]
    assert "No images match." in run("red", "--label", "dog").stderr


def test_a_rare_label_is_looked_for_in_as_many_requests_as_it_takes(
    library: StackInMoto, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MAX_EXAMINED", 2)
    monkeypatch.setattr(search, "BATCH_GET_LIMIT", 1)
    for number in range(9):
        describe(library, f"{number}.png", "a boat", *(["rare"] if number % 4 == 0 else []))
    for order in ([], ["--best"]):
        first = json.loads(run("boat", "--label", "rare", "--limit", "2", "--json", *order).stdout)
        assert [image["key"] for image in first["images"]] == ["8.png", "4.png"]
        second = json.loads(run("boat", "--label", "rare", "--json", "--after", first["after"], *order).stdout)
        assert ([image["key"] for image in second["images"]], second["after"]) == (["0.png"], None)


def test_nothing_found_is_said(run: Run) -> None:
    result = run("zebra")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "No images match." in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["boat", "OR"], "OR stands between"),
        (['"red boat'], "not closed"),
        (["boat", "--after", "nonsense"], "cursor"),
        (["boat", "--since", "yesterday"], "since is no day"),
    ],
)
def test_what_the_function_refuses_is_told_in_its_words(run: Run, arguments: list[str], says: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert says in result.stderr


def test_an_option_that_there_is_not_is_no_word(run: Run) -> None:
    result = run("boat", "--sinse", "2026")
    assert result.exit_code == 2
    assert "--sinse" in result.stderr


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"statusCode": 403, "body": '{"Message": "Forbidden"}'}, "lambda:InvokeFunctionUrl"),
        ({"statusCode": 502, "body": "Internal Server Error"}, "failed (502)"),
        ({"statusCode": 200, "body": "[]"}, "failed (200)"),
    ],
)
def test_a_function_that_does_not_answer_as_it_should_is_told_of(
    library: StackInMoto, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], says: str
) -> None:
    with serving(lambda _event: answer | {"headers": {}}) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        result = CliRunner().invoke(app, ["search", "boat"])
    assert result.exit_code == 1
    assert says in result.stderr


def test_a_function_that_can_not_be_reached_and_one_that_there_is_not_are_told_of(
    library: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    assert "could not be reached" in CliRunner().invoke(app, ["search", "boat"]).stderr
    del library.outputs["QueryUrl"]
    assert "no query function" in CliRunner().invoke(app, ["search", "boat"]).stderr


def test_the_words_are_bold_that_an_image_was_found_by_and_nothing_steers_the_terminal() -> None:
    text = _marked("a red\x1b[2J boat", [(2, 5), (10, 14)])
    assert text.plain == "a red\\x1b[2J boat"
    assert [text.plain[span.start : span.end] for span in text.spans] == ["red", "boat"]
    assert {span.style for span in text.spans} == {"bold"}
