"""Uploads that are overwritten or deleted before, during and after their call: records and tags follow the bucket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from imagescribe.model.events import Deletion, Upload
from imagescribe.model.outcomes import Deferred
from imagescribe.model.tags import OurTags, TagState
from imagescribe.pipeline import FRESH_SECONDS_FOR_TAGS
from tests.factories import eventbridge_body, make_picture
from tests.unit import stages
from tests.unit.fake_endpoint import Reply, prompt_of
from tests.unit.stage import Stage

KEY = "pets/cat and dog+é.png"
OLD, NEW = make_picture("navy"), make_picture("gold")


@pytest.fixture
def keeping_versions() -> Iterator[Stage]:
    with stages.in_memory_stage(versioned=True) as stage:
        yield stage


@pytest.fixture(params=["overwritten in place", "with versions"])
def either(request: pytest.FixtureRequest) -> Iterator[Stage]:
    with stages.in_memory_stage(versioned=request.param == "with versions") as stage:
        yield stage


def assert_described(stage: Stage, upload: Upload, picture: bytes, *, since: Upload | Deletion | None = None) -> None:
    record = stage.record(upload)
    assert record is not None
    assert (record["status"], record["prompt"]) == ("described", prompt_of(picture))
    assert (record["etag"], record["version_id"]) == (upload.etag, upload.version_id)
    assert record["sequencer"] == (since or upload).sequencer
    assert stage.tags(upload) == {"prompt": prompt_of(picture)}


def once(act: Callable[[], object]) -> Callable[..., None]:
    """What happens the first time only."""
    times = iter([act])
    return lambda *_anything: None if (now := next(times, None)) is None else _call(now)


def _call(act: Callable[[], object]) -> None:
    act()


# ── Overwritten ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", ["in order", "the new one first"])
def test_an_upload_that_was_overwritten_before_its_turn_is_not_paid_for(either: Stage, order: str) -> None:
    old = either.store(KEY, OLD)
    new = either.store(KEY, NEW)
    either.tell(*([old, new] if order == "in order" else [new, old]))
    either.settle()
    assert_described(either, new, NEW)
    assert either.endpoint.paid.total() == 1
    assert either.announced() == [(new.image, prompt_of(NEW))]


def test_an_event_that_comes_late_does_not_take_back_what_a_newer_one_wrote(stage: Stage) -> None:
    first = stage.store(KEY, OLD)
    stage.store(KEY, NEW)
    last = stage.upload(OLD, KEY)  # the first picture again
    stage.settle()
    stage.tell(first)
    stage.settle()
    assert_described(stage, last, OLD)
    assert stage.endpoint.paid.total() == 1
    assert len(stage.announced()) == 1


@pytest.mark.parametrize("moment", ["before_look", "after_look"])
def test_a_picture_overwritten_during_the_call_never_gets_the_old_prompt(stage: Stage, moment: str) -> None:
    old = stage.upload(OLD, KEY)
    new: list[Upload] = []
    setattr(stage.endpoint, moment, once(lambda: new.append(stage.upload(NEW, KEY))))
    assert stage.invoke() == 1
    record = stage.record(old)
    assert record is None or record["prompt"] is None
    assert stage.tags(old) == {}
    unsaved = stage.paid(old)
    assert unsaved is not None
    assert "body" not in unsaved  # nobody knows which picture was described, but something was paid for
    assert "holder" not in unsaved

    stage.settle()
    assert_described(stage, new[0], NEW)


def test_a_version_that_is_overwritten_during_its_call_is_kept_in_the_ledger_and_not_in_the_catalog(
    keeping_versions: Stage,
) -> None:
    stage = keeping_versions
    old = stage.upload(OLD, KEY)
    new: list[Upload] = []
    stage.endpoint.before_look = once(lambda: new.append(stage.upload(NEW, KEY)))
    stage.settle()
    assert_described(stage, new[0], NEW)
    assert stage.paid(old) is not None
    assert stage.endpoint.paid.total() == 2

    deletion = stage.remove(new[0], version_id=new[0].version_id)
    stage.tell(deletion)
    stage.settle()
    assert_described(stage, old, OLD, since=deletion)
    assert stage.endpoint.paid.total() == 2


@pytest.mark.parametrize("is_done_at_once", [True, False])
def test_an_overwrite_while_the_answer_is_being_saved_never_puts_the_old_prompt_on_the_new_picture(
    stage: Stage, is_done_at_once: bool
) -> None:
    stage.upload(OLD, KEY)
    new: list[Upload] = []

    def overwrite() -> None:
        stage.clock.sleep(FRESH_SECONDS_FOR_TAGS + 0.1)
        new.append(stage.store(KEY, NEW))
        if is_done_at_once:  # by another invocation, while this one still waits for its table
            prompt = prompt_of(NEW)
            stage.pipeline.catalog.open(new[0])
            stage.pipeline.objects.tag(new[0], OurTags({"prompt": prompt}))
            stage.pipeline.catalog.describe(new[0], "2026-11-02T09:15:04.000Z", prompt, TagState.WRITTEN, 0)

    save = once(overwrite)
    stage.dynamodb.before["update_item"] = lambda parameters: (
        save() if ":set_body" in parameters["ExpressionAttributeValues"] else None
    )
    stage.drain()
    assert stage.tags(new[0]).get("prompt") in (None, prompt_of(NEW))
    stage.tell(new[0])
    stage.settle()
    assert_described(stage, new[0], NEW)


def test_an_overwrite_while_the_old_tag_is_being_written_is_put_right_where_the_new_picture_was_done_first(
    stage: Stage,
) -> None:
    stage.upload(OLD, KEY)
    new: list[Upload] = []

    def overwrite_and_have_it_done() -> None:
        new.append(stage.upload(NEW, KEY))
        stage.invoke()

    # S3 can't be told to write tags only if the object is still the same, so this is the one moment that is left.
    stage.s3.before["get_object_tagging"] = once(overwrite_and_have_it_done)
    stage.settle()
    assert_described(stage, new[0], NEW)
    assert stage.announced() == [(new[0].image, prompt_of(NEW))]


def test_an_upload_that_is_overwritten_while_it_waits_for_the_start_of_its_call_is_not_paid_for(
    either: Stage,
) -> None:
    either.upload(OLD, KEY)
    new: list[Upload] = []

    def overwrite_meanwhile() -> None:
        either.clock.sleep(3)
        new.append(either.upload(NEW, KEY))

    claim = once(overwrite_meanwhile)
    either.dynamodb.before["update_item"] = lambda parameters: (
        claim() if ":set_lease_until" in parameters["ExpressionAttributeValues"] else None
    )
    assert either.invoke() == 1
    assert either.endpoint.calls == []
    assert either.throttle_state().budget.spent_usd == 0
    either.settle()
    assert_described(either, new[0], NEW)
    assert either.endpoint.paid.total() == 1


def test_an_overwrite_while_its_image_waits_ends_the_waiting(stage: Stage) -> None:
    stage.upload(OLD, KEY)
    stage.endpoint.says(503)
    stage.drain()
    new = stage.upload(NEW, KEY)
    stage.settle()
    assert_described(stage, new, NEW)
    assert stage.endpoint.paid.total() == 1


@pytest.mark.parametrize("refusal", [429, 503, 400, 401])
def test_a_refusal_of_a_superseded_upload_is_not_written_to_the_new_ones_record(
    keeping_versions: Stage, refusal: int
) -> None:
    stage = keeping_versions
    stage.upload(OLD, KEY)
    stage.endpoint.says(refusal)
    new: list[Upload] = []

    def replace() -> None:
        new.append(stage.upload(NEW, KEY))
        stage.pipeline.catalog.open(new[0])  # another invocation has it already

    stage.endpoint.before_look = once(replace)
    stage.invoke()
    record = stage.record(new[0])
    assert record is not None
    assert (record["status"], record["error"]) == ("describing", None)
    stage.settle()
    assert_described(stage, new[0], NEW)
    assert stage.take_dead_letters() == []


# ── Deleted ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("order", ["in order", "the deletion first"])
def test_an_upload_that_was_deleted_before_its_turn_costs_nothing_and_leaves_no_record(
    either: Stage, order: str
) -> None:
    upload = either.store(KEY, OLD)
    deletion = either.remove(upload)
    first, second = (upload, deletion) if order == "in order" else (deletion, upload)
    either.tell(first, second)
    either.settle()
    assert either.endpoint.calls == []
    assert either.record(upload) is None
    assert either.take_dead_letters() == []


@pytest.mark.parametrize("moment", ["before_look", "after_look"])
def test_an_upload_that_is_deleted_during_its_call_leaves_no_record(either: Stage, moment: str) -> None:
    upload = either.upload(OLD, KEY)
    setattr(either.endpoint, moment, once(lambda: either.tell(either.remove(upload))))
    either.settle()
    assert either.record(upload) is None
    assert either.take_dead_letters() == []


def test_an_upload_that_is_deleted_after_its_call_has_no_record_any_more(either: Stage) -> None:
    upload = either.upload(OLD, KEY)
    either.settle()
    assert either.record(upload) is not None
    either.tell(either.remove(upload))
    either.settle()
    assert either.record(upload) is None


def test_a_deletion_that_is_told_between_the_look_and_the_record_leaves_no_record(either: Stage) -> None:
    upload = either.upload(OLD, KEY)

    def delete_and_have_it_done() -> None:
        deletion = either.remove(upload)
        either.pipeline.catalog.remove(deletion)  # by another invocation

    begin = once(delete_and_have_it_done)
    either.dynamodb.before["update_item"] = lambda parameters: (
        begin() if parameters["TableName"] == either.catalog_table else None
    )
    either.settle()
    assert either.record(upload) is None
    assert either.announced() == []


def test_what_is_overwritten_while_it_waits_for_another_start_is_not_paid_for(either: Stage) -> None:
    either.upload(OLD, KEY)
    either.endpoint.says(Reply(429, headers={"retry-after": "3"}))
    newer = []
    either.endpoint.after_look = once(lambda: newer.append(either.store(KEY, NEW)))
    either.settle()
    assert len(either.endpoint.calls) == 1
    assert either.throttle_state().budget.spent_usd == 0
    either.tell(*newer)
    either.settle()
    assert_described(either, newer[0], NEW)
    assert either.endpoint.paid.total() == 1


# ── Noncurrent versions ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("expired", [False, True], ids=["deleted", "expired"])
@pytest.mark.parametrize("status", ["described", "rejected", "waiting"])
def test_a_noncurrent_version_that_goes_changes_nothing_about_the_current_record(
    keeping_versions: Stage, status: str, expired: bool
) -> None:
    stage = keeping_versions
    old = stage.upload(OLD, KEY)
    stage.settle()
    if status != "described":
        stage.endpoint.says(400 if status == "rejected" else 503)
    new = stage.upload(NEW, KEY)
    stage.drain()
    before, calls, events = stage.standing(new), len(stage.endpoint.calls), len(stage.announced())
    assert before["status"] == status
    stage.dynamodb.heard.clear()
    stage.s3.heard.clear()

    gone = stage.remove(old, version_id=old.version_id)
    body = json.loads(eventbridge_body(gone))
    body["detail"] |= {"deletion-type": "Permanently Deleted", "version-id": old.version_id}
    body["detail"]["reason"] = "Lifecycle Expiration" if expired else "DeleteObject"
    stage.send(json.dumps(body))
    stage.drain()
    assert stage.standing(new) == before
    assert {name for name, _ in stage.dynamodb.heard} == {"batch_get_item"}
    assert {name for name, _ in stage.s3.heard} == {"get_object"}
    assert (len(stage.endpoint.calls), len(stage.announced())) == (calls, events)


def test_a_version_that_becomes_current_again_is_described_even_if_its_deletion_comes_twice(
    keeping_versions: Stage,
) -> None:
    stage = keeping_versions
    old = stage.upload(OLD, KEY)
    stage.settle()
    new = stage.upload(NEW, KEY)
    stage.settle()
    deletion = stage.remove(new, version_id=new.version_id)
    stage.endpoint.says(503)
    stage.pipeline.catalog.open(  # its first delivery ended before it was done
        replace(old, sequencer=deletion.sequencer), Deferred(stage.clock.now, "503: down")
    )
    stage.tell(deletion, deletion)
    stage.settle()
    assert_described(stage, old, OLD, since=deletion)


def test_an_upload_that_was_deleted_while_it_waited_leaves_no_record(either: Stage) -> None:
    upload = either.upload(OLD, KEY)
    either.endpoint.says(503)
    either.drain()
    either.tell(either.remove(upload))
    either.settle()
    assert either.record(upload) is None
    assert either.endpoint.paid.total() == 0


def test_a_picture_that_is_deleted_and_uploaded_again_is_described_and_paid_for_once(either: Stage) -> None:
    first = either.upload(OLD, KEY)
    either.settle()
    deletion = either.remove(first)
    again = either.store(KEY, OLD)
    either.tell(again, deletion)
    either.settle()
    assert_described(either, again, OLD)
    assert either.endpoint.paid.total() == 1


def test_a_deletion_leaves_what_was_uploaded_after_it_to_its_own_event(stage: Stage) -> None:
    first = stage.upload(OLD, KEY)
    stage.settle()
    deletion = stage.remove(first)
    again = stage.store(KEY, NEW)
    stage.tell(deletion)
    stage.settle()
    assert stage.announced() == [(first.image, prompt_of(OLD))]
    stage.tell(again)
    stage.settle()
    assert_described(stage, again, NEW)


def test_a_deletion_that_comes_again_does_not_mix_up_what_it_uncovered_with_what_is_there_by_now(
    keeping_versions: Stage,
) -> None:
    stage = keeping_versions
    old = stage.store(KEY, OLD)
    covering = stage.store(KEY, NEW)
    deletion = stage.remove(covering, version_id=covering.version_id)
    stage.tell(deletion)
    stage.endpoint.says(503)
    stage.drain()  # it waits for another try
    newest = stage.store(KEY, NEW)
    stage.settle()
    record = stage.record(old)
    assert record is not None
    assert (record["etag"], record["prompt"]) == (old.etag, None)
    stage.tell(newest)
    stage.settle()
    assert_described(stage, newest, NEW)


def test_the_deletion_of_a_version_gives_the_one_that_it_uncovers_its_record_back(keeping_versions: Stage) -> None:
    stage = keeping_versions
    old = stage.upload(OLD, KEY)
    stage.settle()
    new = stage.upload(NEW, KEY)
    stage.settle()
    deletion = stage.remove(new, version_id=new.version_id)
    stage.tell(deletion)
    stage.settle()
    assert_described(stage, old, OLD, since=deletion)
    assert stage.endpoint.paid.total() == 2


def test_the_deletion_of_a_version_describes_the_one_that_it_uncovers_if_nobody_has(keeping_versions: Stage) -> None:
    stage = keeping_versions
    old = stage.store(KEY, OLD)
    new = stage.upload(NEW, KEY)
    stage.settle()
    deletion = stage.remove(new, version_id=new.version_id)
    stage.tell(deletion, old)
    stage.settle()
    assert_described(stage, old, OLD, since=deletion)
    assert stage.endpoint.paid.total() == 2


def test_the_deletion_of_a_delete_marker_brings_the_record_back(keeping_versions: Stage) -> None:
    stage = keeping_versions
    upload = stage.upload(OLD, KEY)
    stage.settle()
    stage.tell(stage.remove(upload))
    stage.settle()
    assert stage.record(upload) is None
    marker = stage.s3.client.stacks[stage.bucket, KEY][-1].version_id
    deletion = stage.remove(upload, version_id=marker)
    stage.tell(deletion)
    stage.settle()
    assert_described(stage, upload, OLD, since=deletion)
    assert stage.endpoint.paid.total() == 1


# ── Not images ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_folder_of_the_console_has_no_record(stage: Stage) -> None:
    folder = stage.upload(b"", "pets/")
    stage.settle()
    assert stage.record(folder) is None
    assert stage.endpoint.calls == []


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "the object is empty"),
        (b"plain text, whatever its suffix says", "not an image of a known kind (by its first bytes)"),
        (b"%PDF-1.7\n", "PDF is a document"),
        (b"GIF89a" + b"\0" * 100, "its header is broken"),
    ],
)
def test_what_the_endpoint_would_not_take_is_skipped_with_the_reason_and_costs_nothing(
    stage: Stage, content: bytes, error: str
) -> None:
    upload = stage.upload(content, "cat.jpg")
    stage.settle()
    record = stage.record(upload)
    assert record is not None
    assert record["status"] == "skipped"
    assert error in record["error"]
    assert stage.endpoint.calls == []
    assert stage.take_dead_letters() == []

    stage.tell(upload)
    stage.settle()
    assert stage.record(upload) == record
