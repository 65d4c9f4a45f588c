"""What makes images wait before any call, what comes of their waiting, and what need not wait."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from imagescribe.aws.sqs import RECEIVES_BEFORE_REQUEUE
from imagescribe.batch import MAX_FAILURES
from imagescribe.model.answers import PRICE_USD
from imagescribe.stores.dynamodb import delete_if
from imagescribe.throttle.item import THROTTLE_KEY, ThrottleItem
from imagescribe.throttle.rate import fresh
from tests.factories import make_picture, stand_in
from tests.unit.stage import VISIBILITY_SECONDS, Stage, steady, throttled

PICTURE = make_picture("teal")


def test_waiting_ever_so_often_never_makes_a_dead_letter(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    for _ in range(5 * RECEIVES_BEFORE_REQUEUE):
        stage.endpoint.says(429)
    stage.settle()
    assert stage.statuses(upload) == ["described"]
    assert stage.take_dead_letters() == []
    assert len(stage.endpoint.calls) == 5 * RECEIVES_BEFORE_REQUEUE + 1


def fill_the_schedule(stage: Stage, seconds: float, per_second: float = 1.0) -> None:
    """Let others have taken all starts of that time."""
    item = ThrottleItem(stand_in(stage.dynamodb), stage.ledger_table, lambda: fresh(stage.clock.now))
    state = item.read()
    item.replace(state, replace(state, rate=steady(stage.clock.now + seconds, per_second)))
    stage.pipeline.throttle.state()


def test_uploads_for_which_no_start_is_near_go_back_with_a_record_and_nothing_else_done_for_them(stage: Stage) -> None:
    uploads = [stage.upload(make_picture(f"#00{number:02x}00")) for number in range(10)]
    fill_the_schedule(stage, 30)
    for service in (stage.s3, stage.dynamodb, stage.sqs):
        service.heard.clear()
    stage.invoke()
    assert len(stage.last_answer["batchItemFailures"]) == 10
    assert stage.statuses(*uploads) == ["waiting"] * 10
    assert {stage.standing(upload)["error"] for upload in uploads} == {"the endpoint's rate limit"}
    assert all(stage.standing(upload)["waiting_until"] for upload in uploads)
    assert [name for name, _ in stage.s3.heard] == []
    assert sorted(name for name, _ in stage.dynamodb.heard) == ["batch_get_item"] + 11 * ["update_item"]
    assert [name for name, _ in stage.sqs.heard] == ["change_message_visibility_batch"]
    queue = stage.sqs.client.queue(stage.upload_queue_url)
    assert min(message.visible_at - stage.clock.now for message in queue) >= 20

    stage.settle()
    assert stage.statuses(*uploads) == ["described"] * 10
    assert stage.endpoint.paid.total() == 10
    assert stage.take_dead_letters() == []


def test_a_record_is_opened_by_the_first_receipt_and_later_ones_write_nothing(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.pipeline.throttle.open("maintenance")
    stage.invoke()
    assert stage.standing(upload)["status"] == "waiting"
    assert stage.standing(upload)["error"] == "paused by the operator: maintenance"
    for service in (stage.s3, stage.dynamodb):
        service.heard.clear()
    for _ in range(3):
        stage.clock.now = (stage.next_visible() or 0) + 1
        assert stage.invoke() == 1
    assert [name for name, _ in stage.s3.heard] == []
    assert [name for name, _ in stage.dynamodb.heard] == 3 * ["get_item"]

    stage.pipeline.throttle.close()
    stage.settle()
    assert stage.statuses(upload) == ["described"]


def test_what_needs_no_call_does_not_wait_for_one(stage: Stage) -> None:
    gone = stage.upload(make_picture("red"))
    stage.drain()
    deletion = stage.remove(gone)
    waiting = stage.upload(PICTURE)
    stage.tell(deletion)
    stage.send("no JSON")
    fill_the_schedule(stage, 30)
    stage.invoke()
    assert stage.statuses(gone, waiting) == ["no record", "waiting"]
    assert [each.attributes["reason"] for each in stage.take_dead_letters()] == ["malformed"]
    assert len(stage.last_answer["batchItemFailures"]) == 1


def test_only_those_begin_for_whom_there_are_starts(stage: Stage) -> None:
    uploads = [stage.upload(make_picture(f"#00{number:02x}00")) for number in range(10)]
    fill_the_schedule(stage, 0.2, per_second=1 / 30)
    stage.invoke()
    assert sorted(stage.statuses(*uploads)) == ["described"] + ["waiting"] * 9
    assert stage.s3.count("get_object") == 1


def test_a_permit_that_can_not_be_released_changes_nothing_about_its_image(stage: Stage) -> None:
    gone = stage.upload(PICTURE)
    stage.s3.client.delete_object(Bucket=gone.bucket, Key=gone.key)
    stage.s3.after["get_object"] = stage.s3.before["get_object"] = lambda _parameters: stage.dynamodb.failing.update(
        {"update_item": throttled()}
    )
    stage.drain()
    assert stage.statuses(gone) == ["no record"]
    assert stage.last_answer == {"batchItemFailures": []}
    assert stage.next_visible() is None


@pytest.mark.parametrize(
    ("service", "request_name"), [("s3", "generate_presigned_url"), ("secrets", "get_secret_value")]
)
def test_a_permit_whose_call_could_not_be_prepared_is_released(stage: Stage, service: str, request_name: str) -> None:
    stage.upload(PICTURE)
    getattr(stage, service).failing[request_name] = throttled()
    stage.invoke()
    assert stage.endpoint.calls == []
    assert stage.throttle_state().budget.spent_usd == 0


def test_where_the_tables_can_not_be_asked_the_images_of_a_batch_fail_side_by_side(stage: Stage) -> None:
    for number in range(3):
        stage.upload(make_picture(f"#0000{number:02x}"))
    stage.dynamodb.failing["batch_get_item"] = throttled()
    together = threading.Barrier(3, timeout=5)
    stage.dynamodb.before["update_item"] = lambda parameters: (
        together.wait() if ":dead" in parameters["ExpressionAttributeValues"] else None
    )
    stage.invoke()
    assert not together.broken


def test_a_throttle_that_somebody_deleted_is_made_again(stage: Stage) -> None:
    stage.upload(PICTURE)
    stage.drain()
    stage.clock.sleep(3600)
    delete_if(stage.dynamodb.client, stage.ledger_table, THROTTLE_KEY, "attribute_exists(content)", {})
    second = stage.upload(make_picture("red"))
    stage.settle()
    assert stage.statuses(second) == ["described"]
    assert stage.take_dead_letters() == []


def test_copies_of_what_is_described_take_no_permit(stage: Stage) -> None:
    first = stage.upload(PICTURE)
    stage.drain()
    before = stage.throttle_state()
    copies = [stage.upload(PICTURE) for _ in range(5)]
    stage.tell(*copies)
    stage.drain()
    assert stage.statuses(first, *copies) == ["described"] * 6
    assert stage.endpoint.paid.total() == 1
    assert stage.throttle_state() == before


def test_copies_in_one_batch_take_one_permit(stage: Stage) -> None:
    copies = [stage.upload(PICTURE) for _ in range(5)]
    stage.settle()
    assert stage.statuses(*copies) == ["described"] * 5
    assert stage.endpoint.paid.total() == 1
    assert stage.throttle_state().budget.spent_usd == pytest.approx(PRICE_USD)


def test_an_image_that_turns_out_to_need_no_call_releases_its_permit(stage: Stage) -> None:
    stage.upload(b"no picture at all")
    stage.drain()
    assert stage.endpoint.calls == []
    assert stage.throttle_state().budget.spent_usd == 0


def test_where_the_tables_can_not_be_asked_the_batch_waits_and_is_tried_again(stage: Stage) -> None:
    uploads = [stage.upload(make_picture(colour)) for colour in ("red", "green")]
    stage.dynamodb.failing["batch_get_item"] = throttled()
    stage.invoke()
    stage.dynamodb.failing.clear()
    assert stage.statuses(*uploads) == ["waiting"] * 2
    assert stage.last_answer == {"batchItemFailures": []}  # requeued, with the failure counted
    stage.settle()
    assert stage.statuses(*uploads) == ["described"] * 2
    assert stage.take_dead_letters() == []


def test_where_the_queue_can_not_defer_them_they_come_back_by_themselves(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    fill_the_schedule(stage, 30)
    stage.sqs.failing["change_message_visibility_batch"] = throttled()
    stage.invoke()
    stage.sqs.failing.clear()
    assert len(stage.last_answer["batchItemFailures"]) == 1
    assert stage.settle() >= VISIBILITY_SECONDS - 1
    assert stage.statuses(upload) == ["described"]


def test_a_failure_after_ever_so_many_waits_is_the_first_one(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    for message in stage.sqs.client.queue(stage.upload_queue_url):
        message.receive_count = 2 * RECEIVES_BEFORE_REQUEUE - 1
    stage.s3.failing["get_object"] = throttled()
    stage.invoke()
    stage.s3.failing.clear()
    assert stage.take_dead_letters() == []
    stage.settle()
    assert stage.statuses(upload) == ["described"]


def test_failures_are_counted_through_the_waits_between_them(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.s3.failing["get_object"] = throttled()
    for _ in range(MAX_FAILURES - 1):
        stage.invoke()
        [message] = stage.sqs.client.queue(stage.upload_queue_url)
        message.receive_count = RECEIVES_BEFORE_REQUEUE  # it waited meanwhile
        message.visible_at = stage.clock.now
        assert stage.take_dead_letters() == []
    stage.invoke()
    assert [each.attributes["reason"] for each in stage.take_dead_letters()] == ["aws"]
    assert stage.statuses(upload) == ["dead"]
