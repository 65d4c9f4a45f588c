"""Explain, logs, dead letters, the key's check, and a retry of many."""

from __future__ import annotations

import json
import shlex
import time
from dataclasses import replace
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner, Result

from imagescribe.model.events import parse_body, upload_body
from imagescribe.model.record import Status
from imagescribe.throttle.breaker import OpenedBy
from imagescribe_ops import call_back
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.logs import LogLine, Logs
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.commands.main import app
from imagescribe_ops.commands.status import calls_a_minute, seconds_left
from imagescribe_ops.simulator import SimulatorClient
from tests.factories import API_KEY, eventbridge_body, unique
from tests.unit.stack_in_moto import StackInMoto, described, make_stack

pytestmark = pytest.mark.usefixtures("lent_clients")


def run(*arguments: str, ends_with: int = 0, typed: str | None = None) -> Result:
    result = CliRunner().invoke(app, list(arguments), input=typed)
    assert result.exit_code == ends_with, result.output
    return result


def ask(*arguments: str, ends_with: int = 0) -> Any:
    (line,) = run(*arguments, "--json", ends_with=ends_with).stdout.splitlines()
    return json.loads(line)


def log(aws: boto3.Session, made: StackInMoto, *lines: dict[str, Any] | str) -> None:
    """Write lines into the log of the stack's function."""
    logs, group, stream = aws.client("logs"), f"/aws/lambda/{made.outputs['DescribeFunctionName']}", unique("stream")
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    now = int(time.time() * 1000)
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    events = [{"timestamp": now + number, "message": text} for number, text in enumerate(texts)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)  # type: ignore[arg-type]


@pytest.fixture
def _logs(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "logs", lambda _connection: aws.client("logs"))


# ── explain ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("_logs")
def test_a_story_is_told_from_everywhere_in_the_order_of_time(aws: boto3.Session, deployed: StackInMoto) -> None:
    upload = deployed.put('a "quoted" cat.png')
    deployed.pay(upload)
    deployed.record(upload, Status.DEAD, "503: down")
    deployed.bury(upload_body(upload, "test"), reason="transient", detail="8 attempts")
    deployed.bury(eventbridge_body(replace(upload, key="other.png")), reason="aws", detail="another's")
    other = {"message": "done", "result": "described", "image": upload.image + "2"}
    log(aws, deployed, {"message": "done", "result": "described", "image": upload.image}, other, "START RequestId: 1")
    story = ask("explain", upload.image)
    assert {(each["place"], each["what"].partition(":")[0]) for each in story["chapters"]} >= {
        ("catalog", "dead, 1 failed attempts"),
        ("dead letters", "transient"),
        ("log", "described"),
    }
    assert [each["place"] for each in story["chapters"]].count("log") == 1
    assert [each["place"] for each in story["chapters"]].count("dead letters") == 1
    assert "paid $" in next(each["what"] for each in story["chapters"] if each["place"] == "ledger")
    assert [each["time"] for each in story["chapters"]] == sorted(each["time"] for each in story["chapters"])
    assert story["now"] == (
        "Given up: 503: down. The recover function brings it back by itself. "
        f"`imagescribe retry {shlex.quote(upload.image)}` tries it again."
    )
    assert story["missing"] == []
    assert "dead letters" in run("explain", upload.image).stdout


@pytest.mark.usefixtures("_logs")
def test_a_story_is_told_though_the_log_cannot_be_read(deployed: StackInMoto) -> None:
    upload = deployed.put()
    deployed.record(upload, Status.WAITING, "503: down")
    story = ask("explain", upload.image, "--since", "2h")
    assert story["now"].startswith("It comes back at 20")
    assert story["missing"][0].startswith("the logs: ")


@pytest.mark.usefixtures("_logs")
def test_the_story_of_what_waits_without_a_record_says_so(deployed: StackInMoto) -> None:
    image = deployed.put().image
    run("pause")
    deployed.sqs.send_message(QueueUrl=deployed.outputs["UploadQueueUrl"], MessageBody="x")
    assert ask("explain", image)["now"] == (
        "It has no record. 1 message waits in the queue. Paused by the operator until `imagescribe resume`: by hand."
    )
    assert ask("explain", image + "x")["now"] == "There is no such object, and no record of one."


# ── logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("_logs")
def test_the_log_is_a_line_for_each_outcome(aws: boto3.Session, deployed: StackInMoto) -> None:
    image = f"s3://{deployed.bucket}/a.png"
    log(
        aws,
        deployed,
        {"level": "INFO", "message": "done", "result": "stale: a later event has a record", "image": image},
        {"message": "deferred", "until": "2026-01-01T00:00:00.000Z", "why": "its turn", "image": image},
        {"message": "dead letter", "reason": "transient", "detail": "503 \x1b[2J", "image": image},
        {"level": "ERROR", "message": "the queue failed", "exception_name": "ClientError"},
        "REPORT RequestId: 1",
        {"_aws": {"Timestamp": 1}, "Described": [1.0]},
        {"type": "platform.report", "record": {}},
    )
    lines = [line.split("\t")[1:] for line in run("logs").stdout.splitlines()]
    assert lines == [
        ["stale", image, "a later event has a record"],
        ["waiting", image, "until 2026-01-01T00:00:00.000Z: its turn"],
        ["dead", image, "transient: 503 \\x1b[2J"],
        ["ERROR", "", "the queue failed ClientError"],
    ]
    assert len(run("logs", image).stdout.splitlines()) == 3
    assert json.loads(run("logs", "--json").stdout.splitlines()[0])["image"] == image


@pytest.mark.usefixtures("_logs")
def test_following_shows_a_late_line_and_none_twice(aws: boto3.Session, deployed: StackInMoto) -> None:
    log(aws, deployed, {"message": "done", "result": "described", "image": "s3://b/1"})
    operations = deployed.operations()
    news = Logs.of_stack(operations.connection, operations.outputs).follow(0, sleep=lambda _seconds: None)
    assert [line.image for line in next(news)] == ["s3://b/1"]
    assert next(news) == []


def test_what_is_no_json_is_a_line_too() -> None:
    line = LogLine.of_event(1_000, "Traceback\n")
    assert (line.status, line.image, line.detail) == ("", "", "Traceback")


# ── dead letters ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_dead_letters_are_shown_and_stay(deployed: StackInMoto) -> None:
    upload = deployed.put()
    deployed.bury(upload_body(upload, "test"), reason="transient", detail="503 \x1b[2J")
    deployed.bury("no JSON", reason="malformed", detail="what is this")
    for _ in range(2):
        shown = ask("dead-letters", "show")["dead_letters"]
        assert {(each["reason"], tuple(each["images"])) for each in shown} == {
            ("transient", (upload.image,)),
            ("malformed", ()),
        }
    assert "\x1b" not in run("dead-letters", "show").output
    assert [each["body"] for each in ask("dead-letters", "show", "--reason", "Malformed")["dead_letters"]] == [
        "no JSON"
    ]
    assert len(ask("dead-letters", "show", "--image", upload.image)["dead_letters"]) == 1


def test_a_purge_asks_and_takes_only_what_is_meant(deployed: StackInMoto) -> None:
    upload = deployed.put()
    deployed.bury(upload_body(upload, "test"), reason="transient", detail="503")
    deployed.bury("no JSON", reason="malformed", detail="what is this")
    refused = run("dead-letters", "purge", ends_with=1).stderr
    assert "2 dead letters would be deleted for good." in refused
    assert ask("dead-letters", "purge", "--reason", "malformed", "--yes")["purged"] == {"malformed": 1}
    assert "Deleted: 1 transient." in run("dead-letters", "purge", "--image", upload.image, "--yes").stdout
    assert "There are no dead letters." in run("dead-letters", "purge").stdout
    assert "There are no such dead letters." in run("dead-letters", "show", "--reason", "crash").stdout


# ── retry of many ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_retry_of_many_asks_and_sends_them_with_their_dead_letters_gone(deployed: StackInMoto) -> None:
    rejected = deployed.put("a/rejected.png")
    dead = deployed.put("a/dead.png")
    gone = deployed.put("a/gone.png")
    for upload, status in ((rejected, Status.REJECTED), (dead, Status.DEAD), (gone, Status.SKIPPED)):
        deployed.record(upload, status)
    deployed.record(deployed.put("a/fine.png"), Status.DESCRIBED)
    deployed.record(deployed.put("b/rejected.png"), Status.REJECTED)
    deployed.s3.delete_object(Bucket=deployed.bucket, Key=gone.key)
    deployed.bury(upload_body(dead, "test"), reason="transient", detail="503")
    deployed.bury("no JSON", reason="malformed", detail="x")
    assert "3 images would be retried, for $0.04 at the most." in run("retry", "--prefix", "a/", ends_with=1).stderr
    assert ask("retry", "--prefix", f"s3://{deployed.bucket}/a/", "--yes") == {"retried": 2, "more": False}
    assert len(deployed.sent()) == 2
    assert [letter.body for letter in deployed.dead_letters()] == ["no JSON"]


@pytest.mark.parametrize(
    "wrong", [(), ("s3://b/k", "--status", "dead"), ("--status", "dead", "--force"), ("--status", "described")]
)
def test_a_retry_that_makes_no_sense_is_status_2(wrong: tuple[str, ...]) -> None:
    run("retry", *wrong, ends_with=2)


def test_a_forced_retry_names_the_stacks_own_price(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    made = described(make_stack(aws, PricePerCallUsd="0.04"), monkeypatch)
    upload = made.put()
    made.record(upload, Status.DESCRIBED)
    made.pay(upload)
    assert "pays $0.04 for it" in run("retry", upload.image, ends_with=1).stderr
    assert "$0.04 is paid for it once more." in run("retry", "--force", upload.image).stdout


# ── who was told to wait ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_key_calls_back_who_was_told_to_wait(deployed: StackInMoto) -> None:
    upload = deployed.put()
    deployed.record(upload, Status.WAITING, "no API key is set")
    deployed.open(OpenedBy.ACCOUNT, "no API key is set")
    until = ask("status")["last_back_at"]
    assert f"the last one comes back at {until}" in run("status").stdout
    said = run("key", "set", typed="SG_new").stdout
    assert "is resumed. 1 image that was told to wait is called back at once." in said
    assert deployed.sent_upload() == upload  # the same event: attempts go on, and whichever comes later is done


def test_what_a_backfill_waits_with_is_called_back_behind_the_uploads(deployed: StackInMoto) -> None:
    upload, old = deployed.put("today.png"), deployed.put("old.png", sequencer="0", job="bf-1")
    deployed.record(old, Status.WAITING)
    deployed.record(upload, Status.WAITING)
    assert ask("resume")["called_back"] == 2
    assert deployed.sent_upload() == upload
    (message,) = deployed.sent_to_backfill()
    assert parse_body(message.body) == [old]


def test_a_message_that_can_be_received_hides_nobody_who_was_told_to_wait(deployed: StackInMoto) -> None:
    deployed.record(deployed.put(), Status.WAITING)
    deployed.sqs.send_message(QueueUrl=deployed.outputs["UploadQueueUrl"], MessageBody="another's")
    assert ask("resume")["called_back"] == 1


def test_nobody_is_called_back_where_the_line_is_long_enough(
    deployed: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call_back, "MAX_CALLED_BACK", 1)
    deployed.record(deployed.put(), Status.WAITING)
    deployed.sqs.send_message(QueueUrl=deployed.outputs["UploadQueueUrl"], MessageBody="another's")
    assert ask("resume")["called_back"] == 0


# ── key check ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def asked(aws: boto3.Session, simulator: SimulatorClient, monkeypatch: pytest.MonkeyPatch) -> StackInMoto:
    """A stack that calls the simulator."""
    made = described(make_stack(aws, DescribeUrl=simulator.describe_url), monkeypatch)
    aws.client("secretsmanager").put_secret_value(SecretId=made.outputs["ApiKeySecretArn"], SecretString=API_KEY)
    return made


@pytest.mark.usefixtures("asked")
def test_a_key_that_is_taken_is_told_with_what_is_left(simulator: SimulatorClient) -> None:
    simulator.configure(credits_usd=1.5)
    assert run("key", "check").stdout == "The endpoint takes the key. $1.50 are left: 100 images at $0.015.\n"
    assert ask("key", "check") == {"accepted": True, "balance_usd": 1.5, "pays": True}
    simulator.configure(credits_usd=0.0)
    assert ask("key", "check", ends_with=1)["pays"] is False
    assert simulator.counts().calls == 0


@pytest.mark.usefixtures("asked")
def test_a_key_that_is_refused_is_told_without_the_key(simulator: SimulatorClient) -> None:
    simulator.configure(api_key="another-key-0123456789")
    result = run("key", "check", ends_with=1)
    assert "refuses the key (401: " in result.stderr
    assert "imagescribe key set" in result.stderr
    assert API_KEY not in result.output


def test_no_key_is_told(deployed: StackInMoto) -> None:
    assert "run `imagescribe key set`" in run("key", "check", ends_with=1).stderr


# ── status --watch ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_live_rate_is_what_was_spent_by_the_time() -> None:
    assert calls_a_minute([(0, 0.0), (30, 0.3)], 0.015) == 40
    assert calls_a_minute([(0, 0.3)], 0.015) == 0
    assert calls_a_minute([(0, 24.0), (30, 0.3)], 0.015) == 0  # a new day began


def test_calls_that_are_free_cannot_be_counted_by_what_was_spent() -> None:
    assert calls_a_minute([(0, 0.0), (30, 0.0)], 0) is None


def test_the_time_left_is_the_backlog_by_the_rate(deployed: StackInMoto) -> None:
    intake = deployed.operations().intake()
    assert seconds_left(intake, QueueDepth(90, 10, 0), 50.0) == 120
    assert seconds_left(intake, QueueDepth(0, 0, 0), 50.0) == 0
    deployed.open(OpenedBy.OPERATOR)
    assert seconds_left(deployed.operations().intake(), QueueDepth(90, 10, 0), 50.0) is None


def test_a_live_view_that_is_piped_is_a_line_each_time_and_ends_with_ctrl_c(
    deployed: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    result = run("status", "--watch", ends_with=130)
    (line,) = result.stdout.splitlines()
    assert "\twaiting 0\t" in line
    assert "Traceback" not in result.output
