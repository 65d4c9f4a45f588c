"""Dead letters: which come back to the upload queue by themselves, which stay for a person, and that none is lost."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

import pytest

from imagescribe.aws.dead_letters import LOOK_SECONDS, MOST_REDRIVES, DeadLetter, DeadLetters
from imagescribe.model.outcomes import Reason
from tests.unit.stage import Stage


@pytest.fixture(params=["stage", "quick_stage"])
def either(request: pytest.FixtureRequest) -> Stage:
    """With moto's queues, and with those in memory."""
    stage: Stage = request.getfixturevalue(request.param)
    return stage


def bury(stage: Stage, body: str, **attributes: str) -> None:
    stage.sqs.client.send_message(
        QueueUrl=stage.dead_letter_queue_url,
        MessageBody=body,
        MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()},
    )


def redrive(stage: Stage, most: int = 100) -> Counter[Reason]:
    return stage.dead_letters().redrive(lambda letter: letter.heals, most)


def came_back(stage: Stage) -> dict[str, dict[str, str]]:
    """The bodies and attributes on the upload queue."""
    found = {}
    while messages := stage.receive(stage.upload_queue_url, 600):
        for message in messages:
            attributes = message.get("MessageAttributes", {})
            found[message["Body"]] = {name: attribute["StringValue"] for name, attribute in attributes.items()}
    return found


def staying(stage: Stage) -> dict[str, dict[str, str]]:
    return {letter.body: letter.attributes for letter in stage.letters()}


@pytest.mark.parametrize("reason", ["transient", "aws", "crash"])
def test_what_passes_by_itself_comes_back_as_new_and_counted(either: Stage, reason: str) -> None:
    bury(either, "cat", reason=reason, detail="as it was", renewals="4")
    assert redrive(either) == {Reason(reason): 1}
    assert came_back(either) == {"cat": {"redrives": "1"}}
    assert staying(either) == {}


@pytest.mark.parametrize("reason", ["unreadable", "malformed"])
def test_what_a_person_has_to_see_stays_as_it_is_and_can_be_seen_at_once(either: Stage, reason: str) -> None:
    bury(either, "cat", reason=reason, detail="as it was")
    assert redrive(either) == {}
    assert came_back(either) == {}
    either.clock.sleep(0.01)
    assert staying(either) == {"cat": {"reason": reason, "detail": "as it was"}}


def test_a_letter_comes_back_so_many_times_and_then_stays(either: Stage) -> None:
    redrives = "0"
    for _ in range(MOST_REDRIVES):
        bury(either, "cat", reason="transient", detail="again", redrives=redrives)
        assert redrive(either).total() == 1
        redrives = came_back(either)["cat"]["redrives"]
    bury(either, "cat", reason="transient", detail="again", redrives=redrives)
    assert redrive(either).total() == 0
    either.clock.sleep(0.01)
    assert staying(either) == {"cat": {"reason": "transient", "detail": "again", "redrives": str(MOST_REDRIVES)}}


def test_a_letter_that_a_person_sends_back_has_all_its_redrives_again(either: Stage) -> None:
    bury(either, "cat", reason="unreadable", detail="", redrives="3")
    sent = either.dead_letters().redrive(lambda _letter: True, 100, count_redrives=False)
    assert sent == {Reason.UNREADABLE: 1}
    assert came_back(either) == {"cat": {"redrives": "0"}}


def test_what_the_queue_itself_gave_up_is_taken_for_a_crash_and_comes_back(either: Stage) -> None:
    bury(either, "cat", renewals="1")
    assert redrive(either) == {Reason.CRASH: 1}
    assert came_back(either) == {"cat": {"redrives": "1"}}


def test_a_letter_that_stays_is_given_the_reason_that_it_lacks(either: Stage) -> None:
    bury(either, "cat", redrives=str(MOST_REDRIVES))
    bury(either, "dog", ERROR_CODE="NO_PERMISSIONS", ERROR_MESSAGE="may not send", redrives=str(MOST_REDRIVES))
    bury(either, "emu", reason="of another program")
    redrive(either)
    either.clock.sleep(0.01)
    found = staying(either)
    assert found["cat"] == {
        "reason": "crash",
        "detail": "the function ended again and again while it had this message",
        "redrives": "3",
    }
    assert found["dog"] == {
        "reason": "aws",
        "detail": "EventBridge: NO_PERMISSIONS may not send",
        "redrives": "3",
    }
    assert "emu" not in found  # a crash that can heal


def test_what_eventbridge_could_not_deliver_comes_back(either: Stage) -> None:
    bury(either, "cat", ERROR_CODE="SDK_CLIENT_ERROR", RULE_ARN="arn:of-the-rule")
    assert redrive(either) == {Reason.AWS: 1}
    assert came_back(either) == {"cat": {"redrives": "1"}}


def test_no_more_come_back_at_once_than_were_asked_for_and_the_others_can_be_seen(either: Stage) -> None:
    for number in range(25):
        bury(either, f"cat {number}", reason="transient", detail="")
        bury(either, f"dog {number}", reason="malformed", detail="")
    assert redrive(either, 7) == {Reason.TRANSIENT: 7}
    assert len(came_back(either)) == 7
    either.clock.sleep(0.01)
    assert len(staying(either)) == 43


def test_letters_are_counted_by_reason_and_left_where_they_are(either: Stage) -> None:
    for reason in ("transient", "transient", "unreadable"):
        bury(either, f"{reason} {next(_numbers)}", reason=reason, detail="")
    bury(either, "without one")
    counted = either.dead_letters().count(100)
    assert counted == {Reason.TRANSIENT: 2, Reason.UNREADABLE: 1, Reason.CRASH: 1}
    either.clock.sleep(0.01)
    assert len(staying(either)) == 4


_numbers = count()


def test_letters_that_have_become_pointless_are_deleted_and_the_others_left(either: Stage) -> None:
    bury(either, "cat", reason="unreadable", detail="")
    bury(either, "dog", reason="unreadable", detail="")
    discarded = either.dead_letters().discard(lambda letter: letter.body == "cat", 100)
    assert discarded == {Reason.UNREADABLE: 1}
    either.clock.sleep(0.01)
    assert list(staying(either)) == ["dog"]
    assert came_back(either) == {}


def test_a_crash_while_a_letter_is_sent_back_makes_a_duplicate_and_loses_nothing(quick_stage: Stage) -> None:
    bury(quick_stage, "cat", reason="transient", detail="")
    quick_stage.sqs.failing["delete_message"] = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        redrive(quick_stage)
    quick_stage.sqs.failing.clear()
    assert list(came_back(quick_stage)) == ["cat"]
    quick_stage.clock.sleep(LOOK_SECONDS + 1)
    assert list(staying(quick_stage)) == ["cat"]


def test_a_queue_too_long_to_be_looked_through_is_left_before_its_letters_are_shown_again(
    quick_stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(500):
        bury(quick_stage, f"dog {number}", reason="malformed", detail="")
    looks = count(0, LOOK_SECONDS / 30)  # each look takes so long
    monkeypatch.setattr("imagescribe.aws.dead_letters.time.monotonic", lambda: next(looks))
    assert redrive(quick_stage) == {}
    assert quick_stage.sqs.count("receive_message") < 30
    quick_stage.clock.sleep(0.01)
    assert len(staying(quick_stage)) == 500


@pytest.mark.parametrize(
    ("attributes", "reason", "redrives", "heals"),
    [
        ({"reason": "transient", "redrives": "2"}, Reason.TRANSIENT, 2, True),
        ({"reason": "transient", "redrives": "3"}, Reason.TRANSIENT, 3, False),
        ({"reason": "malformed"}, Reason.MALFORMED, 0, False),
        ({}, Reason.CRASH, 0, True),
    ],
)
def test_what_a_letter_says_of_itself(attributes: dict[str, str], reason: Reason, redrives: int, heals: bool) -> None:
    message: Any = {
        "Body": "cat",
        "ReceiptHandle": "receipt",
        "MessageAttributes": {name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()},
    }
    letter = DeadLetter.of_message(message)
    assert (letter.reason, letter.redrives, letter.heals) == (reason, redrives, heals)


def test_an_empty_queue_is_looked_at_once(quick_stage: Stage) -> None:
    letters: DeadLetters = quick_stage.dead_letters()
    assert letters.count(100).total() == 0
    assert quick_stage.sqs.count("receive_message") == 1
