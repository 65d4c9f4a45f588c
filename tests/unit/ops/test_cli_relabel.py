"""Relabel: the vocabulary as it is now, applied to what is described; what changed, and a person's tags, stay."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner, Result

from imagescribe.aws.s3 import Objects
from imagescribe.model.events import Upload
from imagescribe.model.labels import Vocabulary
from imagescribe.model.record import Opened, Status
from imagescribe.model.tags import OurTags, TagState, tag_value
from imagescribe.stores.catalog import Catalog
from imagescribe.stores.dynamodb import get
from imagescribe_ops.commands.main import app
from tests.unit.stack_in_moto import StackInMoto

pytestmark = pytest.mark.usefixtures("lent_clients")

LABELS = "beach, #boat=ship|vessel"


def run(*arguments: str, ends_with: int = 0) -> Result:
    result = CliRunner().invoke(app, ["relabel", *arguments], catch_exceptions=False)
    assert result.exit_code == ends_with, result.output
    return result


def report(*arguments: str, ends_with: int = 0) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run(*arguments, "--json", ends_with=ends_with).stdout)
    return answer


def describe(stack: StackInMoto, key: str, prompt: str, written: str = "", **changes: Any) -> Upload:
    """Describe an image as the function does that knows the vocabulary as it is written."""
    upload = stack.put(key, **changes)
    vocabulary = Vocabulary.parse(written)
    labels = vocabulary.labels_of(prompt)
    assert isinstance(stack.catalog.open(upload), Opened)
    ours = OurTags({"prompt": tag_value(prompt)}, vocabulary.tags(labels))
    tagging = Objects(stack.s3).tag(upload, ours)
    assert tagging
    stack.catalog.describe(
        upload, upload.uploaded_at, prompt, TagState.WRITTEN, 0, labels=labels, label_tags=tagging.labels or None
    )
    return upload


def record(stack: StackInMoto, upload: Upload) -> dict[str, Any]:
    found = get(stack.dynamodb, stack.outputs["CatalogTableName"], {"image": upload.image})
    assert found
    return found


def tags(stack: StackInMoto, upload: Upload) -> dict[str, str]:
    answer = stack.s3.get_object_tagging(Bucket=upload.bucket, Key=upload.key)
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


def set_tags(stack: StackInMoto, upload: Upload, tags: dict[str, str]) -> None:
    tag_set: Any = [{"Key": name, "Value": value} for name, value in tags.items()]
    stack.s3.put_object_tagging(Bucket=upload.bucket, Key=upload.key, Tagging={"TagSet": tag_set})


def test_what_was_described_before_there_were_labels_gets_them(deployed: StackInMoto) -> None:
    deployed.parameters["Labels"] = LABELS
    boat, cat = describe(deployed, "boat.png", "A ship at a beach"), describe(deployed, "cat.png", "A cat")
    before = record(deployed, boat)
    assert report() == {
        "complete": True,
        "dry_run": False,
        "described": 2,
        "changed": 1,
        "unchanged": 1,
        "left_alone": 0,
        "labels": {"beach": 1, "boat": 1},
        "gained": {"beach": 1, "boat": 1},
        "lost": {},
        "tags": {"written": 1},
        "annotations": {},
    }
    assert tags(deployed, boat) == {"prompt": "A ship at a beach", "labels": "beach boat", "label:boat": "yes"}
    assert tags(deployed, cat) == {"prompt": "A cat"}
    changes = {"labels": {"beach", "boat"}, "label_tags": {"labels": "beach boat", "label:boat": "yes"}}
    # It was not described anew: whoever asks what was described since is not told of it.
    assert record(deployed, boat) == before | changes


def test_a_second_run_changes_nothing_and_asks_s3_for_nothing(deployed: StackInMoto) -> None:
    deployed.parameters["Labels"] = LABELS
    describe(deployed, "boat.png", "A ship at a beach")
    run()
    with patch.object(Objects, "head") as head, patch.object(Objects, "tag") as tag:
        assert report()["unchanged"] == 1
    assert not head.called
    assert not tag.called


def test_a_label_that_is_no_more_goes_with_its_tags(deployed: StackInMoto) -> None:
    upload = describe(deployed, "boat.png", "A ship at a beach", LABELS)
    deployed.parameters["Labels"] = "beach, harbour=ship"
    told = report()
    assert told["lost"] == {"boat": 1}
    assert told["gained"] == {"harbour": 1}
    assert tags(deployed, upload) == {"prompt": "A ship at a beach", "labels": "beach harbour"}


def test_a_mark_alone_changes_the_tags(deployed: StackInMoto) -> None:
    upload = describe(deployed, "boat.png", "A ship", "boat=ship")
    deployed.parameters["Labels"] = "#boat=ship"
    run()
    assert tags(deployed, upload)["label:boat"] == "yes"
    deployed.parameters["Labels"] = "boat=ship"
    run()
    assert tags(deployed, upload) == {"prompt": "A ship", "labels": "boat"}


def test_a_tag_that_a_person_set_or_corrected_is_kept(deployed: StackInMoto) -> None:
    theirs, corrected = describe(deployed, "a.png", "A ship"), describe(deployed, "b.png", "A ship", LABELS)
    set_tags(deployed, theirs, {"labels": "regatta", "label:boat": "no"})
    set_tags(deployed, corrected, {"labels": "ferry"})
    deployed.parameters["Labels"] = LABELS + ", vehicle=ship"
    told = report()
    assert told["tags"] == {"kept": 2}
    assert tags(deployed, theirs) == {"labels": "regatta", "label:boat": "no"}
    assert tags(deployed, corrected) == {"labels": "ferry", "label:boat": "yes"}
    assert record(deployed, theirs)["labels"] == record(deployed, corrected)["labels"] == {"boat", "vehicle"}
    assert "a person set" in run().stdout


def test_an_object_that_changed_is_left_alone_with_its_record(deployed: StackInMoto) -> None:
    deployed.parameters["Labels"] = LABELS
    upload, gone = describe(deployed, "a.png", "A ship"), describe(deployed, "b.png", "A ship")
    deployed.s3.put_object(Bucket=deployed.bucket, Key=upload.key, Body=b"another picture", Tagging="album=garden")
    deployed.s3.delete_object(Bucket=deployed.bucket, Key=gone.key)
    told = report()
    assert (told["left_alone"], told["changed"], told["labels"]) == (2, 0, {})
    assert tags(deployed, upload) == {"album": "garden"}
    assert record(deployed, upload)["labels"] is None


def test_a_record_that_changes_while_its_object_is_tagged_is_left_alone(deployed: StackInMoto) -> None:
    deployed.parameters["Labels"] = LABELS
    upload = describe(deployed, "a.png", "A ship")
    tag, overtakings = Objects.tag, list[int]()

    def overtaken(*arguments: Any) -> Any:
        if len(overtakings) == 1:
            return tag(*arguments)
        overtakings.append(1)
        deployed.clock.sleep(1)
        later = deployed.put("a.png", sequencer="FF")
        set_tags(deployed, later, {"album": "garden"})
        deployed.catalog.open(later)
        deployed.catalog.describe(later, later.uploaded_at, "A dog", TagState.WRITTEN, 0)
        return tag(*arguments)

    with patch.object(Objects, "tag", overtaken):
        assert report()["left_alone"] == 1
    assert record(deployed, upload)["prompt"] == "A dog"
    assert record(deployed, upload)["labels"] is None
    assert tags(deployed, upload) == {"album": "garden"}  # what was put onto the new picture was taken away again


def test_a_dry_run_says_what_would_change_and_writes_nothing(deployed: StackInMoto) -> None:
    deployed.parameters["Labels"] = LABELS
    upload = describe(deployed, "boat.png", "A ship")
    before = record(deployed, upload), tags(deployed, upload)
    told = report("--dry-run")
    assert (told["changed"], told["dry_run"], told["gained"]) == (1, True, {"boat": 1})
    assert (record(deployed, upload), tags(deployed, upload)) == before
    assert "would change  1 of 1 images" in run("--dry-run").stdout


def test_only_what_is_described_under_the_prefix_is_looked_at(deployed: StackInMoto) -> None:
    deployed.parameters["Labels"] = LABELS
    inside, outside = describe(deployed, "in/a.png", "A ship"), describe(deployed, "out/a.png", "A ship")
    deployed.record(deployed.put("in/b.png"), Status.SKIPPED)
    assert report("--prefix", "in/")["described"] == 1
    assert record(deployed, inside)["labels"] == {"boat"}
    assert record(deployed, outside)["labels"] is None
    assert report("--prefix", f"s3://{deployed.bucket}/out/")["described"] == 1


def test_where_the_stack_writes_no_tags_only_the_catalog_changes(deployed: StackInMoto) -> None:
    deployed.parameters.update(Labels=LABELS, WriteTags="false")
    upload = describe(deployed, "boat.png", "A ship")
    assert report()["tags"] == {}
    assert tags(deployed, upload) == {"prompt": "A ship"}
    assert record(deployed, upload)["labels"] == {"boat"}
    assert report()["unchanged"] == 1


def test_full_sets_and_refused_ones_are_counted_and_tried_again_by_the_next_run(deployed: StackInMoto) -> None:
    deployed.parameters["Labels"] = LABELS
    upload = describe(deployed, "boat.png", "A ship")
    nine = {f"user-{number}": "theirs" for number in range(9)}
    set_tags(deployed, upload, nine)
    told = report()
    assert told["tags"] == {"full": 1}
    assert tags(deployed, upload) == nine | {"labels": "boat"}
    set_tags(deployed, upload, {"labels": "boat"})
    assert report()["tags"] == {"written": 1}
    assert tags(deployed, upload) == {"labels": "boat", "label:boat": "yes"}


def test_the_file_in_the_bucket_counts_too(deployed: StackInMoto) -> None:
    deployed.parameters.update(Labels="beach", LabelsKey="labels.txt")
    upload = describe(deployed, "boat.png", "A ship at a beach")
    assert "There is no file" in run(ends_with=1).output
    deployed.s3.put_object(Bucket=deployed.bucket, Key="labels.txt", Body=b"boat=ship\n")
    run()
    assert record(deployed, upload)["labels"] == {"beach", "boat"}
    deployed.s3.put_object(Bucket=deployed.bucket, Key="labels.txt", Body=b"two words\n")
    told = run(ends_with=1).output
    assert "'two words' does not begin with the name of a label" in told
    assert "LabelsKey" in told


def test_without_labels_nothing_happens_unless_it_is_told_to_clear_them(deployed: StackInMoto) -> None:
    upload = describe(deployed, "boat.png", "A ship", LABELS)
    told = run(ends_with=1).output
    assert "The stack has no labels" in told
    assert "--clear" in told
    assert report("--clear")["lost"] == {"boat": 1}
    assert record(deployed, upload)["labels"] is None
    assert tags(deployed, upload) == {"prompt": "A ship"}


@dataclass
class Notes:
    """Keeps annotations, or refuses them with a code."""

    code: str = ""
    written: dict[str, Any] = field(default_factory=dict)

    def put(self, **asked: Any) -> None:
        if self.code:
            error: Any = {"Error": {"Code": self.code}, "ResponseMetadata": {"HTTPStatusCode": 403}}
            raise ClientError(error, "PutObjectAnnotation")
        self.written[asked["Key"]] = asked


@pytest.fixture
def notes(deployed: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> Notes:
    """Of a stack that annotates, but has no labels."""
    deployed.parameters["WriteAnnotation"] = "true"
    notes = Notes()
    monkeypatch.setattr(deployed.s3, "put_object_annotation", notes.put)
    return notes


def test_what_was_described_before_objects_were_annotated_is_annotated(deployed: StackInMoto, notes: Notes) -> None:
    upload = describe(deployed, "boat.png", "A ship", LABELS)
    before = record(deployed, upload), tags(deployed, upload)
    assert report("--dry-run")["annotations"] == {"missing": 1}
    assert notes.written == {}
    told = report()
    assert (told["annotations"], told["changed"], told["lost"]) == ({"written": 1}, 0, {})
    asked = notes.written["boat.png"]
    assert (asked["AnnotationName"], asked["ObjectIfMatch"]) == ("imagescribe.prompt", f'"{upload.etag}"')
    assert json.loads(asked["AnnotationPayload"]) == {
        "prompt": "A ship",
        "model": None,
        "described_at": before[0]["described_at"],
    }
    assert record(deployed, upload) == before[0] | {"annotation": "written"}
    assert tags(deployed, upload) == before[1]
    notes.written.clear()
    assert report()["annotations"] == {}
    assert notes.written == {}


def test_labels_and_annotation_are_recorded_together(deployed: StackInMoto, notes: Notes) -> None:
    deployed.parameters["Labels"] = LABELS
    upload = describe(deployed, "boat.png", "A ship")
    told = report()
    assert (told["annotations"], told["tags"], told["changed"]) == ({"written": 1}, {"written": 1}, 1)
    found = record(deployed, upload)
    assert (found["annotation"], found["labels"]) == ("written", {"boat"})
    assert set(notes.written) == {"boat.png"}


def test_an_annotation_that_is_refused_is_recorded_and_tried_by_the_next_run(
    deployed: StackInMoto, notes: Notes
) -> None:
    upload = describe(deployed, "boat.png", "A ship")
    notes.code = "AccessDenied"
    assert report()["annotations"] == {"denied": 1}
    assert "annotations denied 1" in " ".join(run().stdout.split())
    assert record(deployed, upload)["annotation"] == "denied"
    notes.code = ""
    assert report()["annotations"] == {"written": 1}


def test_an_object_that_is_another_one_by_now_gets_no_annotation(deployed: StackInMoto, notes: Notes) -> None:
    upload = describe(deployed, "boat.png", "A ship")
    before = record(deployed, upload)
    notes.code = "PreconditionFailed"
    told = report()
    assert (told["left_alone"], told["annotations"]) == (1, {})
    assert record(deployed, upload) == before


def test_a_prompt_that_becomes_another_one_while_it_is_annotated_is_the_one_on_the_object(
    deployed: StackInMoto, notes: Notes
) -> None:
    upload = describe(deployed, "boat.png", "A ship")
    write = Catalog.relabel

    def overtaken(catalog: Catalog, *rest: Any) -> bool:
        deployed.clock.sleep(1)
        again = replace(upload, sequencer="FF")
        deployed.catalog.open(again)
        at = again.uploaded_at
        deployed.catalog.describe(again, at, "A dog", TagState.WRITTEN, 0, annotation=TagState.WRITTEN)
        return write(catalog, *rest)

    with patch.object(Catalog, "relabel", overtaken):
        assert report()["left_alone"] == 1
    assert json.loads(notes.written["boat.png"]["AnnotationPayload"])["prompt"] == "A dog"


def test_a_run_that_is_stopped_says_how_far_it_came_and_the_next_goes_on(deployed: StackInMoto) -> None:
    deployed.parameters["Labels"] = LABELS
    uploads = [describe(deployed, f"{number:03}.png", "A ship") for number in range(3)]
    write = Catalog.relabel
    written: list[str] = []

    def stopped(catalog: Catalog, upload: Upload, *rest: Any) -> bool:
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(upload.key)
        return write(catalog, upload, *rest)

    with patch.object(Catalog, "relabel", stopped), patch("imagescribe_ops.relabel.CHUNK", 1):
        result = run("--json", ends_with=130)
    told = json.loads(result.stdout)
    assert (told["complete"], told["changed"]) == (False, 2)
    assert "`imagescribe relabel` goes on" in result.stderr
    told = report()
    assert (told["changed"], told["unchanged"]) == (1, 2)
    assert all(record(deployed, each)["labels"] == {"boat"} for each in uploads)


def test_a_person_is_told_of_each_label(deployed: StackInMoto) -> None:
    describe(deployed, "a.png", "A ship", "boat=ship, sea=ship")
    describe(deployed, "b.png", "A vessel at a beach", "boat=ship, sea=ship")
    deployed.parameters["Labels"] = LABELS
    lines = [" ".join(line.split()) for line in run().stdout.splitlines()]
    assert lines == [
        "changed 2 of 2 images",
        "tags written 2",
        "beach 1 image (+1)",
        "boat 2 images (+1)",
        "sea 0 images (-1)",
    ]
