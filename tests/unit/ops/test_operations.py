"""What an operator does to a stack: it acts on the functions' own tables and queues, and says why nothing happens."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from imagescribe.aws.dead_letters import Redriven
from imagescribe.model.events import Upload, parse_body
from imagescribe.model.outcomes import Reason
from imagescribe.model.record import Opened, Stale, Status
from imagescribe.model.times import iso_utc
from imagescribe.stores.ledger import Ledger
from imagescribe.throttle.breaker import UNTIL_CLOSED, Breaker, OpenedBy
from imagescribe_ops import operations as module
from imagescribe_ops import standing as standing_module
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.errors import NotFoundError, OperationError
from imagescribe_ops.standing import Intake, MappingState, why_nothing_happens
from tests.factories import eventbridge_body, make_upload, s3_notification_body
from tests.unit.stack_in_moto import Clients, QueuedMessage, StackInMoto, make_stack

PRICE = 0.015


@pytest.fixture(scope="module", autouse=True)
def _lent_clients(aws: boto3.Session) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        Clients.of_session(aws).lend(patch)
        yield


@pytest.fixture
def stack(aws: boto3.Session) -> StackInMoto:
    return make_stack(aws)


# ── Pause and resume ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pause_lasts_until_it_is_resumed_and_nothing_is_received_meanwhile(stack: StackInMoto) -> None:
    intake = stack.operations().pause("invoice dispute")
    assert (intake.paused_by, intake.paused_because, intake.paused_until) == ("operator", "invoice dispute", "")
    assert [mapping.state for mapping in intake.mappings] == ["Disabled"]
    assert (stack.breaker.open_until, stack.notes().intake_disabled) == (UNTIL_CLOSED, True)


def test_a_pause_for_a_time_ends_by_itself(stack: StackInMoto) -> None:
    intake = stack.operations().pause("a moment", 90)
    assert intake.paused_until == iso_utc(stack.clock() + 90)
    # The recover function runs each minute: it would enable the mapping too late.
    assert (stack.mapping_state(), stack.notes().intake_disabled) == ("Enabled", False)
    stack.clock.sleep(91)
    assert stack.operations().status().intake.paused_by == ""


def test_a_longer_pause_disables_the_mapping_too(stack: StackInMoto) -> None:
    stack.operations().pause("lunch", 7_200)
    assert (stack.mapping_state(), stack.notes().intake_disabled) == ("Disabled", True)


def test_a_pause_by_hand_takes_the_place_of_any_other(stack: StackInMoto) -> None:
    stack.open(OpenedBy.ACCOUNT, "402: no credits")
    intake = stack.operations().pause("by hand")
    assert (intake.paused_by, intake.paused_because) == ("operator", "by hand")


@pytest.mark.parametrize("by", [OpenedBy.OPERATOR, OpenedBy.ACCOUNT, OpenedBy.ENDPOINT])
def test_resume_ends_any_pause_and_enables_the_mapping(stack: StackInMoto, by: OpenedBy) -> None:
    stack.fail(7)
    stack.open(by)
    stack.enable_mapping(enabled=False)
    stack.notebook.note_intake(disabled=True)
    intake = stack.operations().resume()
    assert (intake.paused_by, intake.paused_because, intake.paused_until) == ("", "", "")
    assert [mapping.state for mapping in intake.mappings] == ["Enabled"]
    assert stack.breaker == Breaker(generation=stack.breaker.generation)
    assert not stack.notes().intake_disabled


def test_resume_of_what_is_not_paused_enables_a_mapping_that_someone_disabled(stack: StackInMoto) -> None:
    stack.enable_mapping(enabled=False)
    stack.operations().resume()
    assert stack.mapping_state() == "Enabled"


def test_a_mapping_that_is_changing_is_left_to_the_recover_function(
    stack: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_use(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "ResourceInUseException", "Message": "Disabling"}}, "Update")

    operations = stack.operations()
    operations.pause("by hand")
    functions = operations.connection.lambda_functions()
    monkeypatch.setattr(functions, "update_event_source_mapping", in_use)
    monkeypatch.setattr(Connection, "lambda_functions", lambda _connection: functions)
    intake = operations.resume()
    assert (intake.paused_by, [mapping.state for mapping in intake.mappings]) == ("", ["Disabled"])
    assert stack.notes().intake_disabled


def test_a_spent_budget_outlasts_a_resume(aws: boto3.Session) -> None:
    stack = make_stack(aws, DailyBudgetUsd="0.02")
    stack.spend(PRICE)
    intake = stack.operations().resume()
    assert (intake.paused_by, intake.paused_because) == ("budget", "the day's budget of $0.02 is spent")
    assert intake.paused_until[10:] == "T00:00:00.000Z"
    assert (intake.spent_today_usd, intake.budget_usd) == (PRICE, 0.02)


def test_while_a_probe_is_out_intake_is_still_paused_by_whoever_stopped_the_calls(aws: boto3.Session) -> None:
    stack = make_stack(aws, DailyBudgetUsd="5")
    stack.open(OpenedBy.ACCOUNT, "402: no credits")
    stack.send_probe()
    intake = stack.operations().status().intake
    assert (intake.paused_by, intake.paused_because) == ("account", "402: no credits")


@pytest.mark.parametrize(
    ("by", "ends"),
    [(OpenedBy.ACCOUNT, True), (OpenedBy.OPERATOR, False), (OpenedBy.ENDPOINT, False), (OpenedBy.NOBODY, False)],
)
def test_a_new_key_ends_only_the_pause_that_a_fault_of_the_account_began(
    stack: StackInMoto, by: OpenedBy, ends: bool
) -> None:
    if by:
        stack.open(by)
    assert stack.operations().resume_after_account_fault() is ends
    assert stack.breaker.opened_by is (OpenedBy.NOBODY if ends else by)


# ── Status ───────────────────────────────────────────────────────────────────────────────────────────────────────────

EMPTY = QueueDepth(0, 0, 0)
INTAKE = Intake("", "", "", 60.0, 0, 0.0, 0.0, [MappingState("uuid", "Enabled")])


def why(uploads: int = 0, backfill: int = 0, dead: int = 0, **intake: Any) -> str:
    queues = (QueueDepth(0, uploads, 0), QueueDepth(backfill, 0, 0), QueueDepth(dead, 0, 0))
    return why_nothing_happens(*queues, replace(INTAKE, **intake))


@pytest.mark.parametrize(
    ("case", "sentence"),
    [
        (
            {"paused_by": "operator", "paused_because": "by hand"},
            "Paused by the operator until `imagescribe resume`: by hand",
        ),
        (
            {"paused_by": "account", "paused_because": "401: Invalid API key", "paused_until": "T"},
            "Paused by the account until T: 401: Invalid API key",
        ),
        (
            # The pause is why the mapping is disabled, and the dead letters come back after it.
            {"paused_by": "endpoint", "paused_because": "503: down", "paused_until": "T", "dead": 2, "failures": 3}
            | {"mappings": [MappingState("uuid", "Disabled")]},
            "Paused by the endpoint until T: 503: down",
        ),
        (
            {"mappings": [MappingState("uuid", "Disabling")], "uploads": 5},
            "Nothing is received: the event source mapping is disabled. After a pause it is enabled within a minute; "
            "`imagescribe resume` enables it now.",
        ),
        (
            {"mappings": [], "uploads": 5},
            "Nothing is received: the describe function has no event source mapping. Deploy the stack again.",
        ),
        (
            {"uploads": 5, "failures": 3},
            "The endpoint fails: the last 3 calls failed. Images wait and are tried again.",
        ),
        ({"uploads": 5, "failures": 1}, "The endpoint fails: the last call failed. Images wait and are tried again."),
        ({"uploads": 1}, "1 message waits or is in work, at up to 60 calls a minute."),
        (
            {"uploads": 12, "dead": 3, "mappings": [MappingState("uuid", "Enabling")], "requests_per_minute": 7.5},
            "12 messages wait or are in work, at up to 7.5 calls a minute.",
        ),
        (
            {"dead": 1},
            "Nothing waits, but 1 dead letter is left: see `imagescribe list --status dead` and `imagescribe redrive`.",
        ),
        (
            {"dead": 2, "failures": 1},
            "Nothing waits, but 2 dead letters are left: see `imagescribe list --status dead` and "
            "`imagescribe redrive`.",
        ),
        ({"backfill": 7, "dead": 1}, "No upload waits; 7 messages of a backfill, at up to 60 calls a minute."),
        (
            {"backfill": 7, "failures": 2},
            "The endpoint fails: the last 2 calls failed. Images wait and are tried again.",
        ),
        ({"failures": 1}, "Nothing waits: every upload has come to its end."),
        ({}, "Nothing waits: every upload has come to its end."),
    ],
)
def test_why_nothing_happens_is_said_in_a_sentence(case: dict[str, Any], sentence: str) -> None:
    assert why(**case) == sentence


def test_status_of_a_stack_that_has_done_nothing_yet(stack: StackInMoto) -> None:
    status = stack.operations().status()
    assert (status.uploads, status.dead_letters, status.dead_letters_by_reason) == (EMPTY, EMPTY, {})
    assert (sum(status.images.counts.values()), status.oldest_waiting_at) == (0, "")
    assert (status.intake.failures, status.intake.spent_today_usd, status.intake.budget_usd) == (0, 0, 0)
    assert status.intake.requests_per_minute > 0
    assert status.why == "Nothing waits: every upload has come to its end."


def test_status_counts_images_messages_and_dead_letters(stack: StackInMoto) -> None:
    for key, status, uploaded_at in [
        ("a.png", Status.DESCRIBED, "2026-11-02T09:00:00.000Z"),
        ("b.png", Status.WAITING, "2026-11-02T09:02:00.000Z"),
        ("c.png", Status.WAITING, "2026-11-02T09:01:00.000Z"),
        ("d.png", Status.DEAD, "2026-11-02T08:00:00.000Z"),
    ]:
        stack.record(make_upload(bucket=stack.bucket, key=key, uploaded_at=uploaded_at), status)
    stack.sqs.send_message(QueueUrl=stack.outputs["UploadQueueUrl"], MessageBody="b")
    for reason in ("transient", "transient", "unreadable"):
        stack.bury("x", reason=reason, detail="d")
    stack.bury("no reason: SQS put it there")
    stack.fail(2)
    stack.spend(1.23456)
    standing = stack.operations().status()
    assert {name: count for name, count in standing.images.counts.items() if count} == {
        Status.DESCRIBED: 1,
        Status.WAITING: 2,
        Status.DEAD: 1,
    }
    assert standing.oldest_waiting_at == "2026-11-02T09:01:00.000Z"
    assert (standing.uploads.visible, standing.dead_letters.visible) == (1, 4)
    assert standing.dead_letters_by_reason == {"transient": 2, "unreadable": 1, "crash": 1}
    assert (standing.intake.failures, standing.intake.spent_today_usd) == (2, 1.235)
    assert standing.why.startswith("The endpoint fails: the last 2 calls failed.")


def test_status_moves_no_dead_letter_sends_none_again_and_hides_none(stack: StackInMoto) -> None:
    stack.bury("x", reason="malformed", detail="no JSON", redrives="2")
    stack.bury("SQS put it there", redrives="1")
    before = stack.message_ids("DeadLetterQueueUrl")
    operations = stack.operations()
    assert [operations.status().dead_letters_by_reason for _ in range(3)] == [{"malformed": 1, "crash": 1}] * 3
    assert stack.message_ids("DeadLetterQueueUrl") == before
    assert stack.dead_letters() == [
        QueuedMessage("x", {"reason": "malformed", "detail": "no JSON", "redrives": "2"}),
        QueuedMessage("SQS put it there", {"redrives": "1"}),
    ]


def test_only_so_many_dead_letters_are_read(stack: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing_module, "MAX_DEAD_LETTERS_COUNTED", 7)
    for number in range(25):
        stack.bury(str(number), reason="transient")
    assert stack.operations().status().dead_letters_by_reason == {"transient": 7}
    assert len(stack.dead_letters()) == 25  # none is hidden


# ── Redrive ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_redrive_sends_back_the_dead_letters_of_one_reason(stack: StackInMoto) -> None:
    stack.bury("one", reason="transient", detail="503", redrives="3")
    stack.bury("two", reason="unreadable", detail="<html>", redrives="3")
    assert stack.operations().redrive(Reason.TRANSIENT) == Redriven(Counter({Reason.TRANSIENT: 1}), more=False)
    # Its count starts anew, so that it may come back by itself three times again.
    assert stack.sent() == [QueuedMessage("one", {"redrives": "0"})]
    assert stack.dead_letters() == [QueuedMessage("two", {"reason": "unreadable", "detail": "<html>", "redrives": "3"})]


def test_redrive_of_all_sends_back_what_would_never_come_back_by_itself(stack: StackInMoto) -> None:
    for reason in Reason:
        stack.bury(reason, reason=reason)
    stack.bury("SQS put it there")
    sent = Counter(dict.fromkeys(Reason, 1) | {Reason.CRASH: 2})
    assert stack.operations().redrive(None) == Redriven(sent, more=False)
    assert {message.body for message in stack.sent()} == {*Reason, "SQS put it there"}
    assert stack.dead_letters() == []


def test_redrive_where_there_is_none_of_the_reason(stack: StackInMoto) -> None:
    stack.bury("x", reason="aws")
    assert stack.operations().redrive(Reason.CRASH) == Redriven(Counter(), more=False)
    assert (len(stack.dead_letters()), stack.sent()) == (1, [])


def test_redrive_sends_back_no_more_than_so_many_at_once(stack: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_DEAD_LETTERS_REDRIVEN", 3)
    for number in range(8):
        stack.bury(str(number), reason="transient")
    assert stack.operations().redrive(None) == Redriven(Counter({Reason.TRANSIENT: 3}), more=True)
    assert (len(stack.sent()), len(stack.dead_letters())) == (3, 5)


def test_what_the_queue_does_not_delete_is_told(stack: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = stack.put("dead.png")
    stack.bury(eventbridge_body(upload), reason="transient")
    refused = {"Failed": [{"Id": "0", "SenderFault": False, "Code": "InternalError"}]}
    monkeypatch.setattr(stack.sqs, "delete_message_batch", lambda **_request: refused)
    operations = stack.operations()
    for command in (lambda: operations.redrive(None), lambda: operations.retry(stack.bucket, upload.key, force=False)):
        with pytest.raises(OperationError, match=r"^Not all is done: the queue did not delete 1 of 1 dead letters"):
            command()
    assert len(stack.sent()) == 2
    assert len(stack.dead_letters()) == 1


# ── Retry ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_retry_of_an_object_that_is_not_there(stack: StackInMoto) -> None:
    with pytest.raises(NotFoundError, match=r"There is no object s3://.*/gone\.png") as error:
        stack.operations().retry(stack.bucket, "gone.png", force=True)
    assert "`imagescribe list` shows" in error.value.advice
    assert stack.sent() == []


def test_retry_in_a_bucket_that_the_stack_does_not_describe(stack: StackInMoto) -> None:
    with pytest.raises(OperationError, match="does not describe what is in the bucket another") as error:
        stack.operations().retry("another", "cat.png", force=True)
    assert stack.bucket in error.value.advice
    assert stack.sent() == []


def test_retry_of_a_key_that_the_stack_does_not_describe(aws: boto3.Session) -> None:
    stack = make_stack(aws, KeyPrefix="photos/")
    stack.put("other/cat.png")
    stack.put("photos/cat.png")
    with pytest.raises(OperationError, match=r"does not describe other/cat\.png") as error:
        stack.operations().retry(stack.bucket, "other/cat.png", force=False)
    assert "'photos/'" in error.value.advice
    assert stack.sent() == []
    stack.operations().retry(stack.bucket, "photos/cat.png", force=False)
    assert stack.sent_upload().key == "photos/cat.png"


def test_a_described_image_is_described_again_only_by_force(stack: StackInMoto) -> None:
    upload = stack.put()
    stack.record(upload, Status.DESCRIBED)
    stack.pay(upload)
    with pytest.raises(OperationError, match="is described already") as error:
        stack.operations().retry(stack.bucket, upload.key, force=False)
    assert error.value.advice == "--force describes it again and pays $0.015 for it."
    assert stack.paid(upload) is not None
    assert stack.sent() == []


def test_force_forgets_what_was_paid(stack: StackInMoto) -> None:
    upload = stack.put()
    stack.record(upload, Status.DESCRIBED)
    stack.pay(upload)
    result = stack.operations().retry(stack.bucket, upload.key, force=True)
    assert (result.image, result.pays_again, result.reads_again) == (upload.image, True, False)
    assert stack.paid(upload) is None
    assert stack.sent_upload().sequencer == upload.sequencer + "0"


def test_force_of_what_was_never_paid_for_forgets_nothing(stack: StackInMoto) -> None:
    upload = stack.put()
    stack.record(upload, Status.REJECTED)
    assert not stack.operations().retry(stack.bucket, upload.key, force=True).pays_again


def test_force_leaves_the_claim_of_a_call_that_is_being_made(stack: StackInMoto) -> None:
    upload = stack.put()
    stack.record(upload, Status.WAITING)
    ledger = Ledger(stack.dynamodb, stack.outputs["LedgerTableName"], stack.clock)
    ledger.claim(upload, "somebody", stack.clock() + 60)
    assert not stack.operations().retry(stack.bucket, upload.key, force=True).pays_again
    claimed = stack.paid(upload)
    assert claimed is not None
    assert claimed["holder"] == "somebody"


def test_a_paid_answer_is_read_again_for_nothing(stack: StackInMoto) -> None:
    upload = stack.put()
    stack.record(upload, Status.DEAD)
    stack.pay(upload, body="<html>")
    result = stack.operations().retry(stack.bucket, upload.key, force=False)
    assert (result.pays_again, result.reads_again) == (False, True)
    assert stack.paid(upload) is not None


@pytest.mark.parametrize("status", [Status.REJECTED, Status.SKIPPED, Status.DEAD, Status.WAITING, Status.DESCRIBING])
def test_a_retry_follows_the_event_of_the_record_and_precedes_later_ones(stack: StackInMoto, status: Status) -> None:
    upload = stack.put()
    later = make_upload(bucket=upload.bucket, key=upload.key, sequencer=f"{int(upload.sequencer, 16) + 1:018X}")
    stack.record(upload, status)
    stack.operations().retry(stack.bucket, upload.key, force=False)
    again = stack.sent_upload()
    assert (again.etag, again.size, again.uploaded_at) == (upload.etag, upload.size, upload.uploaded_at)
    assert upload.sequencer < again.sequencer < later.sequencer
    assert stack.catalog.open(again) == Opened()
    assert stack.catalog.open(upload) == Stale()
    assert stack.catalog.open(later) == Opened()
    assert stack.catalog.open(again) == Stale()


def test_a_retry_can_be_retried(stack: StackInMoto) -> None:
    upload = stack.put()
    stack.record(upload, Status.REJECTED)
    for zeros in ("0", "00"):
        stack.operations().retry(stack.bucket, upload.key, force=False)
        again = next(event for each in stack.sent() for event in parse_body(each.body) if event.sequencer[18:] == zeros)
        assert isinstance(again, Upload)
        stack.record(again, Status.REJECTED)


def test_an_object_that_no_event_told_of_precedes_every_event(stack: StackInMoto) -> None:
    upload = stack.put()
    stack.operations().retry(stack.bucket, upload.key, force=False)
    again = stack.sent_upload()
    assert (again.sequencer, again.uploaded_at) == ("0", iso_utc(stack.clock()))
    assert stack.catalog.open(again) == Opened()
    assert stack.catalog.open(upload) == Opened()


_HEX = st.text("0123456789ABCDEF", min_size=1, max_size=20)


@given(_HEX, _HEX, st.integers(1, 5))
def test_no_event_comes_between_one_and_its_retry(one: str, other: str, retries: int) -> None:
    # S3 pads the shorter sequencer with zeros on its right; see `Upload`.
    width = max(len(one), len(other))
    if one.ljust(width, "0") < other.ljust(width, "0"):
        assert one < one + "0" * retries < other


def test_what_is_in_the_bucket_now_is_described_and_not_what_the_record_is_of(stack: StackInMoto) -> None:
    stack.record(stack.put(etag="0" * 32, size=1), Status.SKIPPED)
    now = stack.put()
    stack.operations().retry(stack.bucket, now.key, force=False)
    assert (stack.sent_upload().etag, stack.sent_upload().size) == (now.etag, now.size)


def test_the_version_is_named_where_the_bucket_keeps_versions(stack: StackInMoto) -> None:
    stack.s3.put_bucket_versioning(Bucket=stack.bucket, VersioningConfiguration={"Status": "Enabled"})
    upload = stack.put()
    assert upload.version_id
    stack.operations().retry(stack.bucket, upload.key, force=False)
    assert stack.sent_upload().version_id == upload.version_id


@pytest.mark.parametrize("key", ["a b+c%20é.png", "🦊/\u202e.png", '"\\{}.png', "100%.png"])
def test_a_key_comes_through_as_it_is(stack: StackInMoto, key: str) -> None:
    stack.put(key)
    stack.operations().retry(stack.bucket, key, force=False)
    assert stack.sent_upload().key == key


def test_the_images_dead_letters_go_and_no_others(stack: StackInMoto) -> None:
    upload, other = stack.put("dead.png"), stack.put("other.png")
    stack.record(upload, Status.DEAD)
    stack.bury(eventbridge_body(upload), reason="transient", detail="503")
    stack.bury(s3_notification_body(upload))  # the same event, in another shape, after a crash
    staying = [
        eventbridge_body(other),
        s3_notification_body(upload, other),  # it tells of another image too
        eventbridge_body(make_upload(bucket="another", key=upload.key)),
        "no JSON",
        json.dumps({"Event": "s3:TestEvent"}),
        # What the retry itself has come to meanwhile.
        eventbridge_body(make_upload(bucket=upload.bucket, key=upload.key, sequencer=upload.sequencer + "0")),
    ]
    for body in staying:
        stack.bury(body, reason="unreadable", detail="d", redrives="1")
    stack.operations().retry(stack.bucket, upload.key, force=False)
    assert sorted(message.body for message in stack.dead_letters()) == sorted(staying)
    assert {tuple(message.attributes.items()) for message in stack.dead_letters()} == {
        (("reason", "unreadable"), ("detail", "d"), ("redrives", "1"))
    }
    assert stack.sent_upload().key == upload.key


def test_an_evil_key_is_shown_harmlessly_in_errors(stack: StackInMoto) -> None:
    key = "x\x1b[2J\nError: y.png"
    with pytest.raises(NotFoundError) as gone:
        stack.operations().retry(stack.bucket, key, force=False)
    with pytest.raises(OperationError) as wrong:
        stack.operations().retry("\x1b[2J", key, force=False)
    for error in (gone, wrong):
        assert "\x1b" not in str(error.value)
        assert len(str(error.value).splitlines()) == 1
