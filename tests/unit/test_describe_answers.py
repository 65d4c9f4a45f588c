"""What a user finds in the catalog, on the queues and in the ledger after each answer of the endpoint."""

from __future__ import annotations

import json
from threading import Barrier

import pytest

from imagescribe.model.answers import PRICE_USD
from tests.factories import make_picture
from tests.unit.fake_endpoint import Fault, Reply, prompt_of
from tests.unit.stage import Stage, aws_error

PICTURE = make_picture("teal")


def test_a_described_image_has_its_prompt_in_the_catalog_in_the_ledger_on_its_tag_and_in_an_event(
    either: Stage,
) -> None:
    stage = either
    upload = stage.upload(PICTURE)
    stage.drain()

    record = stage.record(upload)
    assert record is not None
    assert record["status"] == "described"
    assert record["prompt"] == prompt_of(PICTURE)
    assert record["tags"] == "written"
    assert (record["attempts"], record["error"], record["waiting_until"]) == (0, None, None)
    assert (record["etag"], record["size"], record["sequencer"]) == (upload.etag, upload.size, upload.sequencer)
    assert stage.tags(upload) == {"prompt": prompt_of(PICTURE)}
    assert stage.announced() == [(upload.image, prompt_of(PICTURE))]
    paid = stage.paid(upload)
    assert paid is not None
    assert prompt_of(PICTURE) in paid["body"]
    assert float(paid["cost_usd"]) == PRICE_USD
    assert stage.last_answer == {"batchItemFailures": []}
    assert stage.next_visible() is None
    assert stage.take_dead_letters() == []
    assert stage.throttle_state().budget.spent_usd == PRICE_USD


@pytest.mark.parametrize("body", ["", "{}", "null", '{"descriptions": [{}]}', "<html>all is well</html>", '{"descr'])
def test_a_paid_answer_without_a_prompt_is_kept_and_its_message_is_a_dead_letter(stage: Stage, body: str) -> None:
    upload = stage.upload(PICTURE)
    stage.endpoint.says(Reply(200, body))
    stage.drain()

    record = stage.record(upload)
    assert record is not None
    assert (record["status"], record["prompt"]) == ("dead", None)
    assert "kept in the ledger" in record["error"]
    paid = stage.paid(upload)
    assert paid is not None
    assert paid["body"] == body
    [dead_letter] = stage.take_dead_letters()
    assert dead_letter.attributes["reason"] == "unreadable"
    assert upload.image in dead_letter.attributes["detail"]
    assert stage.announced() == []
    assert stage.next_visible() is None


def test_an_unreadable_answer_is_not_paid_again_when_its_message_comes_back(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.endpoint.says(Reply(200, "{}"))
    stage.drain()
    [dead_letter] = stage.take_dead_letters()
    stage.send(dead_letter.body, {"redrives": "0"})
    stage.drain()

    assert stage.endpoint.paid.total() == 1
    assert [each.attributes["reason"] for each in stage.take_dead_letters()] == ["unreadable"]
    assert stage.standing(upload)["status"] == "dead"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"retry-after": "30"}, 30), ({"x-rate-limit-reset-at-utc": "SOON"}, 50)],
)
def test_a_limited_call_waits_until_the_limit_is_reset_and_is_no_attempt(
    stage: Stage, headers: dict[str, str], seconds: float
) -> None:
    headers = {name: value.replace("SOON", str(stage.clock.now + 50)) for name, value in headers.items()}
    upload = stage.upload(PICTURE)
    stage.endpoint.says(Reply(429, '{"error": "slow down"}', headers))
    stage.drain()

    record = stage.record(upload)
    assert record is not None
    assert (record["status"], record["attempts"]) == ("waiting", 0)
    assert record["error"] == "429: slow down"
    assert len(stage.last_answer["batchItemFailures"]) == 1
    visible_at = stage.next_visible()
    assert visible_at is not None
    assert (
        seconds - 1 <= visible_at - stage.clock.now <= seconds + 4 + 1
    )  # the seconds after the reset are for spreading
    assert stage.paid(upload) is None

    stage.settle()
    assert stage.standing(upload)["prompt"] == prompt_of(PICTURE)
    assert stage.endpoint.paid.total() == 1


def test_a_limited_call_goes_back_to_the_queue_with_the_endpoints_words_until_a_start_is_near(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.endpoint.says(Reply(429, '{"error": "slow down"}'))
    started = stage.clock.now
    stage.invoke()
    record = stage.standing(upload)
    assert (record["status"], record["error"], record["attempts"]) == ("waiting", "429: slow down", 0)
    assert stage.paid(upload) is None
    stage.settle()
    assert stage.standing(upload)["status"] == "described"
    assert stage.endpoint.paid.total() == 1
    assert stage.clock.now - started <= 10


def test_images_that_a_limit_refused_together_come_back_one_after_the_other(stage: Stage) -> None:
    for number in range(10):
        stage.upload(make_picture(f"#0000{number:02x}"))
    stage.endpoint.always_says(Reply(429, "", {"retry-after": "30"}))
    stage.invoke()
    queue = stage.sqs.client.queue(stage.upload_queue_url)
    assert len({message.visible_at for message in queue}) > 1


@pytest.mark.parametrize("refusal", [500, 502, 503, 504, 408, Fault.DROPPED])
def test_a_transient_failure_is_an_attempt_and_is_tried_again(stage: Stage, refusal: Fault | int) -> None:
    upload = stage.upload(PICTURE)
    stage.endpoint.says(refusal)
    stage.drain()

    record = stage.record(upload)
    assert record is not None
    assert (record["status"], record["attempts"]) == ("waiting", 1)
    assert record["error"].startswith("the connection failed" if refusal is Fault.DROPPED else f"{refusal}: ")
    visible_at = stage.next_visible()
    assert visible_at is not None
    assert visible_at - stage.clock.now <= 4
    assert stage.paid(upload) is None

    stage.settle()
    record = stage.record(upload)
    assert record is not None
    assert (record["status"], record["attempts"], record["error"]) == ("described", 1, None)
    assert stage.throttle_state().budget.spent_usd == PRICE_USD


def test_an_image_whose_attempts_are_used_up_is_a_dead_letter_with_the_last_failure_on_it(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.endpoint.always_says(Reply(503, '{"error": "overloaded"}'))
    stage.settle()

    assert len(stage.endpoint.calls) == 3
    record = stage.record(upload)
    assert record is not None
    assert (record["status"], record["attempts"], record["error"]) == ("dead", 3, "503: overloaded")
    [dead_letter] = stage.take_dead_letters()
    assert dead_letter.attributes["reason"] == "transient"
    assert dead_letter.attributes["detail"] == f"{upload.image}: 3 attempts, the last: 503: overloaded"
    assert json.loads(dead_letter.body)["detail"]["object"]["key"] == upload.key
    assert stage.paid(upload) is None


def test_an_image_that_came_back_from_the_dead_has_all_its_attempts_again(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.endpoint.always_says(503)
    stage.settle()
    [dead_letter] = stage.take_dead_letters()
    stage.endpoint.always_says(None)
    stage.endpoint.says(503, 503)
    stage.send(dead_letter.body, {"redrives": "1"})
    stage.settle()

    record = stage.record(upload)
    assert record is not None
    assert (record["status"], record["attempts"]) == ("described", 2)


ACCOUNT_FAULTS = [401, 402, 403, 404, 405, 410, 301, Reply(406, '{"error": "insufficient credits"}')]


@pytest.mark.parametrize("refusal", ACCOUNT_FAULTS, ids=str)
def test_a_fault_of_the_account_pauses_intake_and_no_image_pays_with_an_attempt(
    stage: Stage, refusal: Reply | int
) -> None:
    uploads = [stage.upload(make_picture(colour)) for colour in ("red", "green", "blue")]
    stage.endpoint.always_says(refusal)
    stage.drain()
    calls = len(stage.endpoint.calls)
    assert calls <= 3  # the batch that was under way

    stage.pass_time(50)
    assert len(stage.endpoint.calls) == calls
    assert stage.throttle_state().breaker.opened_by == "account"
    for upload in uploads:
        record = stage.record(upload)
        assert record is not None
        assert (record["status"], record["attempts"]) == ("waiting", 0)
    assert stage.throttle_state().budget.spent_usd == 0

    stage.endpoint.always_says(None)
    stage.settle()
    assert stage.take_dead_letters() == []
    assert [stage.standing(upload)["status"] for upload in uploads] == ["described"] * 3
    assert stage.endpoint.paid.total() == 3
    assert stage.throttle_state().breaker.opened_by == ""


@pytest.mark.parametrize(
    "refusal", [400, 413, 415, 422, Reply(406, '{"error": "Not acceptable: image_file"}')], ids=str
)
def test_a_rejected_image_is_final_with_the_endpoints_own_words(stage: Stage, refusal: Reply | int) -> None:
    upload = stage.upload(PICTURE)
    reply = Reply(refusal, '{"error": "the image is unsafe"}') if isinstance(refusal, int) else refusal
    stage.endpoint.says(reply)
    stage.drain()

    record = stage.record(upload)
    assert record is not None
    assert record["status"] == "rejected"
    assert record["error"] == f"{reply.status}: {json.loads(reply.body)['error']}"
    assert stage.next_visible() is None
    assert stage.take_dead_letters() == []
    assert stage.paid(upload) is None

    stage.tell(upload)
    stage.drain()
    assert len(stage.endpoint.calls) == 1
    assert stage.throttle_state().budget.spent_usd == 0


def test_an_answer_that_was_billed_and_not_seen_is_named_as_the_one_double_charge_there_is(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.endpoint.says(Fault.TIMED_OUT, 503)  # which costs nothing
    stage.settle()

    assert stage.standing(upload)["status"] == "described"
    assert stage.endpoint.paid.total() == 2
    assert stage.throttle_state().budget.spent_usd == 2 * PRICE_USD  # so that the budget counts it
    paid = stage.paid(upload)
    assert paid is not None
    assert paid["claims"] == 2


def test_a_batch_of_ten_is_described_side_by_side(stage: Stage) -> None:
    all_in_flight = Barrier(10, timeout=20)
    stage.endpoint.before_look = all_in_flight.wait
    uploads = [stage.upload(make_picture(f"#0000{number:02x}")) for number in range(10)]
    assert stage.invoke() == 10
    assert [stage.standing(upload)["status"] for upload in uploads] == ["described"] * 10
    assert stage.last_answer == {"batchItemFailures": []}
    assert len(stage.announced()) == 10


# ── Tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_full_tag_set_keeps_the_users_tags_and_the_prompt_is_in_the_catalog(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    theirs = {f"theirs-{number}": "kept" for number in range(10)}
    tag_set = [{"Key": key, "Value": value} for key, value in theirs.items()]
    stage.s3.client.put_object_tagging(Bucket=upload.bucket, Key=upload.key, Tagging={"TagSet": tag_set})
    stage.drain()

    assert stage.tags(upload) == theirs
    record = stage.record(upload)
    assert record is not None
    assert (record["status"], record["tags"], record["prompt"]) == ("described", "full", prompt_of(PICTURE))
    assert len(stage.announced()) == 1


@pytest.mark.parametrize("request_name", ["get_object_tagging", "put_object_tagging"])
def test_without_permission_to_tag_the_prompt_is_in_the_catalog(stage: Stage, request_name: str) -> None:
    upload = stage.upload(PICTURE)
    stage.s3.failing[request_name] = aws_error("AccessDenied")
    stage.drain()

    record = stage.record(upload)
    assert record is not None
    assert (record["status"], record["tags"], record["prompt"]) == ("described", "denied", prompt_of(PICTURE))
    assert stage.last_answer == {"batchItemFailures": []}


def test_an_object_that_is_gone_when_it_is_tagged_has_no_record(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.s3.before["get_object_tagging"] = lambda _parameters: stage.tell(stage.remove(upload))
    stage.settle()
    assert stage.record(upload) is None
    assert stage.announced() == []
    assert stage.take_dead_letters() == []
