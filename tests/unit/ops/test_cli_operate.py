"""The operator's commands: what each prints, what it refuses, and with which status it ends."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Protocol

import boto3
import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner, Result

from imagescribe.aws.mappings import Mappings
from imagescribe.model.record import Status
from imagescribe.throttle.breaker import OpenedBy
from imagescribe_ops import operations, standing
from imagescribe_ops.aws import stack
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.commands import key as cli_key
from imagescribe_ops.commands.main import app
from tests.factories import eventbridge_body
from tests.unit.conftest import REGION
from tests.unit.stack_in_moto import StackInMoto, described, make_stack

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

COMMANDS = [("status",), ("pause",), ("resume",), ("redrive",), ("retry", "s3://bucket/cat.png"), ("key", "set")]
pytestmark = pytest.mark.usefixtures("lent_clients")

EVIL = "x/\x1b[31mred\x1b]0;title\x07 [bold]b[/bold] \u202egnp.exe\n\r\x9b2J.jpg"
SAID = "x/\\x1b[31mred\\x1b]0;title\\x07 [bold]b[/bold] \\u202egnp.exe\\n\\r\\x9b2J.jpg"
"""The same as it is to be shown."""


class Run(Protocol):
    """Runs the command, as typed with `typed` on its standard input."""

    def __call__(self, *arguments: str, typed: str | None = None) -> Result: ...


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail a test in which the command looks for its stack."""
    monkeypatch.setattr(stack, "describe_stack", lambda *_: pytest.fail("the stack was looked for"))


@pytest.fixture
def run() -> Run:
    def invoke(*arguments: str, typed: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=typed)

    return invoke


class NoStacks:
    """CloudFormation of an account without a stack."""

    def describe_stacks(self, **request: str) -> None:
        message = f"Stack with id {request['StackName']} does not exist"
        raise ClientError({"Error": {"Code": "ValidationError", "Message": message}}, "DescribeStacks")


def is_harmless(text: str) -> bool:
    return not any(character in text for character in "\x1b\x07\x9b\r\u202e")


def rows(output: str) -> dict[str, str]:
    """Read what is printed as names and values."""
    return {
        name: value for line in output.splitlines() if line for name, value in [re.split(r"\s{2,}", line, maxsplit=1)]
    }


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return str(result.stdout).removesuffix("\n")


def answer(result: Result) -> Any:
    """Read the one line of JSON that is all there is on standard output."""
    (line,) = said(result).splitlines()
    return json.loads(line)


# ── All of them ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_stack_that_is_not_there_is_told_in_a_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], options: tuple[str, ...]
) -> None:
    monkeypatch.setattr(Connection, "cloudformation", lambda _connection: NoStacks())
    result = run(*command, *options, "--stack", "nowhere", typed="key")
    assert result.exit_code == 1
    assert result.stdout == ""
    first, advice = result.stderr.splitlines()
    assert first == f"Error: There is no stack 'nowhere' in {REGION}."
    assert "`imagescribe deploy --guided --stack nowhere`" in advice
    assert "--local" in advice


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "wrong", [("--no-such-flag",), ("--stack", "../x"), ("--local", "--region", REGION), ("one", "too", "many")]
)
@pytest.mark.usefixtures("untouched")
def test_flags_that_make_no_sense_are_status_2(run: Run, command: tuple[str, ...], wrong: tuple[str, ...]) -> None:
    result = run(*command, *wrong)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: " in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("pause", "--for", "5"),
        ("pause", "--for", "0s"),
        ("pause", "--for", "-5m"),
        ("pause", "--for", "1.5h"),
        ("pause", "--for", "1w"),
        ("pause", "--for", ""),
        ("pause", "--reason", " "),
        ("pause", "--reason", "caf\udce9"),
        ("redrive", "--reason", "boredom"),
        ("retry",),
        ("retry", "cat.png"),
        ("retry", "s3://bucket"),
        ("retry", "s3://bucket/"),
        ("retry", "s3://bucket/caf\udce9.png"),
        ("key",),
        ("key", "set", "SG_the-key-itself"),
    ],
)
@pytest.mark.usefixtures("untouched")
def test_values_that_make_no_sense_are_status_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_how_it_is_used(run: Run, command: tuple[str, ...]) -> None:
    words = command if command[0] == "key" else command[:1]
    text = said(run(*words, "--help"))
    assert "--json" in text
    assert f"imagescribe {words[0]}" in text


# ── status ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_status_answers_why_nothing_happens(run: Run, deployed: StackInMoto) -> None:
    deployed.record(deployed.put("a.png"), Status.DESCRIBED)
    deployed.record(deployed.put("b.png"), Status.DEAD)
    deployed.bury("b", reason="unreadable", detail="<html>")
    deployed.bury("c", reason="transient", detail="503")
    deployed.open(OpenedBy.ACCOUNT, "401: Invalid API key")
    shown = rows(said(run("status")))
    until = deployed.operations().status().intake.paused_until
    assert shown["why"] == f"Paused by the account until {until}: 401: Invalid API key"
    assert shown["images"] == "1 described, 1 dead"
    assert shown["dead letters"] == "2 to be received"
    assert set(shown["by reason"].split(", ")) == {"1 unreadable", "1 transient"}
    assert "oldest waiting" not in shown
    assert "BucketName" not in shown
    more = rows(said(run("status", "--verbose")))
    assert more["mappings"].endswith(" Enabled")
    assert more["BucketName"] == deployed.bucket


def test_status_shows_what_waits_and_what_is_spent(
    run: Run, aws: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = described(make_stack(aws, DailyBudgetUsd="5", MaxRequestsPerMinute="30"), monkeypatch)
    upload = deployed.put()
    deployed.record(upload, Status.WAITING)
    deployed.sqs.send_message(QueueUrl=deployed.outputs["UploadQueueUrl"], MessageBody="x")
    deployed.spend(0.045)
    shown = rows(said(run("status")))
    assert shown["oldest waiting"] == f"uploaded {upload.uploaded_at}"
    assert shown["spent today"] == "$0.045 of $5"
    assert shown["upload queue"].startswith("1 to be received")
    assert shown["rate"].endswith(" calls a minute")
    assert shown["why"].startswith("1 message waits or is in work, at up to ")


def test_status_says_that_calls_are_free(run: Run, aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed = described(make_stack(aws, DailyBudgetUsd="0", PricePerCallUsd="0"), monkeypatch)
    deployed.spend(0.004)  # as many calls show that they come to their end
    assert rows(said(run("status")))["spent today"] == "nothing: calls are free"
    assert json.loads(said(run("status", "--json")))["intake"]["spent_today_usd"] == 0


def test_status_as_json(run: Run, deployed: StackInMoto) -> None:
    deployed.record(deployed.put("a.png"), Status.REJECTED)
    deployed.bury("x", reason="aws", detail="d")
    deployed.open(OpenedBy.ENDPOINT, "503: down", 60)
    deployed.fail(4)
    status = answer(run("status", "--json"))
    assert set(status) == {
        "stack",
        "why",
        "outputs",
        "queues",
        "images",
        "images_complete",
        "oldest_waiting_at",
        "last_back_at",
        "intake",
    }
    assert status["outputs"] == deployed.outputs
    assert status["queues"]["dead_letter"] == {"visible": 1, "in_flight": 0, "delayed": 0, "by_reason": {"aws": 1}}
    assert status["images"]["rejected"] == 1
    assert status["images_complete"] is True
    assert status["oldest_waiting_at"] is None
    intake = status["intake"]
    assert (intake["paused_by"], intake["paused_because"], intake["failures"]) == ("endpoint", "503: down", 4)
    assert status["why"] == f"Paused by the endpoint until {intake['paused_until']}: 503: down"
    assert [mapping["state"] for mapping in intake["mappings"]] == ["Enabled"]


def test_status_says_that_not_all_dead_letters_were_read(
    run: Run, deployed: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "MAX_DEAD_LETTERS_COUNTED", 2)
    for number in range(3):
        deployed.bury(str(number), reason="transient")
    assert rows(said(run("status")))["by reason"] == "2 transient (of 2 that were read)"


def test_what_an_endpoint_says_does_not_steer_the_terminal(run: Run, deployed: StackInMoto) -> None:
    deployed.open(OpenedBy.ACCOUNT, EVIL)
    for arguments in (("status",), ("status", "--json")):
        result = run(*arguments)
        assert result.exit_code == 0
        assert is_harmless(result.output)
    assert rows(said(run("status")))["why"].endswith(SAID)
    assert answer(run("status", "--json"))["intake"]["paused_because"] == EVIL


# ── pause and resume ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_pause(run: Run, deployed: StackInMoto) -> None:
    assert said(run("pause", "--reason", " invoice dispute ")) == (
        "Paused by the operator until `imagescribe resume`: invoice dispute. "
        "Calls under way are finished, uploads wait."
    )
    assert rows(said(run("status")))["why"] == ("Paused by the operator until `imagescribe resume`: invoice dispute")


@pytest.mark.parametrize(("time", "seconds"), [("90s", 90), ("30m", 1_800), ("2h", 7_200), ("1d", 86_400)])
def test_pause_for_a_time(run: Run, deployed: StackInMoto, time: str, seconds: int) -> None:
    assert said(run("pause", "--for", time)).startswith("Paused by the operator until 20")
    assert deployed.breaker.open_until == deployed.clock() + seconds
    deployed.clock.sleep(seconds + 1)
    assert "Paused" not in said(run("status"))


def test_pause_as_json(run: Run, deployed: StackInMoto) -> None:
    paused = answer(run("pause", "--json", "--reason", EVIL))
    assert paused["stack"] == "imagescribe"
    intake = paused["intake"]
    assert (intake["paused_by"], intake["paused_because"], intake["paused_until"]) == ("operator", EVIL.strip(), "")
    assert [mapping["state"] for mapping in intake["mappings"]] == ["Disabled"]


def test_an_evil_reason_is_shown_harmlessly(run: Run, deployed: StackInMoto) -> None:
    output = said(run("pause", "--reason", EVIL))
    assert SAID in output
    assert is_harmless(output)


def test_resume(run: Run, deployed: StackInMoto) -> None:
    run("pause")
    assert said(run("resume")) == "Resumed. What waits in the queue is received now."
    assert deployed.breaker.open_until == 0
    assert deployed.mapping_state() == "Enabled"


def test_resume_as_json(run: Run, deployed: StackInMoto) -> None:
    run("pause")
    resumed = answer(run("resume", "--json"))
    assert resumed["stack"] == "imagescribe"
    assert resumed["intake"]["paused_by"] == ""
    assert [mapping["state"] for mapping in resumed["intake"]["mappings"]] == ["Enabled"]


def test_resume_says_that_a_spent_budget_still_holds(
    run: Run, aws: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployed = described(make_stack(aws, DailyBudgetUsd="0.02"), monkeypatch)
    deployed.spend(0.015)
    output = said(run("resume"))
    assert output.startswith("Paused by the budget until ")
    assert "the day's budget of $0.02 is spent" in output
    assert output.endswith("deploy with a larger DailyBudgetUsd.")


def test_resume_says_if_something_pauses_again_at_once(
    run: Run, deployed: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    enable = Mappings.enable

    def enable_and_fail(mappings: Mappings, *, enabled: bool) -> bool:
        deployed.open(OpenedBy.ACCOUNT, "402: no credits")
        return enable(mappings, enabled=enabled)

    monkeypatch.setattr(Mappings, "enable", enable_and_fail)
    output = said(run("resume"))
    assert output.startswith("Paused by the account until ")
    assert output.endswith(": 402: no credits. It began again right after the resume.")


# ── redrive ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_redrive(run: Run, deployed: StackInMoto) -> None:
    for reason in ("transient", "transient", "malformed"):
        deployed.bury("x", reason=reason, detail=EVIL)
    assert said(run("redrive", "--reason", "transient")) == "Sent back: 2 transient."
    assert said(run("redrive", "--reason", "transient")) == "There is no dead letter transient."
    assert said(run("redrive")) == "Sent back: 1 malformed."
    assert said(run("redrive")) == "There is no dead letter."
    assert len(deployed.sent()) == 3


def test_redrive_as_json(run: Run, deployed: StackInMoto) -> None:
    assert answer(run("redrive", "--json")) == {"stack": "imagescribe", "redriven": {}, "more": False}
    deployed.bury("x", reason="crash")
    assert answer(run("redrive", "--json"))["redriven"] == {"crash": 1}


def test_redrive_says_that_there_may_be_more(run: Run, deployed: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "MAX_DEAD_LETTERS_REDRIVEN", 2)
    for number in range(5):
        deployed.bury(str(number), reason="aws")
    assert said(run("redrive")) == "Sent back: 2 aws. There may be more: run it again."
    assert answer(run("redrive", "--json"))["more"] is True
    assert said(run("redrive")) == "Sent back: 1 aws."


# ── retry ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [Status.REJECTED, Status.SKIPPED, Status.DEAD])
def test_retry(run: Run, deployed: StackInMoto, status: Status) -> None:
    upload = deployed.put()
    deployed.record(upload, status)
    deployed.bury(eventbridge_body(upload), reason="transient", detail="503")
    assert said(run("retry", upload.image)) == (
        f"{upload.image} is on its way. `imagescribe get {upload.image}` shows what becomes of it."
    )
    assert deployed.sent_upload().sequencer > upload.sequencer
    assert deployed.dead_letters() == []


def test_retry_as_json(run: Run, deployed: StackInMoto) -> None:
    upload = deployed.put()
    assert answer(run("retry", "--json", upload.image)) == {
        "image": upload.image,
        "pays_again": False,
        "reads_again": False,
    }


def test_retry_of_an_object_that_is_not_there(run: Run, deployed: StackInMoto) -> None:
    result = run("retry", f"s3://{deployed.bucket}/gone.png", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: There is no object s3://{deployed.bucket}/gone.png.\n")


def test_retry_of_a_described_image_says_what_force_costs(run: Run, deployed: StackInMoto) -> None:
    upload = deployed.put()
    deployed.record(upload, Status.DESCRIBED)
    deployed.pay(upload)
    result = run("retry", upload.image)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        f"Error: {upload.image} is described already.",
        "--force describes it again and pays $0.015 for it.",
    ]
    assert deployed.sent() == []
    assert said(run("retry", "--force", upload.image)) == (
        f"{upload.image} is on its way. $0.015 is paid for it once more. "
        f"`imagescribe get {upload.image}` shows what becomes of it."
    )
    assert deployed.paid(upload) is None


def test_forced_retry_as_json(run: Run, deployed: StackInMoto) -> None:
    upload = deployed.put()
    deployed.pay(upload)
    assert answer(run("retry", "--json", "--force", upload.image))["pays_again"] is True


def test_retry_says_that_a_paid_answer_is_read_again(run: Run, deployed: StackInMoto) -> None:
    upload = deployed.put()
    deployed.record(upload, Status.DEAD)
    deployed.pay(upload, body="<html>")
    assert "paid for already and is read again for nothing; --force would pay for another" in said(
        run("retry", upload.image)
    )


def test_retry_in_another_bucket(run: Run, deployed: StackInMoto) -> None:
    result = run("retry", "s3://another/cat.png")
    assert result.exit_code == 1
    assert f"Its bucket is s3://{deployed.bucket}" in result.stderr


@pytest.mark.parametrize("status", [None, Status.DESCRIBED])
def test_an_evil_key_is_shown_harmlessly(run: Run, deployed: StackInMoto, status: Status | None) -> None:
    upload = deployed.put(EVIL)
    if status:
        deployed.record(upload, status)
    for image in (upload.image, upload.image + "x"):
        result = run("retry", image)
        assert is_harmless(result.output)
        assert SAID in result.output
        assert len(result.output.splitlines()) == (2 if result.exit_code else 1)
    assert is_harmless(run("retry", "--json", upload.image).output)


# ── key set ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_key_ends_the_pause_of_a_wrong_one(
    run: Run, deployed: StackInMoto, secrets: SecretsManagerClient
) -> None:
    deployed.open(OpenedBy.ACCOUNT, "401: Invalid API key")
    arn = deployed.outputs["ApiKeySecretArn"]
    assert said(run("key", "set", typed="SG_new-key\n")).splitlines() == [
        f"The key is stored in {arn}.",
        "Intake was paused by a fault of the account, and is resumed. What waits in the queue is received now.",
    ]
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "SG_new-key"
    assert deployed.breaker.open_until == 0


@pytest.mark.parametrize("by", [OpenedBy.ACCOUNT, OpenedBy.OPERATOR, OpenedBy.ENDPOINT, OpenedBy.NOBODY])
def test_key_set_as_json_says_whether_it_resumed(run: Run, deployed: StackInMoto, by: OpenedBy) -> None:
    if by:
        deployed.open(by)
    stored = answer(run("key", "set", "--json", typed="SG_new-key"))
    assert stored["secret_arn"] == deployed.outputs["ApiKeySecretArn"]
    assert stored["version_id"]
    assert stored["resumed"] is (by is OpenedBy.ACCOUNT)
    assert deployed.breaker.opened_by is (OpenedBy.NOBODY if by is OpenedBy.ACCOUNT else by)


def test_a_key_that_is_none_is_not_stored_and_ends_no_pause(run: Run, deployed: StackInMoto) -> None:
    deployed.open(OpenedBy.ACCOUNT, "401: Invalid API key")
    result = run("key", "set", typed="two words")
    assert result.exit_code == 1
    assert "nothing was stored" in result.stderr
    assert deployed.breaker.opened_by is OpenedBy.ACCOUNT


def test_a_key_is_typed_at_a_hidden_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("getpass.getpass", lambda _prompt: " SG_typed-key ")
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdin", Terminal())
        assert cli_key._read_key() == "SG_typed-key"
