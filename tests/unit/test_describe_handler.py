"""The describe function's batch: what each message becomes, and that no message is another one's undoing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from imagescribe.aws.sqs import RECEIVES_BEFORE_REQUEUE
from imagescribe.batch import CLEAN_UP_SECONDS, MAX_FAILURES
from imagescribe.model.answers import PRICE_USD
from imagescribe.settings import Settings
from imagescribe.stores.dynamodb import delete_if
from imagescribe.throttle.item import THROTTLE_KEY, ThrottleItem
from imagescribe.throttle.rate import fresh
from tests import sam_template
from tests.factories import API_KEY, eventbridge_body, make_picture, s3_notification_body, sample_bodies, stand_in
from tests.unit.fake_endpoint import prompt_of
from tests.unit.stage import VISIBILITY_SECONDS, Stage, aws_error, lambda_record, steady, throttled
from tests.unit.stages import ENVIRONMENT

PICTURE = make_picture("teal")


def statuses(stage: Stage, *uploads: Any) -> list[str]:
    return ["no record" if (record := stage.record(upload)) is None else record["status"] for upload in uploads]


# ── The cold start ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_function_starts_with_what_the_template_sets(stage: Stage) -> None:
    variables = sam_template.load()["Globals"]["Function"]["Environment"]["Variables"]
    of_the_other_function = {"IMAGESCRIBE_EVENT_SOURCE_MAPPINGS", "AWS_DEFAULT_REGION"}
    of_the_other_function |= {"IMAGESCRIBE_BACKFILL_QUEUE_URL", "IMAGESCRIBE_JOBS_TABLE"}
    assert set(variables) == set(ENVIRONMENT) - of_the_other_function
    settings = Settings.from_environment({name: ENVIRONMENT[name] for name in variables})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        assert stage.describe.assemble(settings).pipeline.settings == settings


# ── What is in a message ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "body",
    ["", "no JSON", "[]", "{}", '{"Records": [{"eventName": "ObjectCreated:Put"}]}', "[" * 100_000],
)
def test_a_message_that_tells_of_no_upload_is_a_dead_letter_at_once(stage: Stage, body: str) -> None:
    stage.send(body)
    stage.drain()
    [dead_letter] = stage.take_dead_letters()
    assert dead_letter.attributes["reason"] == "malformed"
    assert dead_letter.attributes["detail"]
    assert dead_letter.body == body
    assert stage.next_visible() is None


def test_what_s3_sends_to_try_a_queue_out_is_done(stage: Stage) -> None:
    for body in sample_bodies("s3-test-event"):
        stage.send(body)
    stage.drain()
    assert stage.last_answer == {"batchItemFailures": []}
    assert stage.take_dead_letters() == []


def test_a_notification_of_several_objects_is_split_into_one_message_for_each(stage: Stage) -> None:
    uploads = [stage.store(f"{colour}.png", make_picture(colour)) for colour in ("red", "green", "blue")]
    stage.send(s3_notification_body(*uploads))
    stage.endpoint.says(503)
    assert stage.invoke() == 1
    assert stage.endpoint.calls == []
    assert stage.invoke() == 3  # each with attempts and waits of its own
    assert sorted(statuses(stage, *uploads)) == ["described", "described", "waiting"]
    stage.settle()
    assert statuses(stage, *uploads) == ["described"] * 3


def test_a_notification_that_could_not_be_split_comes_back_whole(stage: Stage) -> None:
    uploads = [stage.store(f"{colour}.png", make_picture(colour)) for colour in ("red", "green")]
    stage.send(s3_notification_body(*uploads))
    stage.sqs.failing["send_message"] = throttled()
    assert stage.invoke() == 1
    assert len(stage.last_answer["batchItemFailures"]) == 1
    stage.sqs.failing.clear()
    stage.settle()
    assert statuses(stage, *uploads) == ["described"] * 2


# ── No message is another one's undoing ──────────────────────────────────────────────────────────────────────────────


def test_the_answer_names_just_the_messages_that_are_not_done(stage: Stage) -> None:
    well = [stage.upload(make_picture(colour)) for colour in ("red", "green")]
    stage.send("no JSON")
    waiting = stage.store("waiting.png", make_picture("blue"))
    stage.pipeline.ledger.claim(waiting, "another invocation", stage.clock.now + 90)
    stage.tell(waiting)
    messages = stage.receive(stage.upload_queue_url, VISIBILITY_SECONDS)
    answer = stage.describe.handler({"Records": [lambda_record(each) for each in messages]}, _Context())
    assert answer == {"batchItemFailures": [{"itemIdentifier": messages[3]["MessageId"]}]}
    assert statuses(stage, *well) == ["described"] * 2


class _Context:
    aws_request_id = "request"

    def get_remaining_time_in_millis(self) -> int:
        return 120_000


def test_a_bug_that_one_picture_brings_out_leaves_the_others_alone(stage: Stage) -> None:
    unlucky = stage.upload(PICTURE, "unlucky.png")
    lucky = [stage.upload(make_picture(colour)) for colour in ("red", "green")]

    def trip(parameters: dict[str, Any]) -> None:
        if parameters["Key"] == unlucky.key:
            raise ZeroDivisionError("a bug")

    stage.s3.before["get_object"] = trip
    assert stage.invoke() == 3
    assert statuses(stage, *lucky) == ["described"] * 2
    assert stage.next_visible() is not None

    stage.settle()
    [dead_letter] = stage.take_dead_letters()
    assert (dead_letter.attributes["reason"], dead_letter.attributes["detail"]) == (
        "crash",
        "ZeroDivisionError('a bug')",
    )

    stage.s3.before.clear()
    stage.send(dead_letter.body, {"redrives": "1"})
    stage.settle()
    assert statuses(stage, unlucky) == ["described"]


def test_a_bug_after_the_record_was_opened_stands_on_the_record(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.s3.failing["generate_presigned_url"] = ZeroDivisionError("a bug")
    stage.drain()
    record = stage.record(upload)
    assert record is not None
    assert (record["status"], record["error"]) == ("waiting", "ZeroDivisionError('a bug')")
    stage.settle()
    record = stage.record(upload)
    assert record is not None
    assert record["status"] == "dead"
    assert [each.attributes["reason"] for each in stage.take_dead_letters()] == ["crash"]
    assert stage.paid(upload) is None  # the claim was released each time


def test_a_deletion_that_can_not_be_looked_after_backs_off_and_makes_no_record(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.settle()
    stage.tell(stage.remove(upload))
    stage.s3.failing["get_object"] = EndpointConnectionError(endpoint_url="https://s3.invalid")
    stage.drain()
    stage.s3.failing.clear()
    stage.settle()
    assert statuses(stage, upload) == ["no record"]
    assert stage.take_dead_letters() == []


# ── A call that outlasts its invocation ──────────────────────────────────────────────────────────────────────────────


@contextmanager
def an_endpoint_that_hangs(stage: Stage) -> Iterator[threading.Event]:
    """Calls hang until the end of the block or until the event. The invocation waits for them 0.2 s."""
    may_go_on, others = threading.Event(), set(threading.enumerate())
    stage.endpoint.before_look = lambda: may_go_on.wait(20)
    stage.patience_seconds = 0.2
    try:
        yield may_go_on
    finally:
        stage.patience_seconds = 60
        stage.endpoint.before_look = lambda: None
        threads = set(threading.enumerate()) - others
        may_go_on.set()
        for thread in threads:
            thread.join(20)


def test_a_call_that_never_ends_is_left_behind_at_the_end_of_the_invocation(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    with an_endpoint_that_hangs(stage):
        assert stage.invoke() == 1
        assert stage.waited_for == [pytest.approx(stage.lambda_seconds - CLEAN_UP_SECONDS, abs=1)] * 2
        assert stage.last_answer == {"batchItemFailures": []}  # requeued, with the failure counted on it
        visible_at = stage.next_visible()
        assert visible_at is not None
        assert visible_at - stage.clock.now <= 4
        assert statuses(stage, upload) == ["waiting"]
    # The thread ended after all, and the answer that it paid for is there.
    stage.settle()
    assert statuses(stage, upload) == ["described"]
    assert stage.endpoint.paid.total() == 1


def test_a_call_that_hangs_whenever_it_is_made_becomes_a_dead_letter_and_leaves_the_queue(stage: Stage) -> None:
    upload = stage.store("pictures/cat.png", PICTURE)
    stage.send(eventbridge_body(upload), {"failures": str(MAX_FAILURES - 1)})
    with an_endpoint_that_hangs(stage):
        assert stage.invoke() == 1
        assert stage.last_answer == {"batchItemFailures": []}
        assert stage.next_visible() is None
        [dead_letter] = stage.take_dead_letters()
        assert dead_letter.attributes["reason"] == "transient"
        assert dead_letter.attributes["detail"] == "the invocation ended before the call did"
        assert statuses(stage, upload) == ["dead"]


def test_others_in_the_batch_of_a_call_that_hangs_are_done(stage: Stage) -> None:
    well = stage.upload(make_picture("red"))
    stage.drain()
    copies = [stage.upload(make_picture("red")) for _ in range(3)]  # paid for, so that they need no call
    stage.upload(PICTURE)
    with an_endpoint_that_hangs(stage):
        assert stage.invoke() == 4
        assert statuses(stage, well, *copies) == ["described"] * 4
        assert stage.next_visible() is not None


# ── Waiting ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_waiting_ever_so_often_never_makes_a_dead_letter(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    for _ in range(5 * RECEIVES_BEFORE_REQUEUE):
        stage.endpoint.says(429)
    stage.settle()
    assert statuses(stage, upload) == ["described"]
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
    assert statuses(stage, *uploads) == ["waiting"] * 10
    assert {stage.standing(upload)["error"] for upload in uploads} == {"the endpoint's rate limit"}
    assert all(stage.standing(upload)["waiting_until"] for upload in uploads)
    assert [name for name, _ in stage.s3.heard] == []
    assert sorted(name for name, _ in stage.dynamodb.heard) == ["batch_get_item"] + 11 * ["update_item"]
    assert [name for name, _ in stage.sqs.heard] == ["change_message_visibility_batch"]
    queue = stage.sqs.client.queue(stage.upload_queue_url)
    assert min(message.visible_at - stage.clock.now for message in queue) >= 20

    stage.settle()
    assert statuses(stage, *uploads) == ["described"] * 10
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
    assert statuses(stage, upload) == ["described"]


def test_what_needs_no_call_does_not_wait_for_one(stage: Stage) -> None:
    gone = stage.upload(make_picture("red"))
    stage.drain()
    deletion = stage.remove(gone)
    waiting = stage.upload(PICTURE)
    stage.tell(deletion)
    stage.send("no JSON")
    fill_the_schedule(stage, 30)
    stage.invoke()
    assert statuses(stage, gone, waiting) == ["no record", "waiting"]
    assert [each.attributes["reason"] for each in stage.take_dead_letters()] == ["malformed"]
    assert len(stage.last_answer["batchItemFailures"]) == 1


def test_only_those_begin_for_whom_there_are_starts(stage: Stage) -> None:
    uploads = [stage.upload(make_picture(f"#00{number:02x}00")) for number in range(10)]
    fill_the_schedule(stage, 0.2, per_second=1 / 30)
    stage.invoke()
    assert sorted(statuses(stage, *uploads)) == ["described"] + ["waiting"] * 9
    assert stage.s3.count("get_object") == 1


def test_a_permit_that_can_not_be_released_changes_nothing_about_its_image(stage: Stage) -> None:
    gone = stage.upload(PICTURE)
    stage.s3.client.delete_object(Bucket=gone.bucket, Key=gone.key)
    stage.s3.after["get_object"] = stage.s3.before["get_object"] = lambda _parameters: stage.dynamodb.failing.update(
        {"update_item": throttled()}
    )
    stage.drain()
    assert statuses(stage, gone) == ["no record"]
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
    assert statuses(stage, second) == ["described"]
    assert stage.take_dead_letters() == []


def test_copies_of_what_is_described_take_no_permit(stage: Stage) -> None:
    first = stage.upload(PICTURE)
    stage.drain()
    before = stage.throttle_state()
    copies = [stage.upload(PICTURE) for _ in range(5)]
    stage.tell(*copies)
    stage.drain()
    assert statuses(stage, first, *copies) == ["described"] * 6
    assert stage.endpoint.paid.total() == 1
    assert stage.throttle_state() == before


def test_copies_in_one_batch_take_one_permit(stage: Stage) -> None:
    copies = [stage.upload(PICTURE) for _ in range(5)]
    stage.settle()
    assert statuses(stage, *copies) == ["described"] * 5
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
    assert statuses(stage, *uploads) == ["waiting"] * 2
    assert stage.last_answer == {"batchItemFailures": []}  # requeued, with the failure counted
    stage.settle()
    assert statuses(stage, *uploads) == ["described"] * 2
    assert stage.take_dead_letters() == []


def test_where_the_queue_can_not_defer_them_they_come_back_by_themselves(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    fill_the_schedule(stage, 30)
    stage.sqs.failing["change_message_visibility_batch"] = throttled()
    stage.invoke()
    stage.sqs.failing.clear()
    assert len(stage.last_answer["batchItemFailures"]) == 1
    assert stage.settle() >= VISIBILITY_SECONDS - 1
    assert statuses(stage, upload) == ["described"]


def test_a_failure_after_ever_so_many_waits_is_the_first_one(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    for message in stage.sqs.client.queue(stage.upload_queue_url):
        message.receive_count = 2 * RECEIVES_BEFORE_REQUEUE - 1
    stage.s3.failing["get_object"] = throttled()
    stage.invoke()
    stage.s3.failing.clear()
    assert stage.take_dead_letters() == []
    stage.settle()
    assert statuses(stage, upload) == ["described"]


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
    assert statuses(stage, upload) == ["dead"]


# ── The key ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_that_was_rotated_is_read_afresh_once_and_the_image_does_not_notice(stage: Stage) -> None:
    first = stage.upload(PICTURE)
    stage.drain()
    stage.endpoint.accepted_key = stage.secrets.client.key = "the next key"
    second = stage.upload(make_picture("red"))
    stage.drain()

    assert statuses(stage, first, second) == ["described"] * 2
    assert [key for _url, key in stage.endpoint.calls] == [API_KEY, API_KEY, "the next key"]
    assert stage.secrets.count("get_secret_value") == 2
    assert stage.throttle_state().breaker.opened_by == ""


def test_a_key_that_is_refused_and_was_not_rotated_pauses_intake_and_the_right_one_ends_the_pause(
    stage: Stage,
) -> None:
    stage.endpoint.accepted_key = "another key"
    upload = stage.upload(PICTURE)
    stage.drain()
    assert len(stage.endpoint.calls) == 1
    breaker = stage.throttle_state().breaker
    assert (breaker.opened_by, breaker.why) == ("account", "401: no such key")
    record = stage.record(upload)
    assert record is not None
    assert (record["status"], record["error"], record["attempts"]) == ("waiting", "401: no such key", 0)

    later = stage.upload(make_picture("red"))
    stage.drain()
    assert len(stage.endpoint.calls) == 1
    assert stage.standing(later)["error"] == "paused by the account: 401: no such key"

    stage.secrets.client.key = "another key"
    stage.settle()
    assert statuses(stage, upload, later) == ["described"] * 2
    assert stage.throttle_state().breaker.opened_by == ""
    assert stage.take_dead_letters() == []


@pytest.mark.parametrize("key", [None, "", " \n"])
def test_without_a_key_intake_is_paused_with_what_to_do_about_it(stage: Stage, key: str | None) -> None:
    stage.secrets.client.key = key
    upload = stage.upload(PICTURE)
    stage.pass_time(3_600)
    assert stage.endpoint.calls == []
    assert stage.throttle_state().breaker.why == "no API key is set: run `imagescribe key set`"
    assert stage.throttle_state().breaker.openings > 3  # each longer than the one before
    assert stage.throttle_state().breaker.open_until > stage.clock.now
    assert statuses(stage, upload) == ["waiting"]
    assert stage.paid(upload) is None

    stage.secrets.client.key = API_KEY
    stage.settle()
    assert statuses(stage, upload) == ["described"]
    assert stage.take_dead_letters() == []


def test_a_key_that_was_taken_away_pauses_intake_like_one_that_is_wrong(stage: Stage) -> None:
    stage.upload(PICTURE)
    stage.drain()
    stage.endpoint.accepted_key = "another key"
    stage.secrets.client.key = ""
    upload = stage.upload(make_picture("red"))
    stage.drain()
    assert stage.throttle_state().breaker.why == "no API key is set: run `imagescribe key set`"
    assert stage.standing(upload)["attempts"] == 0

    stage.secrets.client.key = "another key"
    stage.settle()
    assert statuses(stage, upload) == ["described"]
    assert stage.throttle_state().budget.spent_usd == 2 * 0.015


def test_neither_the_key_nor_what_signs_a_url_is_in_what_is_logged_or_kept(
    stage: Stage, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.endpoint.says(503, 429, 500)
    stage.upload(PICTURE)
    stage.settle()
    kept = json.dumps(stage.dynamodb.client.tables, default=str)
    said = caplog.text + "".join(capsys.readouterr())
    assert prompt_of(PICTURE) in kept
    for secret in (API_KEY, "X-Amz-Signature", "0f0f"):
        assert secret not in kept + said


def test_an_image_that_can_not_even_be_looked_at_has_a_record_with_the_reason(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.s3.failing["get_object"] = aws_error("AccessDenied")
    assert stage.invoke() == 1
    record = stage.record(upload)
    assert record is not None
    assert record["status"] == "waiting"
    assert "AccessDenied" in record["error"]
