"""What becomes of messages: each shape that tells of an image, and those that tell of none."""

import json
from pathlib import Path

import pytest

from imagescribe_ops.project import PROJECT_DIRECTORY
from tests.stack import bodies
from tests.stack.bodies import Uploaded
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture

SAMPLES = PROJECT_DIRECTORY / "events" / "samples"
NOWHERE = Uploaded("imagescribe-example", "nowhere.png", "0" * 32, 100)

_event_without_key = json.loads(bodies.eventbridge(NOWHERE))
del _event_without_key["detail"]["object"]["key"]
_record_without_key = json.loads(bodies.s3_notification(NOWHERE))
del _record_without_key["Records"][0]["s3"]["object"]["key"]
_record_with_empty_key = json.loads(bodies.s3_notification(NOWHERE))
_record_with_empty_key["Records"][0]["s3"]["object"]["key"] = ""

MALFORMED = {
    "no-json": ("{'Records': []}", "not JSON"),
    "half-a-json": (bodies.eventbridge(NOWHERE)[:80], "not JSON"),
    "a-json-list": ("[1, 2, 3]", "list instead of an object"),
    "an-unknown-object": ('{"hello": "world"}', "neither an EventBridge event"),
    "an-event-without-a-key": (json.dumps(_event_without_key), "no 'key'"),
    "a-record-without-a-key": (json.dumps(_record_without_key), "no 'key'"),
    "a-record-with-an-empty-key": (json.dumps(_record_with_empty_key), "key is ''"),
    "records-that-are-none": ('{"Records": [42]}', "not in a known shape"),
    "a-key-that-is-not-utf-8": (bodies.s3_notification(NOWHERE).replace("nowhere", "%E9"), "not in a known shape"),
    "sns-around-no-json": (bodies.sns("hello"), "not JSON"),
}


@pytest.mark.parametrize(("body", "words"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_message_is_a_dead_letter_that_says_what_is_wrong(
    by_hand: Deployment, body: str, words: str
) -> None:
    by_hand.send(body)
    dead_letter = by_hand.until(
        lambda: [each for each in by_hand.dead_letters() if each.body == body], "a dead letter"
    )[0]
    assert dead_letter.reason == "malformed"
    assert words in dead_letter.detail


def test_messages_that_tell_of_no_object_are_done_with(by_hand: Deployment) -> None:
    tagged = bodies.eventbridge(NOWHERE, "Object Tags Added")
    restored = bodies.s3_notification(NOWHERE, event_name="ObjectRestore:Completed")
    no_records = json.dumps({"Records": []})
    sent = [bodies.sample("s3-test-event"), bodies.sns(bodies.sample("s3-test-event")), tagged, restored, no_records]
    by_hand.until_handled(*(by_hand.send(body) for body in sent))
    by_hand.until_idle()
    assert not [each for each in by_hand.dead_letters() if each.body in sent]
    assert by_hand.record(NOWHERE.key) is None


SHAPES = {
    "eventbridge-object-created": ("espresso.png", "holiday photos/Café + crème.png"),
    "s3-notification": ("espresso.png", "holiday photos/Café + crème.png"),
    "sns-eventbridge": ("cat.png", "pets/cat.png"),
    "sns-s3-notification": ("deep-field.webp", "space/deep-field.webp"),
}


@pytest.mark.parametrize(("name", "file", "key"), [(name, *about) for name, about in SHAPES.items()], ids=SHAPES)
def test_the_sample_of_each_shape_gets_its_image_described(by_hand: Deployment, name: str, file: str, key: str) -> None:
    by_hand.put(key, Path(SAMPLES, file).read_bytes())
    by_hand.send(bodies.sample(name))
    record = by_hand.until_described(key)[key]
    assert record["prompt"].startswith("Simulated description")
    assert by_hand.billed(key) <= 1


def test_the_sample_of_a_deletion_takes_the_record_out(by_hand: Deployment) -> None:
    key = "garden/dandelions.jpg"
    older = by_hand.put(key, Path(SAMPLES, "dandelions.jpg").read_bytes())
    by_hand.send(bodies.eventbridge(older, order="000000000000000001"))
    by_hand.until_described(key)
    by_hand.delete(key)
    by_hand.send(bodies.sample("eventbridge-object-deleted"))
    by_hand.until_gone(key)


def test_a_notification_of_several_objects_gets_each_of_them_described(by_hand: Deployment) -> None:
    uploads = [by_hand.put(f"several/{number}.png", picture()) for number in range(3)]
    by_hand.send(bodies.s3_notification(*uploads))
    records = by_hand.until_described(*(upload.key for upload in uploads))
    assert len({record["prompt"] for record in records.values()}) >= 1
    assert all(by_hand.billed(upload.key) == 1 for upload in uploads)
