"""Every end of an image is an event: sent at least once, after its record, and not for what another upload overtook."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import ValidationError

from imagescribe.batch import MAX_FAILURES
from imagescribe.model.announcements import Announcement, DetailType
from imagescribe.model.events import Upload
from tests import event_schemas
from tests.factories import make_deletion, make_picture, make_upload
from tests.unit import stages
from tests.unit.fake_endpoint import Reply
from tests.unit.stage import Stage, aws_error
from tests.unit.test_overwrite_and_delete import once
from tests.unit.test_pay_once import crash_at

PICTURE = make_picture("teal")
KEY = "holiday photos/Café + crème.png"


@pytest.fixture
def stage(stage: Stage) -> Iterator[Stage]:
    yield stage
    for event in stage.bus.client.events:  # whatever was sent in these tests keeps to its schema
        event_schemas.check({"source": "imagescribe"} | event)


def reject(stage: Stage) -> Upload:
    stage.endpoint.says(Reply(422, '{"error": "the image is unsafe"}'))
    return stage.upload(PICTURE, KEY)


def skip(stage: Stage) -> Upload:
    return stage.upload(b"plain text", KEY)


def fail(stage: Stage) -> Upload:
    stage.endpoint.always_says(503)
    return stage.upload(PICTURE, KEY)


def answer_without_a_prompt(stage: Stage) -> Upload:
    stage.endpoint.says(Reply(200, "{}"))
    return stage.upload(PICTURE, KEY)


def describe(stage: Stage) -> Upload:
    return stage.upload(PICTURE, KEY)


ENDS: dict[str, tuple[Callable[[Stage], Upload], str]] = {
    "described": (describe, "Described"),
    "rejected": (reject, "Rejected"),
    "skipped": (skip, "Skipped"),
    "dead": (fail, "Dead"),
    "unreadable": (answer_without_a_prompt, "Dead"),
}
each_end = pytest.mark.parametrize(("bring_about", "end"), ENDS.values(), ids=ENDS)


# ── The contract ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("detail_type", DetailType)
def test_each_event_has_a_schema_and_a_sample_that_keeps_to_it(detail_type: DetailType) -> None:
    sample = event_schemas.sample(detail_type)
    event_schemas.check(sample)
    for field in sample["detail"]:
        less = {name: value for name, value in sample["detail"].items() if name != field}
        with pytest.raises(ValidationError):
            event_schemas.check(sample | {"detail": less})


@pytest.mark.parametrize("event", [make_upload(version_id="IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"), make_deletion()])
def test_a_removal_tells_the_same_of_an_upload_whose_object_is_gone_as_of_a_deletion(event: Any) -> None:
    assert (
        Announcement(DetailType.REMOVED, event).detail() == Announcement(DetailType.REMOVED, make_deletion()).detail()
    )


# ── Each end ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@each_end
def test_an_image_that_comes_to_an_end_is_announced_once_with_what_its_record_says(
    stage: Stage, bring_about: Callable[[Stage], Upload], end: str
) -> None:
    upload = bring_about(stage)
    records: list[dict[str, Any]] = []
    stage.bus.before["put_events"] = lambda _parameters: records.append(stage.standing(upload))
    stage.settle()
    assert stage.ends(upload) == [end]

    (event,) = stage.bus.client.events
    (record,) = records  # it was written before
    assert record["status"] == end.lower()
    for name in ("image", "bucket", "key", "sequencer", "version_id", "etag", "size"):
        assert event["detail"][name] == record[name]
    assert event["detail"].get("prompt") == record["prompt"]
    assert event["detail"].get("error") == record["error"]


@each_end
def test_an_event_that_the_bus_refused_is_sent_later(
    stage: Stage, bring_about: Callable[[Stage], Upload], end: str
) -> None:
    upload = bring_about(stage)
    stage.bus.client.refuses = True
    stage.pass_time(20)
    assert stage.ends(upload) == []
    assert stage.take_dead_letters() == []  # it waits in the queue

    stage.bus.client.refuses = False
    stage.settle()
    assert stage.ends(upload) == [end]
    assert stage.endpoint.paid.total() == (end == "Described" or stage.paid(upload) is not None)


@each_end
def test_an_event_that_a_crash_came_before_is_sent_when_the_message_comes_back(
    stage: Stage, bring_about: Callable[[Stage], Upload], end: str
) -> None:
    upload = bring_about(stage)
    while bring_about is fail and len(stage.endpoint.calls) < 2:  # its last attempt is its end
        stage.invoke()
        stage.clock.now = (stage.next_visible() or 0) + 0.001
    crash_at_the_event(stage)
    stage.settle()
    assert stage.ends(upload) == [end]


def crash_at_the_event(stage: Stage) -> None:
    crash_at(stage, lambda stage, die: stage.bus.before.update(put_events=die))


@each_end
def test_a_duplicate_of_the_event_that_came_to_an_end_sends_nothing(
    stage: Stage, bring_about: Callable[[Stage], Upload], end: str
) -> None:
    upload = bring_about(stage)
    stage.settle()
    if end == "Dead":
        return  # a dead image is tried again by whatever tells of it
    stage.tell(upload)
    stage.settle()
    assert stage.ends(upload) == [end]


def test_a_dead_letter_that_comes_back_and_is_described_sends_both_in_order(stage: Stage) -> None:
    upload = fail(stage)
    stage.settle()
    (dead_letter,) = stage.take_dead_letters()
    stage.endpoint.always_says(None)
    stage.send(dead_letter.body, {"redrives": "1"})
    stage.settle()
    assert stage.ends(upload) == ["Dead", "Described"]


def test_an_image_that_our_own_failures_made_a_dead_letter_is_announced_with_that_reason(stage: Stage) -> None:
    upload = stage.upload(PICTURE, KEY)
    stage.s3.failing["get_object"] = aws_error("AccessDenied", "GetObject")
    stage.settle()
    assert [dead_letter.attributes["reason"] for dead_letter in stage.take_dead_letters()] == ["aws"]
    (event,) = stage.bus.client.events
    assert event["detail-type"] == "Image Dead"
    assert (event["detail"]["reason"], event["detail"]["image"]) == ("aws", upload.image)
    assert "AccessDenied" in event["detail"]["error"]


def test_while_the_bus_is_down_for_good_every_image_is_a_dead_letter_that_comes_back_by_itself(stage: Stage) -> None:
    ends = [stage.upload(PICTURE, "described.png"), stage.upload(b"text", "skipped.png")]
    stage.bus.client.refuses = True
    stage.settle()
    dead_letters = stage.take_dead_letters()
    assert [dead_letter.attributes["reason"] for dead_letter in dead_letters] == ["aws", "aws"]
    assert all(dead_letter.attributes["failures"] == str(MAX_FAILURES - 1) for dead_letter in dead_letters)

    stage.bus.client.refuses = False
    for dead_letter in dead_letters:
        stage.send(dead_letter.body, {"redrives": "1"})
    stage.settle()
    assert [stage.ends(upload) for upload in ends] == [["Described"], ["Skipped"]]
    assert stage.endpoint.paid.total() == 1


def test_a_message_that_tells_of_no_image_has_no_event(stage: Stage) -> None:
    stage.send("not JSON")
    stage.settle()
    assert len(stage.take_dead_letters()) == 1
    assert stage.bus.client.events == []


# ── Overtaken ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("refusal", [422, 503])
def test_the_end_of_an_upload_that_another_one_overtook_is_not_announced(refusal: int) -> None:
    with stages.in_memory_stage(versioned=True) as stage:
        stage.cold_start(max_attempts=1)
        old = stage.upload(make_picture("navy"), KEY)
        newer: list[Upload] = []

        def overtake() -> None:
            newer.append(stage.upload(PICTURE, KEY))
            stage.pipeline.catalog.open(newer[0])

        stage.endpoint.before_look = once(overtake)
        stage.endpoint.says(refusal)
        stage.settle()
        assert stage.ends(old) == ["Described"]
        assert stage.bus.client.events[0]["detail"]["sequencer"] == newer[0].sequencer


# ── Removed ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_described_image_that_is_deleted_is_announced_as_removed_once(stage: Stage) -> None:
    upload = describe(stage)
    stage.settle()
    deletion = stage.remove(upload)
    stage.tell(deletion, deletion)
    stage.settle()
    assert stage.ends(upload) == ["Described", "Removed"]
    assert stage.bus.client.events[1]["detail"]["sequencer"] == deletion.sequencer


def test_a_deletion_of_what_has_no_record_is_not_announced(stage: Stage) -> None:
    upload = stage.store(KEY, PICTURE)
    stage.tell(stage.remove(upload))
    stage.settle()
    assert stage.bus.client.events == []


def test_an_image_that_is_deleted_while_it_waits_is_announced_as_removed_once(stage: Stage) -> None:
    upload = stage.upload(PICTURE, KEY)
    stage.endpoint.says(503)
    stage.drain()
    stage.tell(stage.remove(upload))
    stage.settle()
    assert stage.record(upload) is None
    assert stage.ends(upload) == ["Removed"]


def test_a_described_image_whose_overwrite_is_deleted_during_its_call_is_announced_as_removed(stage: Stage) -> None:
    first = describe(stage)
    stage.settle()
    second = stage.upload(make_picture("navy"), KEY)
    stage.endpoint.before_look = once(lambda: stage.tell(stage.remove(second)))
    stage.settle()
    assert stage.record(first) is None
    assert stage.ends(first) == ["Described", "Removed"]


@pytest.mark.parametrize("trouble", ["refused", "crash"])
def test_a_removal_that_could_not_be_announced_is_announced_later(stage: Stage, trouble: str) -> None:
    upload = describe(stage)
    stage.settle()
    stage.tell(stage.remove(upload))
    if trouble == "crash":
        crash_at_the_event(stage)
    else:
        stage.bus.client.refuses = True
        stage.drain()
        stage.bus.client.refuses = False
    assert stage.record(upload) is None
    stage.settle()
    assert stage.ends(upload) == ["Described", "Removed"]
