"""Dead letters: which come back to the upload queue by themselves, which stay for a person, and that none is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import count
from math import inf
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ClientError

from imagescribe.aws.dead_letters import VISIBILITY_SECONDS, DeadLetters, NotDeletedError, Redriven
from imagescribe.model.dead_letter import MAX_REDRIVES, DeadLetter
from imagescribe.model.events import upload_body
from imagescribe.model.outcomes import Reason
from tests.factories import make_upload, stand_in
from tests.unit.stage import CrashError, Stage, aws_error


def bury(stage: Stage, body: str, **attributes: str) -> None:
    stage.sqs.client.send_message(
        QueueUrl=stage.dead_letter_queue_url,
        MessageBody=body,
        MessageAttributes={name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()},
    )


def redrive(stage: Stage, most: int = 100) -> Counter[Reason]:
    return stage.dead_letters().redrive(lambda dead_letter: dead_letter.is_retryable(inf), most).by_reason


def bodies_on(stage: Stage, url: str) -> list[str]:
    """The bodies of all messages that can be received, which are hidden then."""
    found: list[str] = []
    while messages := stage.receive(url, 600):
        found += [message["Body"] for message in messages]
    return found


def came_back(stage: Stage) -> dict[str, dict[str, str]]:
    """The bodies and attributes on the upload queue."""
    found = {}
    while messages := stage.receive(stage.upload_queue_url, 600):
        for message in messages:
            attributes = message.get("MessageAttributes", {})
            found[message["Body"]] = {name: attribute["StringValue"] for name, attribute in attributes.items()}
    return found


def staying(stage: Stage) -> dict[str, dict[str, str]]:
    stage.clock.sleep(0.01)
    return {dead_letter.body: dead_letter.attributes for dead_letter in stage.take_dead_letters()}


# ── Which come back ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("reason", ["transient", "aws", "crash"])
def test_what_passes_by_itself_comes_back_as_new_and_counted(either: Stage, reason: str) -> None:
    bury(either, "cat", reason=reason, detail="as it was", requeues="4")
    assert redrive(either) == {Reason(reason): 1}
    assert came_back(either) == {"cat": {"redrives": "1"}}
    assert staying(either) == {}


@pytest.mark.parametrize("is_operators", [False, True])
def test_what_is_of_a_backfill_comes_back_behind_the_uploads(stage: Stage, is_operators: bool) -> None:
    url = "https://queues.invalid/backfill"
    old = upload_body(make_upload(job="bf-1"), "imagescribe.backfill")
    bury(stage, old)  # as SQS itself moved it
    bury(stage, "cat", reason="transient", detail="")
    dead_letters = DeadLetters(stand_in(stage.sqs), stage.dead_letter_queue_url, stage.upload_queue_url, url)
    sent = dead_letters.redrive(lambda each: each.is_retryable(inf), 100, is_operators=is_operators)
    assert sent == Redriven(Counter({Reason.CRASH: 1, Reason.TRANSIENT: 1}), more=False)
    assert bodies_on(stage, url) == [old]
    assert bodies_on(stage, stage.upload_queue_url) == ["cat"]
    assert staying(stage) == {}


@pytest.mark.parametrize("reason", ["unreadable", "malformed"])
def test_what_a_person_has_to_see_stays_as_it_is_and_can_be_seen_at_once(either: Stage, reason: str) -> None:
    bury(either, "cat", reason=reason, detail="as it was")
    assert redrive(either) == {}
    assert came_back(either) == {}
    assert staying(either) == {"cat": {"reason": reason, "detail": "as it was"}}


@pytest.mark.parametrize("most", [1, 100])
def test_a_dead_letter_comes_back_three_times_and_then_stays(either: Stage, most: int) -> None:
    redrives = "0"
    for _ in range(MAX_REDRIVES):
        bury(either, "cat", reason="transient", detail="again", redrives=redrives)
        assert redrive(either, most).total() == 1
        redrives = came_back(either)["cat"]["redrives"]
    bury(either, "cat", reason="transient", detail="again", redrives=redrives)
    assert redrive(either, most).total() == 0
    assert staying(either) == {"cat": {"reason": "transient", "detail": "again", "redrives": str(MAX_REDRIVES)}}


def test_a_dead_letter_that_a_person_sends_back_has_all_its_redrives_again(either: Stage) -> None:
    bury(either, "cat", reason="unreadable", detail="", redrives="3")
    sent = either.dead_letters().redrive(lambda _dead_letter: True, 100, is_operators=True)
    assert sent == Redriven(Counter({Reason.UNREADABLE: 1}), more=False)
    assert came_back(either) == {"cat": {"redrives": "0"}}


def test_what_the_queue_itself_gave_up_is_taken_for_a_crash_and_comes_back(either: Stage) -> None:
    bury(either, "cat", requeues="1")
    assert redrive(either) == {Reason.CRASH: 1}
    assert came_back(either) == {"cat": {"redrives": "1"}}


def test_what_eventbridge_could_not_deliver_comes_back(either: Stage) -> None:
    bury(either, "cat", ERROR_CODE="SDK_CLIENT_ERROR", RULE_ARN="arn:of-the-rule")
    assert redrive(either) == {Reason.AWS: 1}
    assert came_back(either) == {"cat": {"redrives": "1"}}


def test_a_dead_letter_that_stays_is_given_the_reason_that_it_lacks(either: Stage) -> None:
    bury(either, "cat", redrives=str(MAX_REDRIVES))
    bury(either, "dog", ERROR_CODE="NO_PERMISSIONS", ERROR_MESSAGE="may not send", redrives=str(MAX_REDRIVES))
    bury(either, "emu", reason="of another program")
    redrive(either)
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
    assert "emu" not in found  # a crash, which is retryable


def test_a_persons_redrive_leaves_the_others_as_they_are(either: Stage) -> None:
    bury(either, "cat", redrives="3")
    sent = either.dead_letters().redrive(lambda each: each.reason is Reason.AWS, 100, is_operators=True)
    assert sent == Redriven(Counter(), more=False)
    assert staying(either) == {"cat": {"redrives": "3"}}


@pytest.mark.parametrize(
    ("attributes", "reason", "redrives", "is_retryable"),
    [
        ({"reason": "transient", "redrives": "2"}, Reason.TRANSIENT, 2, True),
        ({"reason": "transient", "redrives": "3"}, Reason.TRANSIENT, 3, False),
        ({"reason": "malformed"}, Reason.MALFORMED, 0, False),
        ({"redrives": "many"}, Reason.CRASH, 0, True),
        ({}, Reason.CRASH, 0, True),
    ],
)
def test_what_a_dead_letter_says_of_itself(
    attributes: dict[str, str], reason: Reason, redrives: int, is_retryable: bool
) -> None:
    message: Any = {
        "MessageId": "message",
        "Body": "cat",
        "ReceiptHandle": "receipt",
        "MessageAttributes": {name: {"DataType": "String", "StringValue": text} for name, text in attributes.items()},
    }
    found = DeadLetter.of_message(message)
    assert (found.reason, found.redrives, found.is_retryable(inf)) == (reason, redrives, is_retryable)


# ── Bounds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_more_come_back_at_once_than_were_asked_for_and_the_others_can_be_seen(either: Stage) -> None:
    for number in range(25):
        bury(either, f"cat {number}", reason="transient", detail="")
        bury(either, f"dog {number}", reason="malformed", detail="")
    redriven = either.dead_letters().redrive(lambda each: each.is_retryable(inf), 7)
    assert redriven == Redriven(Counter({Reason.TRANSIENT: 7}), more=True)
    assert len(came_back(either)) == 7
    assert len(staying(either)) == 43


def test_ten_are_received_sent_and_deleted_with_three_requests(stage: Stage) -> None:
    for number in range(100):
        bury(stage, f"cat {number}", reason="transient", detail="")
    assert redrive(stage) == {Reason.TRANSIENT: 100}
    requests = Counter(name for name, _parameters in stage.sqs.heard)
    assert requests == {"receive_message": 10, "send_message_batch": 10, "delete_message_batch": 10}


def by_the_stages_clock(stage: Stage) -> DeadLetters:
    return DeadLetters(stand_in(stage.sqs), stage.dead_letter_queue_url, stage.upload_queue_url, clock=stage.clock)


def take_time(stage: Stage, seconds: float, *requests: str) -> None:
    """Let requests to SQS take so long."""
    for name in requests:
        stage.sqs.before[name] = lambda _parameters: stage.clock.sleep(seconds)


def test_a_slow_run_doubles_none_and_says_that_there_is_more(stage: Stage) -> None:
    for number in range(1_000):
        bury(stage, f"cat {number}", reason="transient", detail="")
    take_time(stage, 0.5, "receive_message", "send_message_batch", "delete_message_batch")
    runs, total = 0, 0
    more = True
    while more:
        redriven = by_the_stages_clock(stage).redrive(lambda each: each.is_retryable(inf), 1_000)
        runs, total, more = runs + 1, total + redriven.by_reason.total(), redriven.more
    assert (total, runs > 1) == (1_000, True)
    sent = bodies_on(stage, stage.upload_queue_url)
    assert len(sent) == len(set(sent)) == 1_000


def test_none_shows_up_in_the_run_that_has_received_it_and_all_are_seen_after_it(stage: Stage) -> None:
    for number in range(500):
        bury(stage, f"dog {number}", reason="malformed", detail="")
    take_time(stage, 1.5, "receive_message", "change_message_visibility_batch")
    asked: list[str] = []

    def comes_back(dead_letter: DeadLetter) -> bool:
        asked.append(dead_letter.message_id)
        return False

    redriven = by_the_stages_clock(stage).redrive(comes_back, 100)
    assert redriven == Redriven(Counter(), more=True)
    assert len(asked) == len(set(asked)) < 500
    assert len(staying(stage)) == 500


def test_large_messages_are_divided_among_requests(either: Stage) -> None:
    for number in range(6):
        bury(either, f"{number}" + "ü" * 60_000, reason="transient", detail="")
    assert redrive(either) == {Reason.TRANSIENT: 6}
    assert {body[0] for body in came_back(either)} == set("012345")
    assert [len(entries) for entries in batches(either, "send_message_batch")] == [2, 2, 2]


def batches(stage: Stage, name: str) -> list[list[Mapping[str, Any]]]:
    return [parameters["Entries"] for heard, parameters in stage.sqs.heard if heard == name]


def test_one_that_is_too_large_to_be_sent_again_stays_and_keeps_no_other(stage: Stage) -> None:
    bury(stage, "cat", reason="transient", detail="")
    bury(stage, "x" * 1_048_570)
    bury(stage, "dog", reason="transient", detail="")
    assert redrive(stage) == {Reason.TRANSIENT: 2}
    assert set(came_back(stage)) == {"cat", "dog"}
    assert [body[0] for body in staying(stage)] == ["x"]


# ── What fails in the middle ─────────────────────────────────────────────────────────────────────────────────────────


def refuse(stage: Stage, action: str, *numbers: int) -> None:
    """Let the queue refuse these entries of each batch."""
    stage.sqs.client.refuses = lambda asked, entry: asked == action and int(entry["Id"]) in numbers


def test_an_entry_that_was_not_sent_is_not_deleted_and_is_shown_again(stage: Stage) -> None:
    for number in range(10):
        bury(stage, str(number), reason="transient", detail="503")
    refuse(stage, "SendMessageBatch", 3, 7)
    redriven = stage.dead_letters().redrive(lambda each: each.is_retryable(inf), 100)
    assert redriven == Redriven(Counter({Reason.TRANSIENT: 8}), more=True)
    assert sorted(came_back(stage)) == [str(number) for number in range(10) if number not in (3, 7)]
    assert staying(stage) == {body: {"reason": "transient", "detail": "503"} for body in "37"}


def test_a_dead_letter_that_cannot_be_given_its_reason_stays_without_it(stage: Stage) -> None:
    bury(stage, "cat", redrives="3")
    refuse(stage, "SendMessageBatch", 0)
    assert redrive(stage) == {}
    assert staying(stage) == {"cat": {"redrives": "3"}}


def test_an_entry_that_was_not_deleted_is_reported_and_comes_twice(stage: Stage) -> None:
    for number in range(12):
        bury(stage, str(number), reason="transient", detail="")
    refuse(stage, "DeleteMessageBatch", 4)
    with pytest.raises(NotDeletedError, match=r"did not delete 1 of 10 dead letters \(message-\d+: InternalError\)"):
        redrive(stage)
    stage.sqs.client.refuses = lambda _action, _entry: False
    assert redrive(stage) == {Reason.TRANSIENT: 3}
    assert sorted(bodies_on(stage, stage.upload_queue_url), key=int) == [
        *("0", "1", "2", "3", "4", "4"),
        *(str(number) for number in range(5, 12)),
    ]
    assert staying(stage) == {}


@pytest.mark.parametrize("request_name", ["send_message_batch", "delete_message_batch"])
def test_where_a_request_fails_all_that_are_held_are_shown_at_once(stage: Stage, request_name: str) -> None:
    for number in range(30):
        bury(stage, f"dog {number}", reason="malformed", detail="")
    bury(stage, "cat", reason="transient", detail="")
    stage.sqs.failing[request_name] = aws_error("InternalError")
    with pytest.raises(ClientError):
        redrive(stage)
    assert len(staying(stage)) == 31


def test_a_crash_while_dead_letters_are_sent_back_makes_duplicates_and_loses_nothing(stage: Stage) -> None:
    for number in range(10):
        bury(stage, str(number), reason="transient", detail="")

    def die(_parameters: object) -> None:
        stage.sqs.is_gone = True
        raise CrashError

    stage.sqs.before["delete_message_batch"] = die
    with pytest.raises(CrashError):
        redrive(stage)
    stage.sqs.is_gone = False
    assert len(came_back(stage)) == 10
    assert staying(stage) == {}  # nobody was there to show them
    stage.clock.sleep(VISIBILITY_SECONDS)
    assert len(staying(stage)) == 10


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def bury_some(stage: Stage) -> None:
    for number, reason in enumerate(["transient", "transient", "unreadable"]):
        bury(stage, f"{reason} {number}", reason=reason, detail="")
    bury(stage, "by SQS", redrives="1")
    bury(stage, "by EventBridge", ERROR_CODE="NO_PERMISSIONS")


def reasons(read: list[DeadLetter]) -> Counter[Reason]:
    return Counter(each.reason for each in read)


COUNTED = {Reason.TRANSIENT: 2, Reason.UNREADABLE: 1, Reason.CRASH: 1, Reason.AWS: 1}


def test_dead_letters_are_counted_by_reason_also_where_it_has_to_be_inferred(either: Stage) -> None:
    bury_some(either)
    assert reasons(either.dead_letters().read(100)) == COUNTED


def test_a_reading_only_receives_and_hides_nothing(either: Stage) -> None:
    bury_some(either)
    for _ in range(3):
        assert reasons(either.dead_letters().read(100)) == COUNTED
    assert {name for name, _parameters in either.sqs.heard} == {"receive_message"}
    assert {parameters["VisibilityTimeout"] for _name, parameters in either.sqs.heard} == {0}
    assert staying(either)["by SQS"] == {"redrives": "1"}


def test_each_is_counted_once_though_it_is_received_often(stage: Stage) -> None:
    stage.sqs.client.random = Random(1)  # as SQS, which keeps no order
    for number in range(40):
        bury(stage, str(number), reason="transient" if number % 2 else "malformed", detail="")
    read = stage.dead_letters().read(1_000)
    received = 10 * stage.sqs.count("receive_message")
    assert len(read) <= 40 < received
    assert len(read) > 30  # a sample, where nothing is hidden
    assert len(stage.dead_letters().read(12)) == 12


def test_a_reading_ends_though_the_queue_always_has_something_new(stage: Stage) -> None:
    numbers = count()

    def bury_another(_parameters: object) -> None:
        stage.clock.sleep(1)
        stage.sqs.client.queue(stage.dead_letter_queue_url).clear()
        bury(stage, str(next(numbers)), reason="aws", detail="")

    stage.sqs.before["receive_message"] = bury_another
    assert 0 < len(by_the_stages_clock(stage).read(1_000_000)) < 10


def test_an_empty_queue_is_read_once(stage: Stage) -> None:
    assert stage.dead_letters().read(100) == []
    assert stage.sqs.count("receive_message") == 1


# ── Discarding ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_dead_letters_that_have_become_pointless_are_deleted_and_the_others_left(either: Stage) -> None:
    bury(either, "cat", reason="unreadable", detail="")
    bury(either, "dog", redrives="2")
    discarded = either.dead_letters().discard(lambda each: each.body == "cat", 100)
    assert discarded == {Reason.UNREADABLE: 1}
    assert staying(either) == {"dog": {"redrives": "2"}}
    assert came_back(either) == {}


def test_one_that_was_not_discarded_is_reported(stage: Stage) -> None:
    bury(stage, "cat", reason="unreadable", detail="")
    refuse(stage, "DeleteMessageBatch", 0)
    with pytest.raises(NotDeletedError):
        stage.dead_letters().discard(lambda each: each.body == "cat", 100)
    assert list(staying(stage)) == ["cat"]
