"""An image that is described has its labels in its record, on its object and in its event; a person's tags stay."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from imagescribe.model.events import Upload
from imagescribe.model.tags import TagState
from tests.factories import make_picture
from tests.unit.fake_endpoint import Reply
from tests.unit.stage import Stage

PICTURE = make_picture("navy")
KEY = "holiday/sea.png"
LABELS = "beach, #boat=ship|vessel|yacht, person=man|woman|child"


def answer(prompt: str) -> Reply:
    return Reply(200, json.dumps({"descriptions": [{"text": prompt}]}))


def describe(stage: Stage, prompt: str = "Two ships before a beach", tags: dict[str, str] | None = None) -> Upload:
    stage.endpoint.says(answer(prompt))
    upload = stage.store(KEY, PICTURE)
    if tags:
        tag(stage, tags)
    stage.tell(upload)
    stage.settle()
    return upload


def tag(stage: Stage, tags: dict[str, str]) -> None:
    tag_set = [{"Key": name, "Value": value} for name, value in tags.items()]
    stage.s3.client.put_object_tagging(Bucket=stage.bucket, Key=KEY, Tagging={"TagSet": tag_set})


def labels_announced(stage: Stage) -> list[Any]:
    return [each["detail"]["labels"] for each in stage.bus.client.events if each["detail-type"] == "Image Described"]


def describe_again(stage: Stage, upload: Upload) -> None:
    """Let a later event of the same object come: its content is paid for."""
    again = replace(upload, sequencer=stage.next_sequencer())
    stage.tell(again)
    stage.settle()


def test_labels_are_recorded_written_as_tags_and_announced(stage: Stage) -> None:
    stage.labels = LABELS
    upload = describe(stage, tags={"album": "summer"})
    record = stage.standing(upload)
    assert record["labels"] == {"beach", "boat"}
    assert stage.tags(upload) == {
        "album": "summer",
        "prompt": "Two ships before a beach",
        "labels": "beach boat",
        "label:boat": "yes",
    }
    assert record["label_tags"] == {"labels": "beach boat", "label:boat": "yes"}
    assert labels_announced(stage) == [["beach", "boat"]]


def test_a_prompt_without_any_label_leaves_no_tag(stage: Stage) -> None:
    stage.labels = LABELS
    upload = describe(stage, "A lighthouse")
    assert stage.standing(upload)["labels"] is None
    assert set(stage.tags(upload)) == {"prompt"}
    assert labels_announced(stage) == [[]]


def test_without_a_vocabulary_nothing_is_said_of_labels(stage: Stage) -> None:
    upload = describe(stage, tags={"labels": "boat", "label:boat": "yes"})
    assert stage.standing(upload)["labels"] is None
    assert "label_tags" not in stage.standing(upload)
    assert stage.tags(upload).keys() == {"prompt", "labels", "label:boat"}


@pytest.mark.parametrize("theirs", ["regatta", "beach boat dog", ""])
def test_a_tag_of_labels_that_a_person_set_is_kept(stage: Stage, theirs: str) -> None:
    stage.labels = LABELS
    upload = describe(stage, tags={"labels": theirs, "label:boat": "no"})
    assert stage.tags(upload) == {"labels": theirs, "label:boat": "no", "prompt": "Two ships before a beach"}
    record = stage.standing(upload)
    assert record["labels"] == {"beach", "boat"}
    assert not record.get("label_tags")


def test_a_correction_by_a_person_outlives_a_new_vocabulary_and_another_description(stage: Stage) -> None:
    stage.labels = LABELS
    upload = describe(stage)
    tag(stage, {"labels": "beach", "label:boat": "no"})
    stage.labels = LABELS + ", sea=beach"
    describe_again(stage, upload)
    assert stage.tags(upload).items() >= {"labels": "beach", "label:boat": "no"}.items()


def test_our_own_tags_follow_the_vocabulary_when_it_is_described_again(stage: Stage) -> None:
    stage.labels = LABELS
    upload = describe(stage)
    stage.labels = "#beach, pair=two"
    describe_again(stage, upload)
    assert stage.tags(upload) == {
        "prompt": "Two ships before a beach",
        "labels": "beach pair",
        "label:beach": "yes",
    }
    assert stage.standing(upload)["labels"] == {"beach", "pair"}
    assert stage.endpoint.paid.total() == 1


def test_our_tags_are_known_as_ours_after_a_wait_too(stage: Stage) -> None:
    stage.labels = LABELS
    describe(stage)
    # The same key with other content, which waits once before it is described; its tags came along.
    other = stage.store(KEY, make_picture("olive"))
    tag(stage, {"labels": "beach boat", "label:boat": "yes"})
    stage.endpoint.says(Reply(503, ""), answer("A woman on a beach"))
    stage.tell(other)
    stage.settle()
    assert stage.tags(other) == {"prompt": "A woman on a beach", "labels": "beach person"}


def test_a_copy_gets_the_labels_of_the_vocabulary_as_it_is_when_it_is_recorded(stage: Stage) -> None:
    stage.labels = "boat=ship"
    describe(stage)
    stage.labels = "pair=two"
    copy = stage.upload(PICTURE)
    stage.settle()
    assert stage.endpoint.paid.total() == 1
    assert stage.standing(copy)["labels"] == {"pair"}
    assert stage.tags(copy)["labels"] == "pair"


def test_labels_go_with_the_prompt(stage: Stage) -> None:
    stage.labels = LABELS
    describe(stage)
    other = stage.upload(b"plain text", KEY)
    stage.settle()
    assert stage.standing(other)["status"] == "skipped"
    assert stage.standing(other)["labels"] is None


def test_where_tags_are_off_labels_are_recorded(stage: Stage) -> None:
    stage.labels = LABELS
    stage.cold_start(prompt_tag_key="")
    upload = describe(stage)
    assert stage.tags(upload) == {}
    assert stage.standing(upload)["labels"] == {"beach", "boat"}
    assert stage.standing(upload)["tags"] == "off"


@pytest.mark.parametrize("is_done_at_once", [True, False])
def test_an_overwrite_while_the_tags_are_written_leaves_no_labels_of_the_old_picture_on_the_new(
    stage: Stage, is_done_at_once: bool
) -> None:
    stage.labels = LABELS
    new: list[Upload] = []

    def overwrite(_parameters: object) -> None:
        del stage.s3.before["put_object_tagging"]
        new.append(stage.store(KEY, make_picture("olive")))
        stage.pipeline.catalog.open(new[0])
        if is_done_at_once:  # by another invocation
            stage.pipeline.catalog.describe(
                new[0], "2026-11-02T09:15:04.000Z", "A woman", TagState.WRITTEN, 0, labels={"person"}
            )

    stage.s3.before["put_object_tagging"] = overwrite
    describe(stage)
    stage.endpoint.says(answer("A woman"))
    stage.tell(new[0])
    stage.settle()
    assert stage.standing(new[0])["labels"] == {"person"}
    assert stage.tags(new[0]) == {"prompt": "A woman", "labels": "person"}
