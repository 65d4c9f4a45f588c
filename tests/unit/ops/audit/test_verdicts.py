"""What an object and its record say of each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescribe.model.listing import Listed, sequencer_after
from imagescribe.model.record import Status
from imagescribe_ops.audit.verdicts import Verdict, judge
from imagescribe_ops.catalog_view import ImageRecord

SINCE, EARLIER, LATER = "2026-11-20T12:00:00.000Z", "2026-11-20T11:59:59.999Z", "2026-11-20T12:00:00.001Z"
LISTED = Listed("cat.png", "e1", 100, EARLIER)
RECORD = ImageRecord.of_item(
    {
        name: {"S": value}
        for name, value in {
            "image": "s3://b/cat.png",
            "key": "cat.png",
            "etag": "e1",
            "status": "described",
            "sequencer": "00A1",
            "updated_at": EARLIER,
        }.items()
    }
)


def test_an_object_without_a_record_is_missing() -> None:
    assert judge(LISTED, None, SINCE) is Verdict.MISSING


def test_an_object_that_came_a_moment_ago_is_underway() -> None:
    assert judge(replace(LISTED, modified_at=LATER), None, SINCE) is Verdict.UNDERWAY


def test_an_object_that_was_there_before_the_stack_is_missing_however_new_it_is() -> None:
    new = replace(LISTED, modified_at=LATER)
    assert judge(new, None, SINCE, created_at="2026-11-20T12:00:01.000Z") is Verdict.MISSING
    assert judge(new, None, SINCE, created_at=LATER) is Verdict.UNDERWAY
    assert judge(new, replace(RECORD, etag="e0"), SINCE, created_at="2026-11-20T12:00:01.000Z") is Verdict.UNDERWAY


def test_a_folder_of_the_console_is_no_image() -> None:
    folder = replace(LISTED, key="holiday/", size=0)
    assert judge(folder, None, SINCE) is Verdict.FOLDER
    assert judge(replace(folder, size=1), None, SINCE) is Verdict.MISSING
    assert judge(replace(folder, key="empty.png"), None, SINCE) is Verdict.MISSING


def test_a_record_without_an_object_is_an_orphan() -> None:
    assert judge(None, RECORD, SINCE) is Verdict.ORPHAN
    assert judge(None, None, SINCE) is Verdict.GONE


@pytest.mark.parametrize("status", Status)
def test_a_record_of_another_content_is_stale_whatever_it_says(status: Status) -> None:
    record = replace(RECORD, status=status, etag="e0")
    assert judge(LISTED, record, SINCE) is Verdict.STALE
    assert judge(replace(LISTED, modified_at=LATER), record, SINCE) is Verdict.UNDERWAY


def test_a_record_of_another_version_is_stale_where_the_version_is_known() -> None:
    assert judge(replace(LISTED, version_id="v2"), replace(RECORD, version_id="v1"), SINCE) is Verdict.STALE
    assert judge(replace(LISTED, version_id="v1"), replace(RECORD, version_id="v1"), SINCE) is Verdict.WELL
    assert judge(LISTED, replace(RECORD, version_id="v1"), SINCE) is Verdict.WELL


@pytest.mark.parametrize("status", [Status.WAITING, Status.DESCRIBING])
def test_what_waits_is_stuck_when_nothing_happened_to_it_for_long(status: Status) -> None:
    record = replace(RECORD, status=status)
    assert judge(LISTED, record, SINCE) is Verdict.STUCK
    assert judge(LISTED, replace(record, updated_at=LATER), SINCE) is Verdict.UNDERWAY
    assert judge(LISTED, replace(record, waiting_until=LATER), SINCE) is Verdict.UNDERWAY


@pytest.mark.parametrize("status", [Status.DESCRIBED, Status.REJECTED, Status.SKIPPED])
def test_an_image_that_came_to_its_end_is_well(status: Status) -> None:
    assert judge(LISTED, replace(RECORD, status=status), SINCE) is Verdict.WELL


def test_a_dead_image_is_told_as_such() -> None:
    assert judge(LISTED, replace(RECORD, status=Status.DEAD), SINCE) is Verdict.DEAD


hexadecimal = st.text("0123456789ABCDEF", min_size=16, max_size=18)


@given(hexadecimal, hexadecimal)
def test_a_made_event_is_later_than_its_record_and_earlier_than_any_real_one_after_it(one: str, other: str) -> None:
    earlier, later = sorted((one, other))
    made = sequencer_after(earlier)
    assert earlier < made
    # S3 pads the shorter one with zeros to compare: two that differ by nothing else are the same.
    if earlier.rstrip("0") != later.rstrip("0"):
        assert made < later


@given(hexadecimal)
def test_a_made_event_for_what_has_no_record_is_earlier_than_any_real_one(real: str) -> None:
    # S3's own are sixteen digits and more, so that none of them is "0" alone.
    assert sequencer_after(None) < real
