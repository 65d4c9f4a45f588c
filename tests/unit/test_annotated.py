"""An image that is described is annotated before its record says so, and nothing is paid twice for that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from imagescribe.model.events import Upload
from imagescribe.model.tags import TagState
from tests.factories import make_picture
from tests.unit.stage import Stage, throttled

PICTURE = make_picture("maroon")


@dataclass
class Notes:
    """Keeps annotations; answers what it is told to, the last of it for good."""

    answers: list[TagState | Exception | None] = field(default_factory=lambda: [TagState.WRITTEN])
    written: dict[str, Any] = field(default_factory=dict)

    def write(self, upload: Upload, prompt: str, model: str | None, described_at: str) -> TagState | None:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if answer is TagState.WRITTEN:
            self.written[upload.image] = {"prompt": prompt, "model": model, "described_at": described_at}
        return answer


def describe(stage: Stage, *answers: TagState | Exception | None) -> tuple[Upload, Notes]:
    notes = stage.annotations = Notes(list(answers))
    stage.cold_start()
    upload = stage.upload(PICTURE)
    stage.settle()
    return upload, notes


def test_an_annotation_says_what_the_record_says(stage: Stage) -> None:
    upload, notes = describe(stage, TagState.WRITTEN)
    record = stage.standing(upload)
    assert record["annotation"] == "written"
    assert notes.written == {
        upload.image: {name: record[name] for name in ("prompt", "model", "described_at")},
    }


def test_none_is_written_where_that_is_off(stage: Stage) -> None:
    upload = stage.upload(PICTURE)
    stage.settle()
    assert stage.standing(upload)["annotation"] == "off"


@pytest.mark.parametrize("state", [TagState.DENIED, TagState.FULL])
def test_an_annotation_that_s3_refuses_is_recorded_and_the_prompt_is_safe(stage: Stage, state: TagState) -> None:
    upload, _ = describe(stage, state)
    record = stage.standing(upload)
    assert (record["status"], record["annotation"]) == ("described", state)
    assert record["prompt"]


def test_an_annotation_that_can_not_be_written_now_is_written_later_without_another_call(stage: Stage) -> None:
    upload, notes = describe(stage, throttled(), throttled(), TagState.WRITTEN)
    assert stage.standing(upload)["annotation"] == "written"
    assert set(notes.written) == {upload.image}
    assert stage.endpoint.paid.total() == 1
    assert stage.ends(upload) == ["Described"]


def test_an_object_that_is_another_one_by_then_is_left_to_its_own_event(stage: Stage) -> None:
    upload, _ = describe(stage, None)
    assert stage.record(upload) is None
    assert stage.ends(upload) == ["Removed"]
    assert stage.endpoint.paid.total() == 1
