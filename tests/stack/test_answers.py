"""What a 200 may look like: prompts in every known shape, and bodies that are paid for and hold none."""

import pytest

from imagescribe_ops.simulator import BodyKind, ScriptedAnswer
from tests.stack import bodies
from tests.stack.bodies import Uploaded
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture

READABLE = [BodyKind.DESCRIPTIONS, BodyKind.STRINGS, BodyKind.PROMPT, BodyKind.TEXT]
UNREADABLE = {
    BodyKind.HTML: "<!doctype html>",
    BodyKind.HALF_JSON: '{"descriptions": [{"text": "Sim',
    BodyKind.ENDLESS: '{"descriptions": [{"text": "',
    BodyKind.NULL_TEXT: '{"descriptions": [{"text": null}]}',
    BodyKind.EMPTY: "",
}


@pytest.fixture(scope="module")
def answered(stack: Deployment) -> dict[BodyKind, Uploaded]:
    """An image for each kind of body, all on their way."""
    uploads = {}
    for kind in (*READABLE, *UNREADABLE):
        key = f"answers/{kind}.png"
        stack.script(key, ScriptedAnswer(body_kind=kind))
        uploads[kind] = stack.put(key, picture())
    return uploads


@pytest.mark.parametrize("kind", READABLE)
def test_a_prompt_is_read_in_every_shape(stack: Deployment, answered: dict[BodyKind, Uploaded], kind: BodyKind) -> None:
    key = answered[kind].key
    assert stack.until_described(key)[key]["prompt"].startswith("Simulated description: ")


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_answer_without_a_prompt_is_paid_once_kept_raw_and_a_dead_letter(
    stack: Deployment, answered: dict[BodyKind, Uploaded], kind: BodyKind
) -> None:
    upload = answered[kind]
    dead_letter = stack.until_dead(upload.key)
    assert dead_letter.reason == "unreadable"
    assert upload.image in dead_letter.detail
    record = stack.record(upload.key)
    assert record is not None
    assert (record["status"], record["prompt"]) == ("dead", None)
    assert "no prompt can be read" in record["error"]
    paid = stack.paid(upload)
    assert paid is not None
    assert paid["body"].startswith(UNREADABLE[kind])
    assert len(paid["body"]) < 200_000  # of the 50 MB
    assert float(paid["cost_usd"]) == 0.015
    assert stack.billed(upload.key) == 1


def test_a_dead_letter_that_comes_back_unreadable_is_not_paid_for_again(
    stack: Deployment, answered: dict[BodyKind, Uploaded]
) -> None:
    upload = answered[BodyKind.HTML]
    stack.until_dead(upload.key)
    stack.until_handled(stack.send(bodies.eventbridge(upload)))
    stack.until(lambda: len(stack.dead_letters_of(upload.key)) == 2, "a second dead letter")
    assert [each.reason for each in stack.dead_letters_of(upload.key)] == ["unreadable", "unreadable"]
    assert stack.billed(upload.key) == 1


def test_a_paid_answer_is_in_the_ledger_as_it_came(stack: Deployment, answered: dict[BodyKind, Uploaded]) -> None:
    upload = answered[BodyKind.DESCRIPTIONS]
    record = stack.until_described(upload.key)[upload.key]
    paid = stack.paid(upload)
    assert paid is not None
    assert paid["body"] == f'{{"descriptions": [{{"text": "{record["prompt"]}"}}]}}'
    assert (paid["image"], float(paid["cost_usd"])) == (upload.image, 0.015)
    assert paid["described_at"] == record["described_at"]
    assert "holder" not in paid
