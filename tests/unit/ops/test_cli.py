"""The command: what it prints, what it refuses, and that nothing from a bucket steers the terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from imagescribe.model.record import Status
from imagescribe_ops.aws import stack
from imagescribe_ops.commands import demo as cli_demo
from imagescribe_ops.commands.main import app
from imagescribe_ops.display import cut, safe
from imagescribe_ops.errors import NotFoundError, OperationError
from imagescribe_ops.local import state as local_state
from imagescribe_ops.local.demo import payment_problems
from imagescribe_ops.local.pictures import samples, select
from imagescribe_ops.local.state import LocalState
from imagescribe_ops.simulator import JournalEntry
from imagescribe_ops.template import parameter_names
from tests.unit.conftest import REGION
from tests.unit.ops.test_catalog_view import put
from tests.unit.stack_in_moto import make_stack

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

BUCKET = "pictures"
EVIL = "x/\x1b[31mred\x1b]0;title\x07 [bold]b[/bold] \u202egnp.exe\n\r\x9b2J.jpg"


@pytest.fixture(scope="module")
def outputs(aws: boto3.Session, dynamodb: DynamoDBClient, sqs: SQSClient) -> dict[str, str]:
    deployed = make_stack(aws)
    table = deployed.outputs["CatalogTableName"]
    put(dynamodb, table, "a/cat.jpg", Status.DESCRIBED, "2026-11-23T10:00:00.000Z", prompt="a cat [red]here[/red]")
    put(dynamodb, table, EVIL, Status.SKIPPED, "2026-11-23T11:00:00.000Z", error="bad \x1b[2J")
    sqs.send_message(QueueUrl=deployed.outputs["DeadLetterQueueUrl"], MessageBody="dead")
    return deployed.outputs | {"BucketName": BUCKET}


@pytest.fixture
def run(outputs: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    described = {"Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()]}
    monkeypatch.setattr(stack, "describe_stack", lambda _connection, _stack: described)

    def invoke(*arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=typed)

    return invoke


def is_harmless(text: str) -> bool:
    return not any(character in text for character in "\x1b\x07\x9b\r\u202e")


def test_get_shows_the_prompt_literally(run: Any) -> None:
    result = run("get", "s3://pictures/a/cat.jpg")
    assert result.exit_code == 0
    assert "a cat [red]here[/red]" in result.stdout


def test_get_as_json_has_the_whole_record(run: Any) -> None:
    record = json.loads(run("get", "s3://pictures/a/cat.jpg", "--json").stdout)
    assert record["image"] == "s3://pictures/a/cat.jpg"
    assert (record["status"], record["prompt"]) == ("described", "a cat [red]here[/red]")


def test_get_of_an_unknown_image_says_what_to_do(run: Any) -> None:
    result = run("get", "s3://pictures/no\x1b[31m.jpg")
    assert result.exit_code == 1
    assert "There is no object s3://pictures/no\\x1b[31m.jpg" in result.stderr
    assert "imagescribe upload FILE" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("image", ["cat.jpg", "s3://", "s3://bucket", "s3://bucket/", "https://bucket/key"])
def test_get_takes_only_the_address_of_an_object(run: Any, image: str) -> None:
    assert run("get", image).exit_code == 2


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("get", f"s3://pictures/{EVIL}")])
def test_nothing_from_a_bucket_steers_the_terminal(run: Any, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 0
    assert is_harmless(result.output)


def test_list_prints_one_line_for_each_image_where_it_is_piped(run: Any) -> None:
    lines = run("list").stdout.splitlines()
    assert lines[0] == ("2026-11-23T10:00:00.000Z\tdescribed\ts3://pictures/a/cat.jpg\ta cat [red]here[/red]")
    assert [len(line.split("\t")) for line in lines] == [4, 4]


def test_list_as_json(run: Any) -> None:
    page = json.loads(run("list", "--json", "--status", "skipped", "--day", "2026-11-23").stdout)
    assert [record["key"] for record in page["images"]] == [EVIL]
    assert page["more"] is False
    assert json.loads(run("list", "--json", "--limit", "1").stdout)["more"] is True


@pytest.mark.parametrize("arguments", [("--status", "lost"), ("--day", "yesterday"), ("--limit", "-1")])
def test_list_refuses_what_it_cannot_ask_for(run: Any, arguments: tuple[str, ...]) -> None:
    assert run("list", *arguments).exit_code == 2


def test_status_as_json(run: Any, outputs: dict[str, str]) -> None:
    status = json.loads(run("status", "--json").stdout)
    assert status["stack"] == "imagescribe"
    assert status["outputs"] == outputs
    assert status["queues"]["upload"] == {"visible": 0, "in_flight": 0, "delayed": 0}
    counted = {"visible": 1, "in_flight": 0, "delayed": 0}
    assert status["queues"]["dead_letter"] == counted | {"by_reason": {"crash": 1}}
    assert status["images"]["described"] == 1


def test_status_for_people(run: Any) -> None:
    result = run("status")
    assert result.exit_code == 0
    assert "1 described, 1 skipped" in result.stdout


def test_the_key_is_stored_as_it_was_piped_without_the_line_break(
    run: Any, outputs: dict[str, str], secrets: SecretsManagerClient
) -> None:
    result = run("key", "set", "--json", typed="SG_key-1\r\n")
    assert result.exit_code == 0
    stored = secrets.get_secret_value(SecretId=outputs["ApiKeySecretArn"])
    assert stored["SecretString"] == "SG_key-1"
    assert json.loads(result.stdout) == {
        "secret_arn": outputs["ApiKeySecretArn"],
        "version_id": stored["VersionId"],
        "resumed": False,
        "called_back": 0,
    }
    assert "SG_key-1" not in result.output


@pytest.mark.parametrize("typed", ["", "\n", "two words", "a\x00b", "line\nline", "x" * 5000, "schlüssel"])
def test_what_is_no_key_is_refused(run: Any, typed: str) -> None:
    result = run("key", "set", typed=typed)
    assert result.exit_code == 1
    assert "nothing was stored" in result.stderr


def test_the_key_is_never_taken_from_the_command_line(run: Any) -> None:
    assert run("key", "set", "SG_key-1").exit_code == 2


def test_a_missing_stack_is_told_in_a_sentence(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_connection: object, name: str) -> dict[str, str]:
        raise NotFoundError(f"There is no stack {name!r} in {REGION}.", "Deploy it with `sam deploy --guided`.")

    monkeypatch.setattr(stack, "read_outputs", missing)
    result = run("list", "--stack", "other")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"Error: There is no stack 'other' in {REGION}.",
        "Deploy it with `sam deploy --guided`.",
    ]


@pytest.mark.parametrize(
    "arguments",
    [("list", "--local", "--region", "eu-west-1"), ("list", "--stack", "../x"), ("local", "--parameter", "Nope=1")],
)
def test_usage_that_contradicts_itself_is_status_2(run: Any, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_an_unreachable_endpoint_is_told_in_a_sentence() -> None:
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": REGION,
    }
    command = [sys.executable, "-m", "imagescribe_ops.commands.main", "list"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("Error: AWS could not be reached")
    assert "Traceback" not in result.stderr


def test_demo_of_a_path_that_is_not_there_starts_nothing(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_demo, "local_stack", lambda **_: pytest.fail("something was started"))
    result = run("demo", "no/such/file.jpg")
    assert result.exit_code == 2
    assert "no/such/file.jpg does not exist" in result.stderr


@pytest.mark.parametrize("command", ["demo", "local", "get", "list", "status", "pause", "resume", "redrive", "retry"])
def test_every_command_has_an_example_or_says_it_all(run: Any, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.output


# ── What is shown ────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.text())
def test_a_shown_text_has_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = safe(text)
    assert is_harmless(shown)
    assert len(shown.splitlines()) <= 1
    shown.encode()  # no lone surrogates


@given(st.text(st.characters(whitelist_categories=["L", "N", "P", "S"])))
def test_a_shown_text_keeps_letters_of_every_language(text: str) -> None:
    assert safe(text) == text


def test_a_cut_text_is_no_longer_than_asked_for() -> None:
    assert cut("abcdef", 4) == "abc…"
    assert cut("abcd", 4) == "abcd"


# ── What the demo uploads, and how it judges ─────────────────────────────────────────────────────────────────────────


def test_a_folder_gives_its_images_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    for name in ("b.PNG", "notes.txt", "sub/a.jpg", "sub/c.heic", "sub/deep/é +.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    selection = select([tmp_path])
    assert [picture.key for picture in selection.pictures] == ["b.PNG", "sub/a.jpg", "sub/c.heic", "sub/deep/é +.webp"]
    assert [picture.content_type for picture in selection.pictures] == [
        "image/png",
        "image/jpeg",
        "image/heic",
        "image/webp",
    ]
    assert [left.path.name for left in selection.left_out] == ["notes.txt"]


def test_a_jpeg_is_found_in_a_folder_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "IMG_1.HEIC").write_bytes(b"\xff\xd8\xff\xe0 and so on")
    (picture,) = select([tmp_path]).pictures
    assert (picture.key, picture.content_type) == ("IMG_1.HEIC", "image/jpeg")


def test_a_file_that_is_named_twice_or_is_in_a_folder_that_is_named_is_taken_once(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").touch()
    again = [tmp_path / "a" / "x.png", tmp_path / "a" / ".." / "a" / "x.png", tmp_path]
    assert [picture.key for picture in select(again).pictures] == ["x.png"]


def test_files_of_one_name_get_keys_of_their_own(tmp_path: Path) -> None:
    for folder in ("one", "two", "three"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cat.jpg").touch()
    selection = select([tmp_path / folder / "cat.jpg" for folder in ("one", "two", "three")])
    assert [picture.key for picture in selection.pictures] == ["cat.jpg", "cat-2.jpg", "cat-3.jpg"]


def test_a_file_that_is_named_is_uploaded_whatever_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert [picture.key for picture in select([tmp_path / "notes.txt"]).pictures] == ["notes.txt"]


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses such a name")
def test_a_name_that_is_not_utf_8_makes_a_valid_key(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    path.touch()
    assert [picture.key for picture in select([path]).pictures] == ["caf\ufffd.jpg"]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperationError, match="There is no image"):
        select([tmp_path])


def test_the_samples_are_as_many_and_as_awkward_as_promised() -> None:
    pictures = samples().pictures
    assert len(pictures) >= 6
    assert {picture.content_type for picture in pictures} == {"image/jpeg", "image/png", "image/webp"}
    assert any(picture.tags for picture in pictures)


def journal(*calls: tuple[str, bool]) -> list[JournalEntry]:
    return [
        JournalEntry(
            id=number,
            started_at=0,
            ended_at=1,
            object_path="b/k",
            version_id=None,
            sha256=digest,
            md5=None,
            size=1,
            outcome=200 if billed else 429,
            because="",
            billed=billed,
            client_gone=False,
            request_id="",
        )
        for number, (digest, billed) in enumerate(calls, start=1)
    ]


def test_each_content_is_to_be_paid_once() -> None:
    assert payment_problems(journal(("a", True), ("b", False), ("b", True)), {"a", "b"}) == []
    assert payment_problems(journal(("a", True), ("a", True)), {"a"}) == [
        "1 of the contents were paid for more than once"
    ]
    assert payment_problems(journal(("a", False)), {"a"}) == ["1 of the contents were described without a paid call"]
    assert payment_problems(journal(("a", True)), set()) == ["1 of the contents were paid for and not described"]


def test_the_template_is_read_with_its_short_functions(tmp_path: Path) -> None:
    template = tmp_path / "template.yaml"
    template.write_text("Parameters:\n  A: {Type: String}\nResources:\n  R: !Sub [x, {y: !Ref A}]\n")
    assert parameter_names(template) == ["A"]


# ── The note of a running local stack ────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def state() -> LocalState:
    return LocalState(
        pid=os.getpid(),
        stack="one",
        endpoint_url="http://127.0.0.1:1",
        region="us-east-1",
        access_key_id="k",
        secret_access_key="s",
    )


def test_a_running_local_stack_is_found_and_its_note_is_for_its_owner_only(tmp_path: Path, state: LocalState) -> None:
    with local_state.published(state, tmp_path):
        assert local_state.running("one", tmp_path) == state
        assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]
    assert list(tmp_path.iterdir()) == []


def test_a_note_that_a_killed_process_left_is_cleared_away(tmp_path: Path, state: LocalState) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "local-one.json").write_text(json.dumps(asdict(replace(state, pid=ended.pid))))
    with pytest.raises(NotFoundError, match="No local stack 'one' is running"):
        local_state.running("one", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_second_local_stack_of_the_same_name_is_refused_and_the_first_keeps_its_note(
    tmp_path: Path, state: LocalState
) -> None:
    newer = replace(state, pid=1, endpoint_url="http://127.0.0.1:2")
    with local_state.published(state, tmp_path):
        with (
            pytest.raises(OperationError, match=f"'one' runs already: process {os.getpid()}"),
            local_state.published(newer, tmp_path),
        ):
            pytest.fail("it was let in")
        assert local_state.running("one", tmp_path) == state
    assert list(tmp_path.iterdir()) == []


def test_local_stacks_of_other_names_run_side_by_side_and_are_named(tmp_path: Path, state: LocalState) -> None:
    with local_state.published(state, tmp_path), local_state.published(replace(state, stack="two"), tmp_path):
        assert local_state.all_running(tmp_path) == ["one", "two"]
        with pytest.raises(NotFoundError, match="There is one, two: name it with --stack"):
            local_state.running("three", tmp_path)


def test_the_only_local_stack_is_found_whatever_its_name(
    run: Any, state: LocalState, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(local_state, "all_running", lambda: ["other"])

    def running(name: str) -> LocalState:
        asked.append(name)
        return state

    monkeypatch.setattr(local_state, "running", running)
    run("list", "--local")
    assert asked == ["other"]
