"""Nothing is paid twice: duplicates, redeliveries, crashes, services that fail between the answer and its record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from imagescribe.model.events import Upload
from imagescribe.model.tags import tag_value
from tests.factories import make_description, make_picture
from tests.unit.fake_endpoint import prompt_of
from tests.unit.stage import CrashError, Stage, aws_error, throttled

PICTURE = make_picture("teal")


def status(stage: Stage, upload: Upload) -> str:
    record = stage.record(upload)
    return "no record" if record is None else str(record["status"])


# ── Duplicates ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_three_deliveries_of_one_event_one_after_the_other_are_one_paid_call_and_one_event(stage: Stage) -> None:
    upload = stage.store("cat.png", PICTURE)
    for _ in range(3):
        stage.tell(upload)
        stage.drain()
    assert stage.endpoint.paid.total() == 1
    assert status(stage, upload) == "described"
    assert len(stage.announced()) == 1


def test_three_deliveries_of_one_event_side_by_side_are_one_paid_call(stage: Stage) -> None:
    upload = stage.store("cat.png", PICTURE)
    stage.tell(upload, upload, upload)
    seconds = stage.settle()
    assert stage.endpoint.paid.total() == 1
    assert status(stage, upload) == "described"
    assert seconds < 60


def test_the_same_picture_under_ten_keys_at_once_is_one_paid_call_and_ten_descriptions(stage: Stage) -> None:
    uploads = [stage.upload(PICTURE) for _ in range(10)]
    stage.settle()
    assert stage.endpoint.paid.total() == 1
    for upload in uploads:
        assert status(stage, upload) == "described"
        assert stage.tags(upload) == {"prompt": prompt_of(PICTURE)}
    assert sorted(stage.announced()) == sorted((upload.image, prompt_of(PICTURE)) for upload in uploads)


def test_a_finished_upload_is_announced_again_only_where_the_first_try_may_not_have_come_so_far(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.bus.client.refuses = True
    stage.drain()
    assert status(stage, upload) == "described"
    assert stage.announced() == []
    assert stage.next_visible() is not None

    stage.bus.client.refuses = False
    stage.settle()
    assert stage.announced() == [(upload.image, prompt_of(PICTURE))]

    stage.tell(upload)  # another message of the same event is a first try of its own
    stage.drain()
    assert len(stage.announced()) == 1
    assert stage.endpoint.paid.total() == 1


def test_while_the_same_picture_is_being_described_elsewhere_an_image_waits_and_then_has_its_prompt(
    stage: Stage,
) -> None:
    first = stage.store("first.png", PICTURE)
    stage.pipeline.ledger.claim(first, "another invocation", stage.clock.now + 90)
    second = stage.upload(PICTURE, "second.png")
    stage.drain()

    record = stage.record(second)
    assert record is not None
    assert (record["status"], record["error"]) == ("waiting", "the same picture is being described")
    visible_at = stage.next_visible()
    assert visible_at is not None
    assert 1 < visible_at - stage.clock.now <= 6

    stage.pass_time(60)
    assert stage.endpoint.calls == []
    stage.settle()  # the other one crashed: its lease has ended
    assert status(stage, second) == "described"
    assert stage.endpoint.paid.total() == 1
    paid = stage.paid(second)
    assert paid is not None
    assert paid["claims"] == 2


def test_without_time_for_a_call_the_message_comes_back_at_once_and_its_claim_is_given_back(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.lambda_seconds = 75
    assert stage.invoke() == 1
    assert stage.endpoint.calls == []
    assert stage.standing(upload)["error"] == "no time was left for a call"
    assert stage.paid(upload) is None

    stage.lambda_seconds = 120
    assert stage.settle() < 2
    assert status(stage, upload) == "described"


# ── Crashes: the process is gone, and no line of it runs any more ────────────────────────────────────────────────────

AFTER: dict[str, Callable[[Stage, Callable[[dict[str, object]], None]], None]] = {
    "the claim": lambda stage, die: stage.s3.before.update(generate_presigned_url=die),
    "the look after the answer": lambda stage, die: stage.s3.after.update(head_object=die),
    "the save": lambda stage, die: stage.s3.before.update(get_object_tagging=die),
    "the tags": lambda stage, die: stage.s3.after.update(put_object_tagging=die),
    "the catalog": lambda stage, die: stage.bus.before.update(put_events=die),
    "the event": lambda stage, die: stage.bus.after.update(put_events=die),
}


@pytest.mark.parametrize(
    ("point", "paid_calls", "events"),
    [
        ("the claim", 1, 1),
        ("the look after the answer", 2, 1),  # the one window: answered, and not saved yet
        ("the save", 1, 1),
        ("the tags", 1, 1),
        ("the catalog", 1, 1),
        ("the event", 1, 2),
    ],
)
def test_a_crash_after(stage: Stage, point: str, paid_calls: int, events: int) -> None:
    upload = stage.upload(PICTURE)
    crash_at(stage, AFTER[point])
    stage.settle()

    assert status(stage, upload) == "described"
    assert stage.tags(upload) == {"prompt": prompt_of(PICTURE)}
    assert stage.endpoint.paid.total() == paid_calls
    assert len(stage.announced()) == events
    paid = stage.paid(upload)
    assert paid is not None
    assert "holder" not in paid


def crash_at(stage: Stage, point: Callable[[Stage, Callable[[dict[str, object]], None]], None]) -> None:
    """Let an invocation die at a point: from there on it reaches no service; the next one is well."""
    services = [stage.s3, stage.dynamodb, stage.sqs, stage.bus]

    def die(_parameters: dict[str, Any]) -> None:
        for service in services:
            service.is_gone = True
        raise CrashError

    point(stage, die)
    with pytest.raises(CrashError):
        stage.invoke()
    for service in services:
        service.is_gone = False
        service.before.clear()
        service.after.clear()
    stage.cold_start()


def test_where_two_have_paid_after_all_the_answer_that_was_saved_first_stands(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    first = make_description()

    def save_before(parameters: dict[str, Any]) -> None:
        if ":set_body" in parameters["ExpressionAttributeValues"]:
            stage.dynamodb.before.clear()
            stage.pipeline.ledger.save(upload, first, stage.clock.now)

    stage.dynamodb.before["update_item"] = save_before
    stage.settle()
    record = stage.record(upload)
    assert record is not None
    assert record["prompt"] == first.prompt
    assert stage.tags(upload)["prompt"] == tag_value(first.prompt or "")
    assert stage.announced() == [(upload.image, first.prompt)]


# ── Services that fail ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_whose_save_fails_for_a_while_is_not_paid_for_again(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    failures = iter(range(8))

    def fail_to_save(parameters: dict[str, Any]) -> None:
        if ":set_body" in parameters["ExpressionAttributeValues"] and next(failures, None) is not None:
            raise throttled()

    stage.dynamodb.before["update_item"] = fail_to_save
    started = stage.clock.now
    stage.drain()
    assert next(failures, None) is None
    assert status(stage, upload) == "described"
    assert stage.endpoint.paid.total() == 1
    assert stage.clock.now - started >= 8 * 0.5


def test_an_answer_whose_object_can_not_be_looked_at_for_a_while_is_not_paid_for_again(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    failures = iter(range(8))

    def fail_to_look(_parameters: dict[str, Any]) -> None:
        if next(failures, None) is not None:
            raise throttled()

    stage.s3.before["head_object"] = fail_to_look
    stage.settle()
    assert next(failures, None) is None
    assert status(stage, upload) == "described"
    assert stage.endpoint.paid.total() == 1


@pytest.mark.parametrize("request_name", ["head_object", "update_item"])
def test_an_answer_that_can_not_be_kept_until_the_invocation_ends_is_asked_for_again(
    stage: Stage, request_name: str
) -> None:
    upload = stage.upload(PICTURE)

    def fail_after_the_answer(parameters: dict[str, Any]) -> None:
        if stage.endpoint.paid and parameters.get("TableName", stage.ledger_table) == stage.ledger_table:
            raise throttled()

    service = stage.s3 if request_name == "head_object" else stage.dynamodb
    service.before[request_name] = fail_after_the_answer
    assert stage.invoke() == 1
    service.before.clear()
    stage.settle()
    assert status(stage, upload) == "described"
    assert stage.endpoint.paid.total() == 2
    paid = stage.paid(upload)
    assert paid is not None
    assert paid["claims"] == 2  # so that the double charge can be found


@pytest.mark.parametrize(
    ("service", "request_name"),
    [
        ("s3", "get_object"),
        ("s3", "put_object_tagging"),
        ("dynamodb", "update_item"),
        ("secrets", "get_secret_value"),
        ("bus", "put_events"),
    ],
)
def test_while_a_service_fails_the_message_backs_off_and_nothing_is_paid_twice_after(
    stage: Stage, service: str, request_name: str
) -> None:
    upload = stage.upload(PICTURE)
    failing = getattr(stage, service).failing
    failing[request_name] = throttled()
    stage.drain()
    assert stage.next_visible() is not None

    failing.clear()
    stage.settle()
    assert status(stage, upload) == "described"
    assert stage.take_dead_letters() == []
    assert stage.endpoint.paid.total() == 1


def test_a_service_that_keeps_failing_makes_a_dead_letter_with_its_words_after_ten_times(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.s3.failing["get_object_tagging"] = aws_error("KMS.DisabledException", "GetObjectTagging")
    seconds = stage.settle()

    [dead_letter] = stage.take_dead_letters()
    assert dead_letter.attributes["reason"] == "aws"
    assert "KMS.DisabledException" in dead_letter.attributes["detail"]
    record = stage.record(upload)
    assert record is not None
    assert record["status"] == "dead"
    assert "KMS.DisabledException" in record["error"]
    assert stage.s3.count("get_object_tagging") == 10
    assert stage.endpoint.paid.total() == 1
    assert seconds > 30  # ever longer waits


def test_the_catalog_failing_too_does_not_keep_a_message_from_waiting(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.s3.failing["get_object_tagging"] = throttled()
    stage.dynamodb.before["update_item"] = fail_in(stage, stage.catalog_table, after=1)
    stage.drain()
    assert stage.next_visible() is not None
    stage.s3.failing.clear()
    stage.dynamodb.before.clear()
    stage.settle()
    assert status(stage, upload) == "described"


def fail_in(stage: Stage, table: str, after: int) -> Callable[[dict[str, object]], None]:
    """Let a table's updates fail after so many."""
    seen = iter(range(after))

    def fail(parameters: dict[str, Any]) -> None:
        if parameters["TableName"] == table and next(seen, None) is None:
            raise throttled()

    return fail


def test_a_queue_that_can_not_be_told_gives_the_message_back_later(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.endpoint.says(503)
    stage.sqs.failing["change_message_visibility_batch"] = throttled()
    assert stage.invoke() == 1
    assert len(stage.last_answer["batchItemFailures"]) == 1

    stage.sqs.failing.clear()
    assert stage.settle() > 600  # the visibility time-out
    assert status(stage, upload) == "described"
    assert stage.endpoint.paid.total() == 1
