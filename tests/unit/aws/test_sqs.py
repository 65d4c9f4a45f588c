"""A message that waits stays in the queue however long it waits; one that is given up carries its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from imagescribe.aws.sqs import (
    MAX_ATTRIBUTE_LENGTH,
    RECEIVES_BEFORE_REQUEUE,
    Delivery,
    NotDeferredError,
    UploadQueue,
    message_attributes,
)
from imagescribe.model.outcomes import Dead, Deferred, Done, Outcome, Reason
from tests.factories import Clock, eventbridge_body, make_upload, sample_bodies, sqs_record, unique

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

BODY = eventbridge_body(make_upload(key="holiday photos/Café + crème.png"))


@dataclass
class Queues:
    """Both queues as somebody sees who looks into them."""

    client: SQSClient
    url: str
    dead_letter_url: str
    queue: UploadQueue

    def deliver(self, receive_count: int = 1, attributes: Mapping[str, str] | None = None) -> Delivery:
        """Send a message and receive it as Lambda does; it is said to have been received so often."""
        self.client.send_message(QueueUrl=self.url, MessageBody=BODY)
        (message,) = self.client.receive_message(QueueUrl=self.url, VisibilityTimeout=600)["Messages"]
        record = sqs_record(message["Body"], receive_count, attributes) | {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
        }
        return Delivery.from_record(record)

    def count(self, kind: str) -> int:
        name = {"visible": "", "invisible": "NotVisible", "delayed": "Delayed"}[kind]
        attribute = f"ApproximateNumberOfMessages{name}"
        answer = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        attributes: Any = answer["Attributes"]  # its stubs know the names as literals only
        return int(attributes[attribute])

    def dead_letters(self) -> list[tuple[str, dict[str, str]]]:
        found = []
        while messages := self.client.receive_message(
            QueueUrl=self.dead_letter_url, MessageAttributeNames=["All"], MaxNumberOfMessages=10
        ).get("Messages"):
            for message in messages:
                attributes = {k: v.get("StringValue", "") for k, v in message.get("MessageAttributes", {}).items()}
                found.append((message["Body"], attributes))
                self.client.delete_message(QueueUrl=self.dead_letter_url, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture
def queues(sqs: SQSClient, clock: Clock) -> Queues:
    url, dead_letter_url = (sqs.create_queue(QueueName=unique(name))["QueueUrl"] for name in ("uploads", "dead"))
    return Queues(sqs, url, dead_letter_url, UploadQueue(sqs, url, dead_letter_url, clock))


# ── What a delivery tells ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_record_is_read_as_lambda_gives_it() -> None:
    record = sqs_record(BODY, receive_count=3, attributes={"requeues": "2"})
    delivery = Delivery.from_record(record)
    assert delivery == Delivery(record["messageId"], record["receiptHandle"], BODY, 3, {"requeues": "2"})


def test_a_binary_attribute_is_passed_over() -> None:
    record = sqs_record(BODY)
    record["messageAttributes"] = {"blob": {"binaryValue": "AAE=", "dataType": "Binary"}}
    assert Delivery.from_record(record).attributes == {}


@pytest.mark.parametrize(
    ("receive_count", "attributes", "is_first"),
    [(1, {}, True), (2, {}, False), (1, {"requeues": "1"}, False), (1, {"redrives": "1"}, False)],
)
def test_only_a_delivery_that_nobody_can_have_had_before_is_the_first(
    receive_count: int, attributes: dict[str, str], is_first: bool
) -> None:
    assert Delivery.from_record(sqs_record(BODY, receive_count, attributes)).is_first is is_first


# ── What is done with it ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_message_that_is_done_may_be_deleted_and_leaves_nothing(queues: Queues) -> None:
    assert queues.queue.acknowledge(queues.deliver(), Done("described"))
    assert queues.dead_letters() == []
    assert queues.count("visible") == 0


@pytest.mark.parametrize(
    ("wait", "kind"), [(-5.0, "visible"), (0.0, "visible"), (0.2, "invisible"), (90.0, "invisible")]
)
def test_a_deferred_message_stays_in_the_queue_and_is_not_seen_until_its_time(
    wait: float, kind: str, queues: Queues, clock: Clock
) -> None:
    delivery = queues.deliver()
    queues.queue.defer([(delivery, Deferred(clock.now + wait, "429"))])
    assert queues.count(kind) == 1
    assert queues.count("visible") + queues.count("invisible") == 1


def test_no_wait_is_longer_than_sqs_allows(queues: Queues, clock: Clock) -> None:
    queues.queue.defer([(queues.deliver(), Deferred(clock.now + 10**9, "paused"))])
    assert queues.count("invisible") == 1
    requeued = queues.deliver(RECEIVES_BEFORE_REQUEUE)
    assert queues.queue.acknowledge(requeued, Deferred(clock.now + 10**9, "paused"))
    assert queues.count("delayed") == 1


@pytest.mark.parametrize("receive_count", range(1, RECEIVES_BEFORE_REQUEUE))
def test_a_message_is_not_requeued_before_it_has_waited_often(receive_count: int, queues: Queues, clock: Clock) -> None:
    assert not queues.queue.acknowledge(queues.deliver(receive_count), Deferred(clock.now, "429"))
    assert queues.count("invisible") == 1
    assert queues.count("visible") == 0


@pytest.mark.parametrize("receive_count", [RECEIVES_BEFORE_REQUEUE, RECEIVES_BEFORE_REQUEUE + 5])
def test_a_message_that_waited_often_is_sent_afresh_so_that_waiting_makes_no_dead_letter(
    receive_count: int, queues: Queues, clock: Clock
) -> None:
    delivery = queues.deliver(receive_count, {"requeues": "7", "redrives": "1"})
    assert queues.queue.acknowledge(delivery, Deferred(clock.now, "429"))
    (message,) = queues.client.receive_message(
        QueueUrl=queues.url, MessageAttributeNames=["All"], MessageSystemAttributeNames=["All"]
    )["Messages"]
    assert message["Body"] == BODY
    assert message["MessageId"] != delivery.message_id
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"
    attributes = {name: value.get("StringValue") for name, value in message["MessageAttributes"].items()}
    assert attributes == {"requeues": "8", "redrives": "1"}
    assert queues.dead_letters() == []


def test_the_first_renewal_is_counted_as_one(queues: Queues, clock: Clock) -> None:
    queues.queue.acknowledge(queues.deliver(RECEIVES_BEFORE_REQUEUE), Deferred(clock.now, "429"))
    (message,) = queues.client.receive_message(QueueUrl=queues.url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"]["requeues"].get("StringValue") == "1"


def test_a_message_that_something_failed_with_is_sent_afresh_with_the_fault_counted_on_it(
    queues: Queues, clock: Clock
) -> None:
    delivery = queues.deliver(3, {"failures": "4", "requeues": "2"})
    assert delivery.failures == 4
    assert queues.queue.acknowledge(delivery, Deferred(clock.now, "SlowDown", is_failure=True))
    (message,) = queues.client.receive_message(QueueUrl=queues.url, MessageAttributeNames=["All"])["Messages"]
    attributes = {name: value.get("StringValue") for name, value in message["MessageAttributes"].items()}
    assert attributes == {"failures": "5", "requeues": "2"}


def test_a_renewed_message_waits_out_its_time_too(queues: Queues, clock: Clock) -> None:
    assert queues.queue.acknowledge(queues.deliver(RECEIVES_BEFORE_REQUEUE), Deferred(clock.now + 60, "429"))
    assert (queues.count("delayed"), queues.count("visible")) == (1, 0)


@pytest.mark.parametrize("reason", Reason)
def test_a_dead_letter_carries_the_message_and_why(reason: Reason, queues: Queues) -> None:
    delivery = queues.deliver(attributes={"redrives": "2"})
    assert queues.queue.acknowledge(delivery, Dead(reason, "500: Server error"))
    assert queues.dead_letters() == [
        (BODY, {"reason": reason.value, "detail": "500: Server error", "redrives": "2"}),
    ]


def test_a_message_that_comes_back_and_dies_again_carries_its_latest_reason(queues: Queues) -> None:
    before = {"reason": "aws", "detail": "AccessDenied", "redrives": "1"}
    queues.queue.acknowledge(queues.deliver(attributes=before), Dead(Reason.TRANSIENT, "503"))
    assert queues.dead_letters() == [(BODY, {"reason": "transient", "detail": "503", "redrives": "1"})]


def is_taken_by_sqs(text: str) -> bool:
    """https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""
    return all(
        letter in "\t\n\r" or " " <= letter <= "\ud7ff" or "\ue000" <= letter <= "\ufffd" or letter >= "\U00010000"
        for letter in text
    )


@given(st.text(st.characters()) | st.text(st.characters(categories=["Cc", "Cs", "Cn"])))
@example("\x00\x01\x0b\x1f\x7f\x80\ud800\udfff\ufffe\uffff")
@example("long " * 10_000)
@example("🦊" * 2_000)
def test_whatever_the_detail_sqs_takes_it_and_it_is_bounded(detail: str) -> None:
    attributes = message_attributes({"reason": "crash", "detail": detail})
    assert ("detail" in attributes) == bool(detail)  # SQS refuses an empty one
    for attribute in attributes.values():
        text = attribute.get("StringValue", "")
        assert 0 < len(text) <= MAX_ATTRIBUTE_LENGTH
        assert is_taken_by_sqs(text)
        assert text == "".join(letter if is_taken_by_sqs(letter) else " " for letter in text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.text(st.characters()))
@example("a null \x00, a bell \a and half of an emoji \ud83d in <html>")
@example("long " * 10_000)
@example("")
def test_a_dead_letter_arrives_whatever_its_detail_is(queues: Queues, detail: str) -> None:
    delivery = Delivery("id", "handle", BODY, 1)
    assert queues.queue.acknowledge(delivery, Dead(Reason.CRASH, detail))
    ((body, attributes),) = queues.dead_letters()
    assert body == BODY
    assert attributes["reason"] == "crash"


def test_a_batch_at_its_largest_is_settled_message_by_message(queues: Queues, clock: Clock) -> None:
    outcomes: list[Outcome] = [Done("described"), Deferred(clock.now + 60, "429"), Dead(Reason.AWS, "SlowDown")]
    settled = [queues.queue.acknowledge(queues.deliver(), outcomes[number % 3]) for number in range(10)]
    assert settled == [number % 3 != 1 for number in range(10)]
    assert len(queues.dead_letters()) == 3


def test_a_batch_is_hidden_with_one_request_each_until_its_own_time(queues: Queues, clock: Clock) -> None:
    deferred = [(queues.deliver(), Deferred(clock.now + 100 * (number % 2), "429")) for number in range(10)]
    queues.queue.defer(deferred)
    assert (queues.count("visible"), queues.count("invisible")) == (5, 5)


def test_a_message_that_the_queue_does_not_hide_is_named(queues: Queues, clock: Clock) -> None:
    good = queues.deliver()
    bad = replace(good, message_id="the-lost-one", receipt_handle="of no message")
    with pytest.raises(NotDeferredError, match=r"1 of 2 messages.*the-lost-one"):
        queues.queue.defer([(good, Deferred(clock.now, "429")), (bad, Deferred(clock.now, "429"))])
    assert queues.count("visible") == 1


def test_the_sample_batch_has_a_delivery_for_each_of_its_messages() -> None:
    bodies = sample_bodies("batch")
    deliveries = [Delivery.from_record(sqs_record(body)) for body in bodies]
    assert [delivery.body for delivery in deliveries] == bodies
    assert all(delivery.is_first for delivery in deliveries)


def test_a_body_is_sent_as_it_is(queues: Queues) -> None:
    queues.queue.send(BODY)
    (message,) = queues.client.receive_message(QueueUrl=queues.url, MessageAttributeNames=["All"])["Messages"]
    assert message["Body"] == BODY
    assert "MessageAttributes" not in message
