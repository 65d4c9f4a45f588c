"""The describe function's batch: what each message becomes, and that no message is another one's undoing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from imagescribe.batch import CLEAN_UP_SECONDS, MAX_FAILURES
from imagescribe.settings import Settings
from imagescribe.stores.dynamodb import update_if
from tests import sam_template
from tests.factories import eventbridge_body, make_picture, s3_notification_body, sample_bodies
from tests.unit.stage import VISIBILITY_SECONDS, Stage, aws_error, lambda_record, throttled
from tests.unit.stages import ENVIRONMENT

PICTURE = make_picture("teal")


# ── The cold start ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_function_starts_with_what_the_template_sets(stage: Stage) -> None:
    variables = sam_template.load()["Globals"]["Function"]["Environment"]["Variables"]
    of_the_other_function = {"IMAGESCRIBE_EVENT_SOURCE_MAPPINGS", "AWS_DEFAULT_REGION"}
    of_the_other_function |= {"IMAGESCRIBE_BACKFILL_QUEUE_URL", "IMAGESCRIBE_JOBS_TABLE"}
    of_the_other_function |= {"IMAGESCRIBE_IMAGING_FUNCTION", "IMAGESCRIBE_BUCKET"}
    of_the_other_function |= {"IMAGESCRIBE_LABELS", "IMAGESCRIBE_LABELS_KEY", "IMAGESCRIBE_WRITE_ANNOTATION"}
    assert set(variables) == set(ENVIRONMENT) - of_the_other_function
    settings = Settings.from_environment({name: ENVIRONMENT[name] for name in variables})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        for name in ("IMAGING_FUNCTION", "BUCKET", "LABELS", "LABELS_KEY", "WRITE_ANNOTATION"):
            patch.setenv(f"IMAGESCRIBE_{name}", "")
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
    assert sorted(stage.statuses(*uploads)) == ["described", "described", "waiting"]
    stage.settle()
    assert stage.statuses(*uploads) == ["described"] * 3


def test_a_notification_that_could_not_be_split_comes_back_whole(stage: Stage) -> None:
    uploads = [stage.store(f"{colour}.png", make_picture(colour)) for colour in ("red", "green")]
    stage.send(s3_notification_body(*uploads))
    stage.sqs.failing["send_message"] = throttled()
    assert stage.invoke() == 1
    assert len(stage.last_answer["batchItemFailures"]) == 1
    stage.sqs.failing.clear()
    stage.settle()
    assert stage.statuses(*uploads) == ["described"] * 2


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
    assert stage.statuses(*well) == ["described"] * 2


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
    assert stage.statuses(*lucky) == ["described"] * 2
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
    assert stage.statuses(unlucky) == ["described"]


@pytest.mark.parametrize("values", [{}, {"status": "strange"}, {"status": "strange", "sequencer": "00", "etag": "e"}])
def test_a_record_that_is_not_ours_to_read_becomes_ours_and_holds_no_batch_up(
    either: Stage, values: dict[str, str]
) -> None:
    uploads = [either.upload(make_picture(colour)) for colour in ("red", "green")]
    update_if(either.dynamodb.client, either.catalog_table, {"image": uploads[0].image}, values={"note": 1, **values})
    assert either.invoke() == 2
    assert either.statuses(*uploads) == ["described"] * 2
    assert either.last_answer == {"batchItemFailures": []}


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
    assert stage.statuses(upload) == ["no record"]
    assert stage.take_dead_letters() == []


def test_an_image_that_can_not_even_be_inspected_has_a_record_with_the_reason(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.s3.failing["get_object"] = aws_error("AccessDenied")
    assert stage.invoke() == 1
    record = stage.record(upload)
    assert record is not None
    assert record["status"] == "waiting"
    assert "AccessDenied" in record["error"]


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
        assert stage.statuses(upload) == ["waiting"]
    # The thread ended after all, and the answer that it paid for is there.
    stage.settle()
    assert stage.statuses(upload) == ["described"]
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
        assert stage.statuses(upload) == ["dead"]


def test_others_in_the_batch_of_a_call_that_hangs_are_done(stage: Stage) -> None:
    well = stage.upload(make_picture("red"))
    stage.drain()
    copies = [stage.upload(make_picture("red")) for _ in range(3)]  # paid for, so that they need no call
    stage.upload(PICTURE)
    with an_endpoint_that_hangs(stage):
        assert stage.invoke() == 4
        assert stage.statuses(well, *copies) == ["described"] * 4
        assert stage.next_visible() is not None


def test_where_no_tags_are_written_none_is_asked_for(stage: Stage) -> None:
    stage.cold_start(prompt_tag_key="")
    upload = stage.upload(PICTURE)
    stage.invoke()
    record = stage.standing(upload)
    assert (record["status"], record["tags"]) == ("described", "off")
    assert not [request for request, _ in stage.s3.heard if "tagging" in request]
