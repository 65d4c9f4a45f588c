"""Upload, get and list: what goes up, what comes back, and what is said of an image that waits unseen."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from imagescribe.model.record import Status
from imagescribe.model.tags import TagState
from imagescribe.query import pages
from imagescribe.throttle.breaker import OpenedBy
from imagescribe_ops import following
from imagescribe_ops.commands import waiting
from imagescribe_ops.commands.main import app
from imagescribe_ops.display import cut_start
from tests.factories import make_picture
from tests.unit.stack_in_moto import StackInMoto, described, make_stack

pytestmark = pytest.mark.usefixtures("lent_clients")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "ASK_SECONDS", 0.0)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "my cat.png"
    path.write_bytes(make_picture())
    return path


def run(*arguments: str, ends_with: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == ends_with, result.output
    return result


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def on_terminal(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    """Run it on a terminal of 80 columns, and return the lines that it shows."""
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", terminal)
        patch.setenv("COLUMNS", "80")
        patch.setenv("NO_COLOR", "1")
        patch.setenv("TERM", "dumb")
        app(list(arguments), standalone_mode=False)
    return terminal.getvalue().splitlines()


# ── upload ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_upload_prints_the_addresses(deployed: StackInMoto, picture: Path) -> None:
    result = run("upload", str(picture), "--prefix", "2026/", "--tag", "owner=Ann + Bob", "--tag", "x=y")
    assert result.stdout.splitlines() == [f"s3://{deployed.bucket}/2026/my cat.png"]
    head = deployed.s3.head_object(Bucket=deployed.bucket, Key="2026/my cat.png")
    assert head["ContentType"] == "image/png"
    tags = deployed.s3.get_object_tagging(Bucket=deployed.bucket, Key="2026/my cat.png")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"owner": "Ann + Bob", "x": "y"}


def test_an_upload_that_waits_prints_the_prompt(deployed: StackInMoto, picture: Path) -> None:
    deployed.record(deployed.put("my cat.png"), Status.DESCRIBED)  # the same picture
    result = run("upload", str(picture), "--wait")
    assert result.stdout == f"s3://{deployed.bucket}/my cat.png\tdescribed\ta cat\n"


def test_on_a_terminal_what_became_of_an_upload_is_broken_between_words(
    deployed: StackInMoto, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.record(deployed.put("my cat.png"), Status.REJECTED, "no cat " * 30)
    shown = on_terminal(monkeypatch, "upload", str(picture), "--wait")
    assert shown[0] == f"s3://{deployed.bucket}/my cat.png"
    assert " ".join(shown[1:]).split() == ["rejected", *("no cat " * 30).split()]
    assert max(map(len, shown[1:])) <= 80


def test_an_upload_that_waits_ends_with_1_if_one_is_not_described(deployed: StackInMoto, picture: Path) -> None:
    deployed.record(deployed.put("my cat.png"), Status.REJECTED, "422: no")
    result = run("upload", str(picture), "--wait", "--json", ends_with=1)
    assert json.loads(result.stdout) == {
        "images": [
            {
                "file": str(picture),
                "image": f"s3://{deployed.bucket}/my cat.png",
                "status": "rejected",
                "prompt": "",
                "error": "422: no",
            }
        ]
    }


def test_the_record_of_what_was_there_before_does_not_count(deployed: StackInMoto, picture: Path) -> None:
    deployed.record(deployed.put("my cat.png", etag="another"), Status.DESCRIBED)
    result = run("upload", str(picture), "--wait", "--timeout", "1s", ends_with=1)
    assert result.stdout == ""
    assert "1 image has not come to an end in this time. Nothing waits" in result.stderr


def test_whoever_waits_is_told_of_a_pause_once(deployed: StackInMoto, picture: Path) -> None:
    deployed.open(OpenedBy.ACCOUNT, "no API key is set")
    said = run("upload", str(picture), "--wait", "--timeout", "1s", ends_with=1).stderr
    assert said.count("no API key is set") == 2  # on the way, and at the end


@pytest.mark.parametrize(
    "wrong", [("--tag", "x"), ("--tag", "=x"), ("--timeout", "soon"), ("--prefix", "\udcff"), ("missing.png",)]
)
def test_an_upload_that_makes_no_sense_is_status_2(
    deployed: StackInMoto, picture: Path, wrong: tuple[str, ...]
) -> None:
    run("upload", str(picture), *wrong, ends_with=2)
    assert deployed.s3.list_objects_v2(Bucket=deployed.bucket)["KeyCount"] == 0


def test_what_the_stack_does_not_describe_is_not_uploaded(
    aws: Any, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = described(make_stack(aws, KeyPrefix="photos/"), monkeypatch)
    assert "begin with 'photos/'" in run("upload", str(picture), ends_with=1).stderr
    run("upload", str(picture), "--prefix", "photos/")
    assert made.s3.list_objects_v2(Bucket=made.bucket)["KeyCount"] == 1


# ── get ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_get_says_why_an_image_in_the_queue_has_no_record(deployed: StackInMoto) -> None:
    image = deployed.put("cat.png").image
    deployed.sqs.send_message(QueueUrl=deployed.outputs["UploadQueueUrl"], MessageBody="x")
    deployed.open(OpenedBy.OPERATOR, "invoice dispute", 600)
    told = run("get", image, ends_with=1).stderr.splitlines()
    until = deployed.operations().intake().paused_until
    assert told == [
        f"Error: {image} has no record yet.",
        f"1 message waits in the queue. Paused by the operator until {until}: invoice dispute.",
    ]


def test_get_says_how_long_the_queue_is(deployed: StackInMoto) -> None:
    image = deployed.put("cat.png").image
    for number in range(3):
        deployed.sqs.send_message(QueueUrl=deployed.outputs["UploadQueueUrl"], MessageBody=str(number))
    told = run("get", image, ends_with=1).stderr
    assert "3 messages wait in the queue; at " in told
    assert "calls a minute the last one's turn is in a minute or two." in told


def test_get_of_another_buckets_image_names_ours(deployed: StackInMoto) -> None:
    assert f"s3://{deployed.bucket}" in run("get", "s3://another/cat.png", ends_with=1).stderr


def test_get_waits_until_the_end(deployed: StackInMoto) -> None:
    good, bad = deployed.put("good.png"), deployed.put("bad.png")
    deployed.record(good, Status.DESCRIBED)
    deployed.record(bad, Status.REJECTED, "422: no")
    assert "a cat" in run("get", good.image, "--wait").stdout
    assert "422: no" in run("get", bad.image, "--wait", ends_with=1).stdout
    assert "no object" in run("get", f"s3://{deployed.bucket}/none.png", "--wait", ends_with=1).stderr


# ── list ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_terminal_of_80_columns_shows_an_image_on_one_line_key_first(
    deployed: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed.record(deployed.put("holiday photos/2026/a very long way down to the/Café + crème.png"), Status.DESCRIBED)
    deployed.record(deployed.put("notes.txt"), Status.SKIPPED, "not a JPEG, PNG or WebP image (by its first bytes)")
    header, *lines = on_terminal(monkeypatch, "list")
    assert header.split() == ["image", "status", "uploaded", "prompt"]
    assert len(lines) == 2
    assert all(len(line) <= 80 for line in lines)
    assert lines[0].startswith("…")
    assert "Café + crème.png  described  20" in lines[0]
    assert lines[1].startswith("notes.txt ")
    assert lines[1].rstrip().endswith("…")


def test_list_says_how_many_there_are_and_what_waits_without_a_record(deployed: StackInMoto) -> None:
    deployed.record(deployed.put("a.png"), Status.DESCRIBED)
    assert run("list").stderr == "1 image\n"
    deployed.sqs.send_message(QueueUrl=deployed.outputs["UploadQueueUrl"], MessageBody="x")
    run("pause")
    assert run("list", "--status", "WAITING").stderr.splitlines() == [
        "No images match.",
        "Images without a record may be among them: 1 message waits in the queue. "
        "Paused by the operator until `imagescribe resume`: by hand.",
    ]


def test_a_prefix_may_be_written_as_an_address_of_the_bucket(deployed: StackInMoto) -> None:
    deployed.record(deployed.put("a/cat.png"), Status.DESCRIBED)
    deployed.record(deployed.put("b/cat.png"), Status.DESCRIBED)
    assert len(run("list", "--prefix", f"s3://{deployed.bucket}/a/").stdout.splitlines()) == 1
    refused = run("list", "--prefix", "s3://another/a/", ends_with=1).stderr
    assert f"Its bucket is s3://{deployed.bucket}" in refused


def test_a_cut_name_keeps_its_end_by_the_columns_of_a_terminal() -> None:
    assert cut_start("abcdef", 4) == "…def"
    assert cut_start("abcd", 4) == "abcd"
    assert cut_start("漢字漢字", 5) == "…漢字"


# ── Labels ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def label(stack: StackInMoto, key: str, *labels: str) -> str:
    """Let an image be described with labels, and return its address."""
    upload = stack.put(key)
    stack.catalog.open(upload)
    stack.catalog.describe(upload, upload.uploaded_at, "a prompt", TagState.WRITTEN, 0, labels=set(labels))
    return upload.image


def test_get_shows_the_labels_in_the_order_of_the_alphabet(deployed: StackInMoto) -> None:
    image = label(deployed, "a.png", "person", "boat")
    assert "labels       boat, person\n" in run("get", image).stdout
    assert json.loads(run("get", image, "--json").stdout)["labels"] == ["boat", "person"]
    assert "labels" not in run("get", label(deployed, "b.png")).stdout


def test_list_by_label_fills_a_page_however_rare_the_label_is(
    deployed: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MAX_EXAMINED", 2)
    monkeypatch.setattr(pages, "BATCH_GET_LIMIT", 2)
    boats = [label(deployed, f"{number}.png", *(["boat"] if number in (1, 6, 8) else [])) for number in range(10)]
    wanted = [boats[number] for number in (1, 6, 8)]

    def listed(*arguments: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(run("list", "--label", "Boat", "--json", *arguments).stdout)
        return answer

    assert [each["image"] for each in listed()["images"]] == wanted
    first = listed("--limit", "2")
    assert [each["image"] for each in first["images"]] == wanted[:2]
    assert first["more"]
    rest = listed("--limit", "2", "--after", first["after"])
    assert [each["image"] for each in rest["images"]] == wanted[2:]
    assert not rest["more"]
