"""Whatever shape an event comes in, the same upload is read from it; what tells of none is said to be malformed."""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import zip_longest
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagescribe.errors import MalformedMessageError
from imagescribe.model.events import Deletion, Upload, deletion_body, parse_body, split_body, upload_body
from tests.factories import (
    EVENTS,
    eventbridge_body,
    make_deletion,
    make_upload,
    s3_notification_body,
    s3_record,
    sample_bodies,
    sns_wrapped,
)

type ToBody = Callable[[Upload | Deletion], str]

SHAPES: Mapping[str, ToBody] = {
    "EventBridge event": eventbridge_body,
    "S3 notification": s3_notification_body,
    "EventBridge event by SNS": lambda event: sns_wrapped(eventbridge_body(event)),
    "S3 notification by SNS": lambda event: sns_wrapped(s3_notification_body(event)),
}
every_shape = pytest.mark.parametrize("to_body", SHAPES.values(), ids=SHAPES)

# S3 takes any UTF-8, up to 1,024 bytes.
keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=256)
AWKWARD_KEYS = [
    "holiday photos/Café + crème.png",
    "100%25 sure%2F.jpg",
    "a+b c%20.png",
    "?versionId=1#fragment&x=y.png",
    "../../etc/passwd",
    "//double//slashes//",
    "./.hidden",
    " leading and trailing ",
    "line\nbreak\ttab\r\0null.png",
    "\u202eright-to-left \u200bzero-width.png",
    "写真/🏔️.webp",
    "back\\slash \"quoted\" 'single' <tag>.jpg",
    "e\u0301 is not \u00e9.png",
    "x" * 1024,
    "é" * 512,
    "🦊" * 256,
]


@every_shape
def test_every_shape_tells_of_the_same_upload(to_body: ToBody) -> None:
    upload = make_upload(version_id="IYV3p45BT0ac8hjHg1houSdS1a.Mro8e")
    assert parse_body(to_body(upload)) == [upload]


@every_shape
def test_every_shape_tells_who_uploaded_it(to_body: ToBody) -> None:
    upload = make_upload(requester="AWS:AROAEXAMPLE:uploader")
    assert parse_body(to_body(upload)) == [upload]


@pytest.mark.parametrize("requester", [None, "", 5, ["a"], {"a": "b"}, "half of an emoji: \ud83d"], ids=repr)
def test_an_image_is_not_given_up_for_what_its_requester_looks_like(requester: object) -> None:
    event = json.loads(eventbridge_body(make_upload()))
    event["detail"]["requester"] = requester
    assert parse_body(json.dumps(event)) == [make_upload(requester=None)]
    for identity in ({"principalId": requester}, [requester]):
        record = s3_record(make_upload()) | {"userIdentity": identity}
        assert parse_body(json.dumps({"Records": [record]})) == [make_upload(requester=None)]


@every_shape
def test_every_shape_tells_of_the_same_deletion(to_body: ToBody) -> None:
    assert parse_body(to_body(make_deletion())) == [make_deletion()]


@every_shape
@pytest.mark.parametrize("key", AWKWARD_KEYS, ids=ascii)
def test_an_awkward_key_arrives_as_it_is(to_body: ToBody, key: str) -> None:
    assert parse_body(to_body(make_upload(key=key))) == [make_upload(key=key)]


@given(keys, st.none() | st.just("IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"))
def test_an_event_that_we_make_tells_of_the_upload_it_was_made_for(key: str, version_id: str | None) -> None:
    upload = make_upload(key=key, version_id=version_id)
    assert parse_body(upload_body(upload, "imagescribe.retry")) == [upload]


@given(keys)
def test_an_event_that_we_make_tells_of_the_deletion_it_was_made_for(key: str) -> None:
    deletion = make_deletion(key=key)
    assert parse_body(deletion_body(deletion, "imagescribe.audit")) == [deletion]


@given(keys)
def test_the_key_of_a_notification_is_form_encoded(key: str) -> None:
    assert parse_body(s3_notification_body(make_upload(key=key))) == [make_upload(key=key)]


@given(keys)
def test_a_space_in_a_notification_may_come_as_a_plus_or_as_percent_20(key: str) -> None:
    notification = json.loads(s3_notification_body(make_upload()))
    notification["Records"][0]["s3"]["object"]["key"] = quote(key, safe="/")
    assert parse_body(json.dumps(notification)) == [make_upload(key=key)]


@given(keys)
@example("a+b c%20.png")
def test_the_key_of_an_eventbridge_event_is_taken_as_it_is(key: str) -> None:
    assert parse_body(eventbridge_body(make_upload(key=key))) == [make_upload(key=key)]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "eventbridge-object-created",
            [
                make_upload(
                    bucket="imagescribe-example",
                    key="holiday photos/Café + crème.png",
                    version_id="IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                    requester="123456789012",
                )
            ],
        ),
        (
            "s3-notification",
            [
                make_upload(
                    bucket="imagescribe-example",
                    key="holiday photos/Café + crème.png",
                    version_id="IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
                    requester="AWS:AIDAEXAMPLEUPLOADER00",
                )
            ],
        ),
        (
            "sns-eventbridge",
            [
                make_upload(
                    bucket="imagescribe-example",
                    version_id="Qf8bKz1u7nWm3xTt0pLr5vYs2cHd9aGe",
                    etag="4819d28d09215f88f5d490e4083201fa",
                    size=218_916,
                    sequencer="006AE854991E2D3C4B",
                    uploaded_at="2026-11-02T09:15:05.000Z",
                    requester="123456789012",
                )
            ],
        ),
        (
            "sns-s3-notification",
            [
                make_upload(
                    bucket="imagescribe-example",
                    key="space/deep-field.webp",
                    version_id="Zr4dLx8w2mVk6yUu1qJs7tXp3bFe0cHn",
                    etag="3dfc3c946257b08008724817670c5222",
                    size=141_202,
                    sequencer="006AE8549E5A6B7C8D",
                    uploaded_at="2026-11-02T09:15:10.000Z",
                    requester="AWS:AIDAEXAMPLEUPLOADER00",
                )
            ],
        ),
        (
            "eventbridge-object-deleted",
            [
                make_deletion(
                    bucket="imagescribe-example",
                    key="garden/dandelions.jpg",
                    sequencer="006AE854A3D4E5F607",
                    deleted_at="2026-11-02T09:15:15.000Z",
                )
            ],
        ),
        ("s3-test-event", []),
    ],
)
def test_a_sample_event_tells_what_its_table_says(name: str, told: list[Upload | Deletion]) -> None:
    (body,) = sample_bodies(name)
    assert parse_body(body) == told


def test_the_sample_batch_holds_each_of_the_other_samples() -> None:
    others = sorted(path.stem for path in EVENTS.glob("*.json") if path.stem != "batch")
    assert sorted(sample_bodies("batch")) == sorted(body for name in others for body in sample_bodies(name))


def test_what_s3_sends_to_try_a_queue_out_tells_of_nothing_also_through_sns() -> None:
    (body,) = sample_bodies("s3-test-event")
    assert parse_body(body) == parse_body(sns_wrapped(body)) == []


@pytest.mark.parametrize(
    "change",
    [{"detail-type": "Object Tags Added"}, {"detail-type": "Object Restore Completed"}, {"detail-type": "Purchase"}],
)
def test_events_that_are_neither_uploads_nor_deletions_tell_of_nothing(change: dict[str, str]) -> None:
    assert parse_body(json.dumps(json.loads(eventbridge_body(make_upload())) | change)) == []


@pytest.mark.parametrize("name", ["ObjectTagging:Put", "ObjectAcl:Put", "ObjectRestore:Post", "Replication:OperationX"])
def test_notifications_that_are_neither_uploads_nor_deletions_tell_of_nothing(name: str) -> None:
    assert parse_body(json.dumps({"Records": [s3_record(make_upload()) | {"eventName": name}]})) == []


@pytest.mark.parametrize("name", ["Put", "Post", "Copy", "CompleteMultipartUpload"])
def test_every_way_to_make_an_object_is_an_upload(name: str) -> None:
    for prefix in ("", "s3:"):  # with the prefix in the configuration, without it in the event: both are taken
        record = s3_record(make_upload()) | {"eventName": f"{prefix}ObjectCreated:{name}"}
        assert parse_body(json.dumps({"Records": [record]})) == [make_upload()]


@pytest.mark.parametrize(
    "name", ["ObjectRemoved:Delete", "ObjectRemoved:DeleteMarkerCreated", "LifecycleExpiration:DeleteMarkerCreated"]
)
def test_every_way_to_delete_an_object_is_a_deletion(name: str) -> None:
    record = s3_record(make_deletion()) | {"eventName": name}
    assert parse_body(json.dumps({"Records": [record]})) == [make_deletion()]


@pytest.mark.parametrize("version", ["null", "", None])
def test_a_version_that_can_be_overwritten_is_none(version: str | None) -> None:
    event = json.loads(eventbridge_body(make_upload()))
    event["detail"]["object"]["version-id"] = version
    assert parse_body(json.dumps(event)) == [make_upload(version_id=None)]


def test_quotes_around_an_etag_and_small_letters_in_a_sequencer_do_not_matter() -> None:
    upload = make_upload()
    loose = replace(upload, etag=f'"{upload.etag}"', sequencer=upload.sequencer.lower())
    assert parse_body(eventbridge_body(loose)) == [upload]


def test_a_time_in_another_zone_is_told_in_utc() -> None:
    (told,) = parse_body(eventbridge_body(make_upload(uploaded_at="2026-11-02T11:15:00+02:00")))
    assert told == make_upload(uploaded_at="2026-11-02T09:15:00.000Z")


def test_an_image_is_named_by_bucket_and_key() -> None:
    assert make_upload().image == make_deletion().image == "s3://imagescribe-test/pets/cat.png"


sequencers = st.text("019AF", min_size=1, max_size=6)  # few letters and short, so that many begin alike


@given(sequencers, sequencers)
def test_sequencers_as_text_stand_in_the_order_that_s3_gives_them(one: str, other: str) -> None:
    # https://repost.aws/knowledge-center/s3-duplicate-sqs-messages: pad the shorter on its right with zeros
    padded = list(zip_longest(one, other, fillvalue="0"))
    earlier, later = "".join(pair[0] for pair in padded), "".join(pair[1] for pair in padded)
    if earlier != later:
        assert (one < other) == (earlier < later)


# ── Several objects in one notification ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wrappings", [0, 1, 2])
def test_a_notification_of_several_objects_is_split_without_loss(wrappings: int) -> None:
    uploads = [make_upload(key=key) for key in AWKWARD_KEYS]
    body = s3_notification_body(*uploads)
    for _ in range(wrappings):
        body = sns_wrapped(body)
    assert parse_body(body) == uploads
    assert [parse_body(each) for each in split_body(body)] == [[upload] for upload in uploads]


# ── Malformed ────────────────────────────────────────────────────────────────────────────────────────────────────────

REQUIRED_BY_EVENTBRIDGE = [
    ("detail",),
    ("time",),
    ("detail", "bucket"),
    ("detail", "bucket", "name"),
    ("detail", "object"),
    ("detail", "object", "key"),
    ("detail", "object", "size"),
    ("detail", "object", "etag"),
    ("detail", "object", "sequencer"),
]
REQUIRED_BY_NOTIFICATIONS = [
    ("eventName",),
    ("eventTime",),
    ("s3",),
    ("s3", "bucket"),
    ("s3", "bucket", "name"),
    ("s3", "object"),
    ("s3", "object", "key"),
    ("s3", "object", "size"),
    ("s3", "object", "eTag"),
    ("s3", "object", "sequencer"),
]


def place(event: Any, path: tuple[str, ...]) -> Any:
    for name in path[:-1]:
        event = event[name]
    return event


@pytest.mark.parametrize("path", REQUIRED_BY_EVENTBRIDGE, ids=".".join)
def test_an_eventbridge_event_that_lacks_a_part_is_malformed(path: tuple[str, ...]) -> None:
    event = json.loads(eventbridge_body(make_upload()))
    del place(event, path)[path[-1]]
    with pytest.raises(MalformedMessageError):
        parse_body(json.dumps(event))


@pytest.mark.parametrize("path", REQUIRED_BY_NOTIFICATIONS, ids=".".join)
def test_a_notification_that_lacks_a_part_is_malformed(path: tuple[str, ...]) -> None:
    record = s3_record(make_upload())
    del place(record, path)[path[-1]]
    with pytest.raises(MalformedMessageError):
        parse_body(json.dumps({"Records": [record]}))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "not JSON"),
        ("describe this, please", "not JSON"),
        ('{"Records": [', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "list instead of an object"),
        ("null", "NoneType instead of an object"),
        ("{}", "neither an EventBridge event"),
        ('{"Message": 5}', "neither an EventBridge event"),
        ('{"Message": "hello"}', "not JSON"),
        ('{"detail-type": "Object Created"}', "no 'detail'"),
        ('{"Records": null}', "not in a known shape"),
        ('{"Records": [{}]}', "no 'eventName'"),
    ],
    ids=lambda text: text[:20].replace("[", "("),
)
def test_a_malformed_body_is_told_with_what_is_wrong(body: str, words: str) -> None:
    with pytest.raises(MalformedMessageError, match=words):
        parse_body(body)


@pytest.mark.parametrize("key", ["", None, 5, ["a"], "half of an emoji: \ud83d"])
def test_a_key_that_no_object_can_have_is_malformed(key: object) -> None:
    event = json.loads(eventbridge_body(make_upload()))
    event["detail"]["object"]["key"] = key
    with pytest.raises(MalformedMessageError):
        parse_body(json.dumps(event))


@every_shape
@pytest.mark.parametrize("sequencer", ["", "~", "0x6AE8", "00 6A", "-1", "G", "\uff11", "6A\n"], ids=ascii)
@pytest.mark.parametrize("make", [make_upload, make_deletion])
def test_a_sequencer_that_is_no_hexadecimal_is_malformed(
    make: Callable[..., Upload | Deletion], sequencer: str, to_body: ToBody
) -> None:
    with pytest.raises(MalformedMessageError, match="sequencer"):
        parse_body(to_body(make(sequencer=sequencer)))


def test_a_notifications_key_that_is_not_utf_8_is_malformed() -> None:
    record = s3_record(make_upload())
    record["s3"]["object"]["key"] = "caf%E9.png"
    with pytest.raises(MalformedMessageError):
        parse_body(json.dumps({"Records": [record]}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


def survives(body: str) -> None:
    with suppress(MalformedMessageError):
        parse_body(body)


@given(st.text() | st.binary().map(lambda content: content.decode("latin-1")))
def test_no_text_raises_anything_but_malformed(body: str) -> None:
    survives(body)


@given(json_values)
def test_no_json_raises_anything_but_malformed(value: Any) -> None:
    survives(json.dumps(value))
    for name in ("Records", "Message", "detail-type", "detail"):
        survives(json.dumps({name: value}))
    survives(json.dumps({"Records": [value]}))
    survives(json.dumps({"detail-type": "Object Created", "detail": value, "time": value}))


@given(st.sampled_from(REQUIRED_BY_EVENTBRIDGE), json_values)
@example(("detail", "object", "size"), float("inf"))
@example(("time",), "0001-01-01T00:00:00")
@example(("time",), "9999-12-31T23:59:59-23:59")
def test_no_part_of_an_eventbridge_event_raises_anything_but_malformed(path: tuple[str, ...], value: Any) -> None:
    event = json.loads(eventbridge_body(make_upload()))
    place(event, path)[path[-1]] = value
    survives(json.dumps(event))


@given(st.sampled_from(REQUIRED_BY_NOTIFICATIONS), json_values)
def test_no_part_of_a_notification_raises_anything_but_malformed(path: tuple[str, ...], value: Any) -> None:
    record = s3_record(make_upload())
    place(record, path)[path[-1]] = value
    survives(json.dumps({"Records": [record]}))
