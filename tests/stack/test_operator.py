"""The operator's commands on a deployed stack: pause, resume, retry, redrive, status and the key."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from imagescribe_ops.commands.main import app
from imagescribe_ops.simulator import BodyKind, ScriptedAnswer
from imagescribe_ops.stack import QueueDepth
from tests.stack.bodies import Uploaded
from tests.stack.conftest import Stacks
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture

NEW_KEY = "operators-new-key-0123456789"

type Run = Callable[..., Result]


@pytest.fixture(scope="session")
def operated(stacks: Stacks) -> Deployment:
    """A stack of its own, since a pause stops all of it."""
    return stacks.with_own_simulator("operated")


@pytest.fixture(scope="module")
def run(operated: Deployment) -> Run:
    """Run a command with the settings that a shell would give it."""
    cloud = operated.stack.cloud
    environment = {
        "AWS_ENDPOINT_URL": cloud.endpoint_url,
        "AWS_REGION": cloud.region,
        "AWS_ACCESS_KEY_ID": cloud.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": cloud.credentials.secret_access_key,
    }

    def invoke(*arguments: str, typed: str | None = None, ends_with: int = 0) -> Result:
        command = [*arguments, "--stack", operated.stack.name]
        result = CliRunner().invoke(app, command, input=typed, env=environment)
        assert result.exit_code == ends_with, result.output
        return result

    return invoke


def answer(result: Result) -> Any:
    return json.loads(result.stdout)


def dead_letters(operated: Deployment) -> int:
    """Count the dead letters without taking them off their queue."""
    return QueueDepth.read(operated.stack.connection, operated.outputs.dead_letter_queue_url).total


def until_prompt(operated: Deployment, key: str, prompt: str) -> None:
    def has_prompt() -> bool:
        record = operated.record(key)
        return record is not None and (record["status"], record["prompt"]) == ("described", prompt)

    operated.until(has_prompt, f"the prompt of {key} is {prompt!r}")


def put_unreadable(operated: Deployment, key: str) -> Uploaded:
    """Upload an image whose answer is paid for and can't be read."""
    operated.script(key, ScriptedAnswer(body_kind=BodyKind.HTML))
    upload = operated.put(key, picture())
    operated.until_status("dead", key)
    operated.until(lambda: dead_letters(operated) == 1, "its dead letter")
    return upload


def test_a_pause_holds_uploads_without_a_call_and_resume_lets_them_through(operated: Deployment, run: Run) -> None:
    assert "until `imagescribe resume`: new contract" in run("pause", "--reason", "new contract").stdout
    operated.until(
        lambda: answer(run("status", "--json"))["intake"]["mappings"][0]["state"] == "Disabled", "the mapping is off"
    )
    keys = [f"held-{number}.png" for number in range(3)]
    for key in keys:
        operated.put(key, picture())
    operated.until(lambda: operated.depth().total == len(keys), "the uploads are in the queue")
    status = answer(run("status", "--json"))
    assert status["why"] == "Paused by the operator until `imagescribe resume`: new contract"
    assert status["queues"]["upload"]["visible"] == len(keys)
    assert status["intake"]["paused_by"] == "operator"
    assert operated.simulator.counts().calls == 0
    assert "Resumed." in run("resume").stdout
    operated.until_described(*keys)
    assert operated.billed(*keys) == len(keys)
    operated.until_idle()
    assert answer(run("status", "--json"))["why"] == "Nothing waits: every upload has come to its end."


def test_a_rejected_image_is_retried_and_described(operated: Deployment, run: Run) -> None:
    operated.script("rejected.png", ScriptedAnswer(422))
    upload = operated.put("rejected.png", picture())
    operated.until_status("rejected", upload.key)
    assert f"{upload.image} is on its way." in run("retry", upload.image).stdout
    operated.until(lambda: (operated.record(upload.key) or {})["status"] == "described", "described after all")
    assert [call.outcome for call in operated.calls(upload.key)] == [422, 200]


def test_force_pays_once_more_for_another_prompt(operated: Deployment, run: Run) -> None:
    upload = operated.put("forced.png", picture())
    operated.until_described(upload.key)
    assert "--force describes it again and pays $0.015" in run("retry", upload.image, ends_with=1).stderr
    assert operated.billed(upload.key) == 1
    operated.script(upload.key, ScriptedAnswer(body='["a second opinion"]'))
    assert answer(run("retry", "--force", "--json", upload.image))["pays_again"] is True
    until_prompt(operated, upload.key, "a second opinion")
    assert operated.tags(upload.key) == {"prompt": "a second opinion"}
    assert operated.billed(upload.key) == 2
    paid = operated.paid(upload)
    assert paid is not None
    assert paid["body"] == '["a second opinion"]'


def test_an_unreadable_answer_is_read_again_without_paying(operated: Deployment, run: Run) -> None:
    upload = put_unreadable(operated, "unreadable.png")
    # As if the functions had learned to read what the endpoint answers.
    operated.stack.connection.dynamodb().update_item(
        TableName=operated.outputs.ledger_table_name,
        Key={"content": {"S": upload.content}},
        UpdateExpression="SET body = :body",
        ExpressionAttributeValues={":body": {"S": '["now it can be read"]'}},
    )
    assert "read again for nothing" in run("retry", upload.image).stdout
    until_prompt(operated, upload.key, "now it can be read")
    assert operated.billed(upload.key) == 1
    assert dead_letters(operated) == 0


def test_an_unreadable_answer_is_paid_for_again_by_force(operated: Deployment, run: Run) -> None:
    upload = put_unreadable(operated, "hopeless.png")
    operated.script(upload.key, ScriptedAnswer(body='["well said"]'))
    assert "$0.015 is paid for it once more." in run("retry", "--force", upload.image).stdout
    until_prompt(operated, upload.key, "well said")
    assert operated.billed(upload.key) == 2
    assert dead_letters(operated) == 0


def test_redrive_brings_back_the_dead_letters_of_one_reason(operated: Deployment, run: Run) -> None:
    operated.send("no JSON")
    operated.script("failing.png", ScriptedAnswer(503, times=3))
    upload = operated.put("failing.png", picture())
    operated.until_status("dead", upload.key)
    operated.until(lambda: dead_letters(operated) == 2, "two dead letters")
    letters = answer(run("status", "--json"))["queues"]["dead_letter"]
    assert letters["by_reason"] == {"transient": 1, "malformed": 1}
    assert answer(run("redrive", "--reason", "transient", "--json"))["redriven"] == {"transient": 1}
    operated.until_described(upload.key)
    assert operated.billed(upload.key) == 1
    assert [letter.reason for letter in operated.dead_letters()] == ["malformed"]


def test_the_recover_function_brings_back_what_passes_and_writes_a_lacking_reason(
    operated: Deployment, run: Run
) -> None:
    operated.script("passing.png", ScriptedAnswer(503, times=3))
    upload = operated.put("passing.png", picture())
    operated.until_status("dead", upload.key)
    operated.until(lambda: dead_letters(operated) == 1, "its dead letter")
    operated.sqs.send_message(
        QueueUrl=operated.outputs.dead_letter_queue_url,
        MessageBody="moved by SQS",
        MessageAttributes={"redrives": {"DataType": "String", "StringValue": "3"}},
    )
    counted = answer(run("status", "--json"))["queues"]["dead_letter"]
    assert counted == {"visible": 2, "in_flight": 0, "delayed": 0, "by_reason": {"transient": 1, "crash": 1}}
    invoked = operated.lambda_functions.invoke(FunctionName=operated.outputs.recover_function_name, Payload=b"{}")
    assert json.load(invoked["Payload"])["redriven"] == {"transient": 1}
    operated.until_described(upload.key)
    assert operated.billed(upload.key) == 1
    assert [each.reason for each in operated.dead_letters() if each.body == "moved by SQS"] == ["crash"]


def test_a_new_key_ends_the_pause_that_a_wrong_one_caused(stacks: Stacks, operated: Deployment, run: Run) -> None:
    stacks.keys.add(NEW_KEY)
    operated.simulator.configure(api_key=NEW_KEY)
    upload = operated.put("locked-out.png", picture())
    operated.until_status("waiting", upload.key)
    status = answer(run("status", "--json"))
    assert status["intake"]["paused_by"] == "account"
    assert "401: Invalid API key" in status["why"]
    assert answer(run("key", "set", "--json", typed=f"{NEW_KEY}\n"))["resumed"] is True
    assert answer(run("status", "--json"))["intake"]["paused_by"] == ""


@pytest.mark.last  # a message that was put back comes when it was told to, whatever has ended since
def test_what_waited_for_the_new_key_is_described(operated: Deployment) -> None:
    operated.until_described("locked-out.png")
    assert operated.billed("locked-out.png") == 1
