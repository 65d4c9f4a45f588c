"""Which objects a job takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imagescribe.backfill.selection import Only, Recorded, Selection
from imagescribe.model.listing import Listed
from imagescribe.model.record import Status

LISTED = Listed("cat.png", "e1", 100, "2026-11-20T12:00:00.000Z")
RECORDS = {
    "missing": None,
    "stale": Recorded("e0", Status.DESCRIBED, "00A1", "2026-11-01"),
    **{str(status): Recorded("e1", status, "00A1", "2026-11-01") for status in Status},
}


def taken(selection: Selection) -> set[str]:
    return {name for name, record in RECORDS.items() if selection.takes(LISTED, record)}


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ("", {"missing", "stale"}),
        (Only.MISSING, {"missing"}),
        (Only.STALE, {"stale"}),
        (Only.FAILED, {"rejected", "dead"}),
        (Only.SKIPPED, {"skipped"}),
    ],
)
def test_a_job_takes_what_has_no_description_unless_it_is_narrowed(only: str, expected: set[str]) -> None:
    assert taken(Selection(only=only)) == expected


def test_what_was_described_before_a_day_is_described_again_and_nothing_else() -> None:
    assert taken(Selection(described_before="2026-11-02")) == {"described"}
    assert taken(Selection(described_before="2026-11-01")) == set()


def test_what_another_model_described_is_described_again_and_what_this_one_did_is_not() -> None:
    selection = Selection(described_before="2026-11-02", not_by="new")
    by = {model: Recorded("e1", Status.DESCRIBED, "00A1", "2026-11-01", model) for model in ("", "old", "new")}
    assert [model for model, record in by.items() if selection.takes(LISTED, record)] == ["", "old"]
    later = Recorded("e1", Status.DESCRIBED, "00A1", "2026-11-03", "old")
    assert not selection.takes(LISTED, later)


def test_what_was_modified_before_a_day_is_left_out() -> None:
    assert Selection(since="2026-11-20").takes(LISTED, None)
    assert not Selection(since="2026-11-21").takes(LISTED, None)


def test_a_folder_of_the_console_is_never_taken() -> None:
    assert not Selection().takes(replace(LISTED, key="a/", size=0), None)


def test_an_object_of_which_only_the_key_is_known_has_to_be_looked_at() -> None:
    unknown = Listed("cat.png", "", -1, "")
    assert Selection(since="2026-11-21", only=Only.FAILED).may_take(unknown, None)
    assert not Selection(only=Only.STALE).may_take(LISTED, None)
