"""Answers other than 200: which are tried again, which are final, and which make a dead letter."""

import pytest

from imagescribe_ops.simulator import Ending, ScriptedAnswer
from tests.stack.bodies import Uploaded
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture

TRANSIENT = {
    "500": ScriptedAnswer(500, times=2),
    "502": ScriptedAnswer(502, times=2),
    "503": ScriptedAnswer(503, times=2),
    "504": ScriptedAnswer(504, times=2),
    "520": ScriptedAnswer(520, times=2),
    "dropped": ScriptedAnswer(ending=Ending.DROP, times=2),
}
REJECTED = {
    "400": (ScriptedAnswer(400, body='{"error": "image_file is too wide"}'), "400: image_file is too wide"),
    "413": (ScriptedAnswer(413, body='{"error": "over 10 MB"}'), "413: over 10 MB"),
    "415": (ScriptedAnswer(415, body='{"message": "no JPEG"}'), "415: no JPEG"),
    "422": (ScriptedAnswer(422, body='{"error": "failed", "detail": {"why": "unsafe"}}'), "422: failed"),
    "406-parameter": (
        ScriptedAnswer(406, body='{"error": "Unknown parameter"}', headers={"x-remaining-credits": "9.5"}),
        "406: Unknown parameter",
    ),
    "406-without-credits-told": (ScriptedAnswer(406, body='{"error": "Not acceptable"}'), "406: Not acceptable"),
    "html": (
        ScriptedAnswer(400, body="<html><title>Bad Request</title>…", content_type="text/html"),
        "400: an HTML page: Bad Request",
    ),
}
LOST_ANSWERS = {
    "dropped-when-billed": ScriptedAnswer(ending=Ending.DROP, billed=True),
    "silent": ScriptedAnswer(ending=Ending.HANG),  # AnswerTimeoutSeconds is 5
}


@pytest.fixture(scope="module")
def failing(stack: Deployment) -> dict[str, Uploaded]:
    """An image for each answer, all on their way."""
    uploads = {}
    scripted = LOST_ANSWERS | TRANSIENT | {name: answer for name, (answer, _) in REJECTED.items()}
    for name, answer in scripted.items():
        key = f"retries/{name}.png"
        stack.script(key, answer)
        uploads[name] = stack.put(key, picture())
    return uploads


@pytest.mark.parametrize("name", TRANSIENT)
def test_a_passing_failure_is_tried_again_and_counted(
    stack: Deployment, failing: dict[str, Uploaded], name: str
) -> None:
    key = failing[name].key
    record = stack.until_described(key)[key]
    assert record["attempts"] == 2
    assert record["error"] is None
    assert [call.outcome for call in stack.calls(key)] == [int(name) if name.isdigit() else name] * 2 + [200]
    assert stack.dead_letters_of(key) == []


@pytest.mark.parametrize("name", REJECTED)
def test_a_rejection_is_final_and_in_the_endpoints_own_words(
    stack: Deployment, failing: dict[str, Uploaded], name: str
) -> None:
    key = failing[name].key
    record = stack.until_status("rejected", key)[key]
    assert record["error"].startswith(REJECTED[name][1])
    assert record["attempts"] == 0
    assert len(stack.calls(key)) == 1
    assert stack.dead_letters_of(key) == []
    assert stack.paid(failing[name]) is None


def test_an_image_that_keeps_failing_becomes_a_dead_letter_with_the_last_words(stack: Deployment) -> None:
    key = "retries/always-500.png"
    stack.script(key, ScriptedAnswer(500, times=3, body='{"error": "the model is on fire"}'))
    upload = stack.put(key, picture())
    dead_letter = stack.until_dead(key)
    assert dead_letter.reason == "transient"
    assert upload.image in dead_letter.detail
    assert "3 attempts" in dead_letter.detail
    assert "500: the model is on fire" in dead_letter.detail
    record = stack.record(key)
    assert record is not None
    assert (record["status"], record["attempts"]) == ("dead", 3)
    assert "the model is on fire" in record["error"]
    assert len(stack.calls(key)) == 3
    assert stack.paid(upload) is None

    stack.send(dead_letter.body)  # as a redrive does
    assert stack.until_described(key)[key]["error"] is None
    assert stack.billed(key) == 1


@pytest.mark.parametrize("name", LOST_ANSWERS)
def test_an_answer_that_never_comes_is_an_attempt(stack: Deployment, failing: dict[str, Uploaded], name: str) -> None:
    key = failing[name].key
    assert stack.until_described(key)[key]["attempts"] == 1
    # The one case in which a picture is paid for twice: nobody can know of the first time.
    assert stack.billed(key) == 1 + LOST_ANSWERS[name].billed
    assert stack.dead_letters_of(key) == []
