"""The record of an image is of its newest event, whatever order events come in, and a prompt that stands is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import ClientError
from hypothesis import example, given
from hypothesis import strategies as st

from imagescribe.model.outcomes import Deferred
from imagescribe.model.record import AlreadyFinal, Opened, Record, Stale, Status
from imagescribe.model.tags import TagState
from imagescribe.stores.catalog import Catalog
from imagescribe.stores.dynamodb import get
from tests.factories import PROMPT, Clock, make_deletion, make_upload, unique
from tests.unit.in_memory.dynamodb import InMemoryDynamoDB

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from imagescribe.model.events import Upload

DESCRIBED_AT = "2026-11-02T09:15:04.000Z"
EARLIER, SEQUENCER, LATER = "006AE85493FFFFFFFF", "006AE85494A1B2C3D4", "006AE85494A1B2C3D400"


@pytest.fixture
def catalog(dynamodb: DynamoDBClient, catalog_table: str, clock: Clock) -> Catalog:
    return Catalog(dynamodb, catalog_table, clock)


@pytest.fixture
def upload() -> Upload:
    """Of an image that no other test has."""
    return make_upload(key=unique("key"), sequencer=SEQUENCER)


@pytest.fixture
def record(dynamodb: DynamoDBClient, catalog_table: str) -> Callable[[Upload], dict[str, Any]]:
    """What somebody who looks an image up finds; empty where there is no record."""
    return lambda upload: get(dynamodb, catalog_table, {"image": upload.image}) or {}


type Look = Callable[[Upload], dict[str, Any]]


def describe(catalog: Catalog, upload: Upload, prompt: str = PROMPT) -> str | None:
    return catalog.describe(upload, DESCRIBED_AT, prompt, TagState.WRITTEN, attempts=0)


# ── One upload ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_upload_opens_a_record_with_everything_that_its_event_told(
    catalog: Catalog, upload: Upload, record: Look, clock: Clock
) -> None:
    upload = replace(upload, version_id="IYV3p45BT0ac8hjHg1houSdS1a.Mro8e")
    assert catalog.open(upload) == Opened(0)
    assert record(upload) == {
        "image": upload.image,
        "bucket": upload.bucket,
        "key": upload.key,
        "status": "describing",
        "attempts": 0,
        "etag": upload.etag,
        "version_id": upload.version_id,
        "size": upload.size,
        "sequencer": upload.sequencer,
        "uploaded_at": upload.uploaded_at,
        "requester": None,
        "job": None,
        "updated_at": "2026-11-02T09:15:00.000Z",
        "prompt": None,
        "model": None,
        "tags": None,
        "error": None,
        "described_at": None,
        "waiting_until": None,
        "rendered_from": None,
        "labels": None,
        "annotation": None,
    }


def test_a_record_says_which_backfill_it_is_of_until_an_upload_comes(
    catalog: Catalog, upload: Upload, record: Look
) -> None:
    catalog.open(replace(upload, sequencer=EARLIER, job="bf-1"))
    assert record(upload)["job"] == "bf-1"
    catalog.open(upload)
    assert record(upload)["job"] is None


@pytest.mark.parametrize("tags", TagState)
def test_a_described_image_has_its_prompt_and_what_became_of_its_tags(
    tags: TagState, catalog: Catalog, upload: Upload, record: Look, clock: Clock
) -> None:
    catalog.open(upload)
    clock.now += 4
    assert catalog.describe(upload, DESCRIBED_AT, PROMPT, tags, attempts=2, model="pixtral-12b") == PROMPT
    found = record(upload)
    assert found["model"] == "pixtral-12b"
    assert (found["status"], found["prompt"], found["tags"], found["attempts"]) == ("described", PROMPT, tags, 2)
    assert (found["described_at"], found["updated_at"], found["error"]) == (DESCRIBED_AT, DESCRIBED_AT, None)


def test_a_waiting_image_says_why_and_until_when_and_what_was_wrong_goes_once_it_is_described(
    catalog: Catalog, upload: Upload, record: Look, clock: Clock
) -> None:
    catalog.open(upload)
    assert catalog.wait(upload, Deferred(clock.now + 60, "429: slow down"), attempts=1)
    found = record(upload)
    assert (found["status"], found["error"], found["attempts"]) == ("waiting", "429: slow down", 1)
    assert found["waiting_until"] == "2026-11-02T09:16:00.000Z"
    describe(catalog, upload)
    assert (record(upload)["error"], record(upload)["waiting_until"]) == (None, None)


def test_attempts_that_are_not_known_stay_as_they_are(
    catalog: Catalog, upload: Upload, record: Look, clock: Clock
) -> None:
    catalog.open(upload)
    catalog.wait(upload, Deferred(clock.now, "503"), attempts=3)
    catalog.wait(upload, Deferred(clock.now, "SlowDown"), attempts=None)
    assert record(upload)["attempts"] == 3
    catalog.give_up(upload, Status.DEAD, "SlowDown", attempts=None)
    assert record(upload)["attempts"] == 3


@pytest.mark.parametrize("status", [Status.REJECTED, Status.SKIPPED, Status.DEAD])
def test_an_image_that_is_given_up_says_why(status: Status, catalog: Catalog, upload: Upload, record: Look) -> None:
    catalog.open(upload)
    assert catalog.give_up(upload, status, "the object is empty", attempts=4)
    found = record(upload)
    assert (found["status"], found["error"], found["attempts"]) == (status, "the object is empty", 4)


# ── The same upload again ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_image_that_waited_goes_on_with_its_attempts(catalog: Catalog, upload: Upload, clock: Clock) -> None:
    catalog.open(upload)
    assert catalog.open(upload) == Opened(0)
    catalog.wait(upload, Deferred(clock.now, "503"), attempts=3)
    assert catalog.open(upload) == Opened(3)


def test_a_described_image_is_finished_and_gives_its_prompt(catalog: Catalog, upload: Upload) -> None:
    catalog.open(upload)
    describe(catalog, upload)
    assert catalog.open(upload) == AlreadyFinal(Status.DESCRIBED, PROMPT, None)


@pytest.mark.parametrize("status", [Status.REJECTED, Status.SKIPPED])
def test_a_rejected_and_a_skipped_image_are_finished(status: Status, catalog: Catalog, upload: Upload) -> None:
    catalog.open(upload)
    catalog.give_up(upload, status, "no", attempts=0)
    assert catalog.open(upload) == AlreadyFinal(status, None, "no")


def test_a_dead_one_whose_message_came_back_begins_afresh(catalog: Catalog, upload: Upload, record: Look) -> None:
    catalog.open(upload)
    catalog.give_up(upload, Status.DEAD, "503", attempts=8)
    assert catalog.open(upload) == Opened(0)
    found = record(upload)
    assert (found["status"], found["error"], found["attempts"]) == ("describing", None, 0)


def test_a_prompt_that_stands_is_not_taken_back_by_a_duplicate(
    catalog: Catalog, upload: Upload, record: Look, clock: Clock
) -> None:
    catalog.open(upload)
    describe(catalog, upload)
    before = record(upload)
    clock.now += 60
    assert not catalog.wait(upload, Deferred(clock.now, "429"), attempts=1)
    assert not catalog.give_up(upload, Status.DEAD, "AccessDenied", attempts=8)
    assert describe(catalog, upload, "another prompt") == PROMPT
    assert record(upload) == before


# ── Other events of the same image ───────────────────────────────────────────────────────────────────────────────────


def test_a_later_upload_takes_the_record_over_and_the_old_prompt_goes(
    catalog: Catalog, upload: Upload, record: Look
) -> None:
    catalog.open(upload)
    describe(catalog, upload)
    later = replace(upload, sequencer=LATER, etag="another", size=1)
    assert catalog.open(later) == Opened(0)
    found = record(later)
    assert (found["etag"], found["size"], found["prompt"], found["tags"]) == ("another", 1, None, None)


def test_an_earlier_upload_that_comes_late_changes_nothing(
    catalog: Catalog, upload: Upload, record: Look, clock: Clock
) -> None:
    catalog.open(upload)
    before = record(upload)
    earlier = replace(upload, sequencer=EARLIER, etag="another")
    assert catalog.open(earlier) == Stale()
    assert not catalog.wait(earlier, Deferred(clock.now, "429"), attempts=1)
    assert not catalog.give_up(earlier, Status.REJECTED, "422", attempts=1)
    assert describe(catalog, earlier) is None
    catalog.remove(earlier)
    assert record(upload) == before


def test_what_was_described_meanwhile_is_not_written_for_a_newer_upload(
    catalog: Catalog, upload: Upload, record: Look
) -> None:
    catalog.open(upload)
    later = replace(upload, sequencer=LATER)
    catalog.open(later)
    assert describe(catalog, upload, "the old picture") is None
    assert record(later)["prompt"] is None
    describe(catalog, later, "the new picture")
    assert describe(catalog, upload, "the old picture") == "the new picture"


def test_nothing_is_written_for_an_image_whose_record_is_gone(
    catalog: Catalog, upload: Upload, record: Look, clock: Clock
) -> None:
    catalog.open(upload)
    catalog.remove(make_deletion(key=upload.key, sequencer=LATER))
    assert describe(catalog, upload) is None
    assert not catalog.wait(upload, Deferred(clock.now, "429"), attempts=1)
    assert not catalog.give_up(upload, Status.DEAD, "503", attempts=8)
    assert record(upload) == {}


@pytest.mark.parametrize(("sequencer", "is_removed"), [(EARLIER, False), (SEQUENCER, True), (LATER, True)])
def test_a_deletion_takes_the_record_out_unless_it_is_of_a_newer_event(
    sequencer: str, is_removed: bool, catalog: Catalog, upload: Upload, record: Look
) -> None:
    catalog.open(upload)
    describe(catalog, upload)
    assert catalog.remove(make_deletion(key=upload.key, sequencer=sequencer)) is is_removed
    assert (record(upload) == {}) is is_removed


def test_a_deletion_of_what_is_not_in_the_catalog_is_nothing(catalog: Catalog, upload: Upload) -> None:
    assert not catalog.remove(make_deletion(key=upload.key))


def test_a_failing_table_is_not_taken_for_a_newer_event(catalog: Catalog, dynamodb: DynamoDBClient) -> None:
    catalog = Catalog(dynamodb, "no-such-table")
    for write in (catalog.open, catalog.remove, lambda upload: describe(catalog, upload)):
        with pytest.raises(ClientError, match="ResourceNotFoundException"):
            write(make_upload())


# ── In any order ─────────────────────────────────────────────────────────────────────────────────────────────────────


def in_memory() -> tuple[Catalog, Look, Clock]:
    """A catalog whose conditions are judged as moto does (`test_in_memory.py`), at a fiftieth of its cost."""
    client, clock = cast("DynamoDBClient", InMemoryDynamoDB()), Clock()
    return (
        Catalog(client, "catalog", clock),
        lambda upload: get(client, "catalog", {"image": upload.image}) or {},
        clock,
    )


steps = st.tuples(
    st.sampled_from(["006AE854", "006AE8549", "006AE85494", "006AE85494A1", "006AE95494"]),
    st.sampled_from(["begin", "wait", "reject", "die", "describe"]),
)


@given(st.lists(steps, min_size=1, max_size=12))
@example([("006AE85494", "begin"), ("006AE85494", "describe"), ("006AE854", "begin"), ("006AE854", "describe")])
def test_in_whatever_order_events_come_the_record_never_goes_back(
    taken: list[tuple[str, str]],
) -> None:
    catalog, record, clock = in_memory()
    image = make_upload()
    newest, described = "", set()
    for sequencer, step in taken:
        upload = replace(image, sequencer=sequencer)
        before = record(upload)
        match step:
            case "begin":
                catalog.open(upload)
                newest = max(newest, sequencer)
            case "wait":
                catalog.wait(upload, Deferred(clock.now, "429"), attempts=1)
            case "reject":
                catalog.give_up(upload, Status.REJECTED, "422", attempts=1)
            case "die":
                catalog.give_up(upload, Status.DEAD, "503", attempts=1)
            case "describe" if describe(catalog, upload, f"of {sequencer}") == f"of {sequencer}":
                described.add(sequencer)
        after = record(upload)
        assert after.get("sequencer", "") == newest
        if sequencer < newest:
            assert after == before
        if newest in described:
            assert (after["status"], after["prompt"]) == ("described", f"of {newest}")


@given(st.permutations(["1", "2", "3", "4"]), st.sets(st.sampled_from(["1", "2", "3", "4"])))
def test_once_every_event_came_the_record_is_what_the_newest_made_it(order: list[str], deletions: set[str]) -> None:
    catalog, record, _ = in_memory()
    # A deletion that is not the last is told by the look at the object, which the pipeline has before it begins: here
    # the events after the newest deletion stand for it.
    image = make_upload()
    for sequencer in order:
        if sequencer in deletions:
            catalog.remove(make_deletion(key=image.key, sequencer=sequencer))
        elif sequencer > max(deletions, default=""):
            upload = replace(image, sequencer=sequencer)
            catalog.open(upload)
            describe(catalog, upload, f"of {sequencer}")
    found = record(image)
    assert found.get("prompt") == (None if "4" in deletions else "of 4")


# ── Described again ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def again(catalog: Catalog, upload: Upload) -> Upload:
    """A second event for what is described already."""
    catalog.open(upload)
    describe(catalog, upload, "the old prompt")
    return replace(upload, sequencer=LATER)


def test_the_old_prompt_stays_until_there_is_a_new_one(catalog: Catalog, again: Upload, record: Look) -> None:
    before = record(again)
    assert catalog.open(again) == Opened()
    assert catalog.wait(again, Deferred(1793610960.0, "too many calls"), 2)
    kept = record(again)
    assert kept == before | {"sequencer": again.sequencer, "attempts": 2, "renewing": True}
    assert Record.of_item(kept).standing(again) == catalog.open(again) == Opened(2)
    assert describe(catalog, again, "the new prompt") == "the new prompt"
    assert record(again)["prompt"] == "the new prompt"
    assert "renewing" not in record(again)
    assert isinstance(catalog.open(again), AlreadyFinal)
    assert describe(catalog, again, "a duplicate's") == "the new prompt"


@pytest.mark.parametrize("status", [Status.REJECTED, Status.SKIPPED])
def test_where_no_new_prompt_comes_the_old_one_stays_with_the_reason(
    status: Status, catalog: Catalog, again: Upload, record: Look
) -> None:
    catalog.open(again)
    assert not catalog.give_up(again, status, "422: no", 1)
    kept = record(again)
    assert (kept["status"], kept["prompt"]) == ("described", "the old prompt")
    assert kept["error"] == "it could not be described again: 422: no"
    assert kept["described_day"]
    assert isinstance(catalog.open(again), AlreadyFinal)


def test_a_dead_letter_of_what_is_described_again_goes_on_when_it_comes_back(
    catalog: Catalog, again: Upload, record: Look
) -> None:
    catalog.open(again)
    assert not catalog.give_up(again, Status.DEAD, "503: no", 8)
    assert record(again)["prompt"] == "the old prompt"
    assert catalog.open(again) == Opened(0)
    describe(catalog, again, "the new prompt")
    assert (record(again)["prompt"], record(again)["error"]) == ("the new prompt", None)


def test_the_prompt_of_another_content_goes_at_once(catalog: Catalog, again: Upload, record: Look) -> None:
    catalog.open(again)
    other = replace(again, etag="another", sequencer=f"{LATER}00")
    assert catalog.open(other) == Opened()
    assert record(other)["prompt"] is None
    assert not {"renewing", "described_day"} & record(other).keys()


def test_an_event_before_the_one_that_describes_again_is_stale(
    catalog: Catalog, upload: Upload, again: Upload, record: Look
) -> None:
    catalog.open(again)
    assert isinstance(catalog.open(upload), Stale)
    assert describe(catalog, upload, "late") == "the old prompt"
    assert record(upload)["prompt"] == "the old prompt"
