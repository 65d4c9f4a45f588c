"""The operator's commands on a deployed stack: pause, resume, retry, redrive, status and the key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import Result

from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.simulator import BodyKind, ScriptedAnswer
from tests.stack.bodies import Uploaded
from tests.stack.conftest import Run, Stacks
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture

NEW_KEY = "operators-new-key-0123456789"


@pytest.fixture(scope="session")
def deployment(stacks: Stacks) -> Deployment:
    """A stack of its own, since a pause stops all of it."""
    return stacks.with_own_simulator("operated")


def answer(result: Result) -> Any:
    return json.loads(result.stdout)


def dead_letters(deployment: Deployment) -> int:
    """Count the dead letters without taking them off their queue."""
    return QueueDepth.read(deployment.stack.connection, deployment.outputs.dead_letter_queue_url).total


def until_prompt(deployment: Deployment, key: str, prompt: str) -> None:
    def has_prompt() -> bool:
        record = deployment.record(key)
        return record is not None and (record["status"], record["prompt"]) == ("described", prompt)

    deployment.until(has_prompt, f"the prompt of {key} is {prompt!r}")


def put_unreadable(deployment: Deployment, key: str) -> Uploaded:
    """Upload an image whose answer is paid for and can't be read."""
    deployment.script(key, ScriptedAnswer(body_kind=BodyKind.HTML))
    upload = deployment.put(key, picture())
    deployment.until_status("dead", key)
    deployment.until(lambda: dead_letters(deployment) == 1, "its dead letter")
    return upload


def test_a_pause_holds_uploads_without_a_call_and_resume_lets_them_through(deployment: Deployment, run: Run) -> None:
    told = run("pause", "--reason", "new contract").stdout
    assert "until `imagescribe resume --stack operated`: new contract" in told
    deployment.until(
        lambda: answer(run("status", "--json"))["intake"]["mappings"][0]["state"] == "Disabled", "the mapping is off"
    )
    keys = [f"held-{number}.png" for number in range(3)]
    for key in keys:
        deployment.put(key, picture())
    deployment.until(lambda: deployment.depth().total == len(keys), "the uploads are in the queue")
    status = answer(run("status", "--json"))
    assert status["why"] == "Paused by the operator until `imagescribe resume`: new contract"
    assert status["queues"]["upload"]["visible"] == len(keys)
    assert status["intake"]["paused_by"] == "operator"
    assert deployment.simulator.counts().calls == 0
    assert "Resumed." in run("resume").stdout
    deployment.until_described(*keys)
    assert deployment.billed(*keys) == len(keys)
    deployment.until_idle()
    assert answer(run("status", "--json"))["why"] == "Nothing waits: every upload has come to its end."


def test_a_rejected_image_is_retried_and_described(deployment: Deployment, run: Run) -> None:
    deployment.script("rejected.png", ScriptedAnswer(422))
    upload = deployment.put("rejected.png", picture())
    deployment.until_status("rejected", upload.key)
    assert f"{upload.image} is on its way." in run("retry", upload.image).stdout
    deployment.until(lambda: (deployment.record(upload.key) or {})["status"] == "described", "described after all")
    assert [call.outcome for call in deployment.calls(upload.key)] == [422, 200]


def test_force_pays_once_more_for_another_prompt(deployment: Deployment, run: Run) -> None:
    upload = deployment.put("forced.png", picture())
    deployment.until_described(upload.key)
    assert "--force describes it again and pays $0.015" in run("retry", upload.image, ends_with=1).stderr
    assert deployment.billed(upload.key) == 1
    deployment.script(upload.key, ScriptedAnswer(body='["a second opinion"]'))
    assert answer(run("retry", "--force", "--json", upload.image))["pays_again"] is True
    until_prompt(deployment, upload.key, "a second opinion")
    assert deployment.tags(upload.key) == {"prompt": "a second opinion"}
    assert deployment.billed(upload.key) == 2
    paid = deployment.paid(upload)
    assert paid is not None
    assert paid["body"] == '["a second opinion"]'


def test_an_unreadable_answer_is_read_again_without_paying(deployment: Deployment, run: Run) -> None:
    upload = put_unreadable(deployment, "unreadable.png")
    # As if the functions had learned to read what the endpoint answers.
    deployment.stack.connection.dynamodb().update_item(
        TableName=deployment.outputs.ledger_table_name,
        Key={"content": {"S": upload.content}},
        UpdateExpression="SET body = :body",
        ExpressionAttributeValues={":body": {"S": '["now it can be read"]'}},
    )
    assert "read again for nothing" in run("retry", upload.image).stdout
    until_prompt(deployment, upload.key, "now it can be read")
    assert deployment.billed(upload.key) == 1
    assert dead_letters(deployment) == 0


def test_an_unreadable_answer_is_paid_for_again_by_force(deployment: Deployment, run: Run) -> None:
    upload = put_unreadable(deployment, "hopeless.png")
    deployment.script(upload.key, ScriptedAnswer(body='["well said"]'))
    assert "$0.015 is paid for it once more." in run("retry", "--force", upload.image).stdout
    until_prompt(deployment, upload.key, "well said")
    assert deployment.billed(upload.key) == 2
    assert dead_letters(deployment) == 0


def test_redrive_brings_back_the_dead_letters_of_one_reason(deployment: Deployment, run: Run) -> None:
    deployment.send("no JSON")
    deployment.script("failing.png", ScriptedAnswer(503, times=3))
    upload = deployment.put("failing.png", picture())
    deployment.until_status("dead", upload.key)
    deployment.until(lambda: dead_letters(deployment) == 2, "two dead letters")
    counted = answer(run("status", "--json"))["queues"]["dead_letter"]
    assert counted["by_reason"] == {"transient": 1, "malformed": 1}
    assert answer(run("redrive", "--reason", "transient", "--json"))["redriven"] == {"transient": 1}
    deployment.until_described(upload.key)
    assert deployment.billed(upload.key) == 1
    assert [each.reason for each in deployment.dead_letters()] == ["malformed"]


def test_the_recover_function_brings_back_what_passes_and_writes_a_lacking_reason(
    deployment: Deployment, run: Run
) -> None:
    deployment.script("passing.png", ScriptedAnswer(503, times=3))
    upload = deployment.put("passing.png", picture())
    deployment.until_status("dead", upload.key)
    deployment.until(lambda: dead_letters(deployment) == 1, "its dead letter")
    deployment.sqs.send_message(
        QueueUrl=deployment.outputs.dead_letter_queue_url,
        MessageBody="moved by SQS",
        MessageAttributes={"redrives": {"DataType": "String", "StringValue": "3"}},
    )
    counted = answer(run("status", "--json"))["queues"]["dead_letter"]
    assert counted == {"visible": 2, "in_flight": 0, "delayed": 0, "by_reason": {"transient": 1, "crash": 1}}
    invoked = deployment.lambda_functions.invoke(FunctionName=deployment.outputs.recover_function_name, Payload=b"{}")
    assert json.load(invoked["Payload"])["redriven"] == {"transient": 1}
    deployment.until_described(upload.key)
    assert deployment.billed(upload.key) == 1
    assert [each.reason for each in deployment.dead_letters() if each.body == "moved by SQS"] == ["crash"]


def test_a_new_key_ends_the_pause_that_a_wrong_one_caused(stacks: Stacks, deployment: Deployment, run: Run) -> None:
    stacks.keys.add(NEW_KEY)
    deployment.simulator.configure(api_key=NEW_KEY)
    upload = deployment.put("locked-out.png", picture())
    deployment.until_status("waiting", upload.key)
    status = answer(run("status", "--json"))
    assert status["intake"]["paused_by"] == "account"
    assert "401: Invalid API key" in status["why"]
    assert answer(run("key", "set", "--json", typed=f"{NEW_KEY}\n"))["resumed"] is True
    assert answer(run("status", "--json"))["intake"]["paused_by"] == ""


@pytest.mark.last  # a message that was put back comes when it was told to, whatever has ended since
def test_what_waited_for_the_new_key_is_described(deployment: Deployment) -> None:
    deployment.until_described("locked-out.png")
    assert deployment.billed("locked-out.png") == 1
