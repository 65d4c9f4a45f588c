"""The audit against moto: what it finds, what it sends and takes out, and that it harms nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from imagescribe.aws.s3 import Objects
from imagescribe.aws.sqs_batches import NotSentError
from imagescribe.model.events import Deletion, Upload, parse_body
from imagescribe.model.listing import Listed
from imagescribe.model.record import AlreadyFinal, Opened, Stale, Status
from imagescribe.model.tags import TagState
from imagescribe.model.times import iso_utc
from imagescribe.stores.dynamodb import get
from imagescribe_ops.audit import audit as module
from imagescribe_ops.audit import report as reports
from imagescribe_ops.audit.audit import Audit, TagCheck, described_prefix
from imagescribe_ops.audit.bucket import BucketView
from imagescribe_ops.audit.report import AuditReport
from imagescribe_ops.audit.verdicts import Verdict
from imagescribe_ops.catalog_view import CatalogView, ImageRecord
from imagescribe_ops.errors import OperationError
from tests.factories import eventbridge_body, make_picture, make_upload
from tests.unit.stack_in_moto import Clients, StackInMoto, make_stack

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import TagTypeDef

HOUR = 3600.0


@pytest.fixture(scope="module", autouse=True)
def _lent_clients(aws: boto3.Session) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        Clients.of_session(aws).lend(patch)
        yield


@pytest.fixture
def stack(aws: boto3.Session) -> StackInMoto:
    return in_time(make_stack(aws))


def in_time(stack: StackInMoto) -> StackInMoto:
    """Let the stack's clock show the time that moto writes on its objects, an hour later."""
    stack.put("now.png")
    (listed,) = stack.s3.list_objects_v2(Bucket=stack.bucket)["Contents"]
    stack.s3.delete_object(Bucket=stack.bucket, Key="now.png")
    stack.clock.now = listed["LastModified"].timestamp() + HOUR
    return stack


def run(
    stack: StackInMoto, prefix: str = "", limit: int = 0, *, repairs: bool = False, tags: TagCheck = TagCheck.NONE
) -> AuditReport:
    return Audit(stack.operations(), repairs, tags, random=Random(1)).run(prefix, limit)


def wrong(report: AuditReport) -> dict[str, str]:
    """Each image that something is wrong with, by key."""
    return {finding.image.split("/", 3)[3]: str(finding.verdict) for finding in report.findings}


def sent(stack: StackInMoto) -> dict[str, Upload]:
    events = [event for message in stack.sent_to_backfill() for event in parse_body(message.body)]
    return {event.key: event for event in events if isinstance(event, Upload)}


# ── What it finds ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bucket_and_a_catalog_that_agree_are_clean(stack: StackInMoto) -> None:
    for status in (Status.DESCRIBED, Status.REJECTED, Status.SKIPPED):
        stack.record(stack.put(f"{status}.png"), status, f"{status} of 1,234 bytes")
    report = run(stack)
    assert report.is_clean
    assert report.sentence == "Nothing is missing."
    assert (report.objects, report.records) == (3, 3)
    assert report.failed == {"rejected of N bytes": 1}
    assert report.skipped == {"skipped of N bytes": 1}


def test_each_fault_is_found_under_its_own_name(stack: StackInMoto) -> None:
    stack.put("missing.png")
    stack.record(stack.put("stale.png", etag="another"), Status.DESCRIBED)
    stack.record(make_upload(bucket=stack.bucket, key="orphan.png"), Status.DESCRIBED)
    stack.record(stack.put("dead.png"), Status.DEAD, "503: down")
    stack.clock.now -= HOUR
    stack.record(stack.put("stuck.png"), Status.WAITING)
    stack.clock.now += HOUR
    stack.s3.put_object(Bucket=stack.bucket, Key="folder/", Body=b"")
    report = run(stack)
    assert wrong(report) == {f"{word}.png": word for word in ("missing", "stale", "orphan", "dead", "stuck")}
    assert report.sentence == "Something is wrong: 1 missing, 1 stale, 1 orphaned, 1 stuck, 1 dead."
    assert report.failed == {"N: down": 1}
    assert stack.sent_to_backfill() == []


def test_what_was_uploaded_a_moment_ago_is_underway(stack: StackInMoto) -> None:
    stack.put("new.png")
    stack.clock.now -= HOUR - 60
    report = run(stack)
    assert report.is_clean
    assert report.sentence == "Nothing is missing; 1 are on their way."


def test_what_was_there_before_the_stack_is_missing_at_once_unless_a_backfill_has_messages(stack: StackInMoto) -> None:
    stack.put("before.png")
    stack.clock.now -= HOUR - 1
    operations = replace(stack.operations(), created_at=iso_utc(stack.clock.now + 1))
    assert wrong(Audit(operations).run()) == {"before.png": "missing"}
    stack.sqs.send_message(QueueUrl=stack.outputs["BackfillQueueUrl"], MessageBody="of another one")
    assert Audit(operations).run().verdicts == {Verdict.UNDERWAY: 1}


def test_while_messages_wait_what_they_tell_of_is_not_missing(stack: StackInMoto) -> None:
    stack.sqs.send_message(QueueUrl=stack.outputs["UploadQueueUrl"], MessageBody=eventbridge_body(stack.put("a.png")))
    assert run(stack).is_clean


def test_more_images_without_a_record_than_messages_are_more_than_the_queue_can_explain(stack: StackInMoto) -> None:
    stack.sqs.send_message(QueueUrl=stack.outputs["UploadQueueUrl"], MessageBody=eventbridge_body(stack.put("a.png")))
    stack.put("b.png")
    report = run(stack)
    assert (report.unaccounted, report.is_clean) == (1, False)
    assert report.sentence == "Something is wrong: 1 uploaded lately that no queue holds."


def test_nothing_is_stuck_that_waits_for_the_end_of_a_pause(stack: StackInMoto) -> None:
    upload = stack.put("a.png")
    stack.record(upload, Status.WAITING)
    stack.sqs.send_message(QueueUrl=stack.outputs["UploadQueueUrl"], MessageBody=eventbridge_body(upload))
    stack.clock.sleep(3 * 24 * HOUR)
    assert not run(stack).is_clean
    stack.operations().pause("lunch")
    assert run(stack).is_clean


def test_only_what_the_stack_describes_is_compared(aws: boto3.Session) -> None:
    stack = in_time(make_stack(aws, KeyPrefix="in/"))
    for key in ("in/a.png", "in/b/c.png", "out.png"):
        stack.put(key)
    assert wrong(run(stack)) == {"in/a.png": "missing", "in/b/c.png": "missing"}
    assert wrong(run(stack, "in/b")) == {"in/b/c.png": "missing"}
    with pytest.raises(OperationError, match="nothing under 'out'"):
        run(stack, "out")


def test_a_prefix_and_the_stacks_own_are_narrowed_to_what_both_hold() -> None:
    assert described_prefix("", "") == ""
    assert described_prefix("in/", "") == "in/"
    assert described_prefix("in/", "i") == "in/"
    assert described_prefix("in/", "in/2026") == "in/2026"


def test_a_listing_that_is_older_than_its_record_makes_nothing_stale(
    stack: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = BucketView.walk

    def overwritten_and_described_meanwhile(view: BucketView, prefix: str) -> Iterator[Listed]:
        yield from list(walk(view, prefix))
        answer = stack.s3.put_object(Bucket=stack.bucket, Key="a.png", Body=make_picture("red"))
        changed = make_upload(bucket=stack.bucket, key="a.png", etag=answer["ETag"].strip('"'), sequencer="1")
        stack.record(changed, Status.DESCRIBED)

    stack.record(stack.put("a.png", etag="another"), Status.DESCRIBED)
    monkeypatch.setattr(BucketView, "walk", overwritten_and_described_meanwhile)
    assert run(stack).is_clean


def test_a_record_that_the_index_tells_of_late_is_not_missing(
    stack: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CatalogView, "walk", lambda *_: iter(()))
    stack.record(stack.put("a.png"), Status.DESCRIBED)
    assert run(stack).is_clean


def test_findings_are_counted_beyond_the_limit_and_listed_up_to_it(stack: StackInMoto) -> None:
    for number in range(5):
        stack.put(f"{number}.png")
    report = run(stack, limit=2)
    assert (report.verdicts[Verdict.MISSING], len(report.findings), report.more) == (5, 2, True)


def test_reasons_are_told_apart_only_so_far(stack: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "MAX_REASONS", 4)
    for number, word in enumerate(["one", "two", "three", "four", "five", "six", "seven"]):
        stack.record(stack.put(f"{number}.png"), Status.REJECTED, f"reason {word}")
    report = run(stack)
    assert len(report.failed) == 4 + 1
    assert report.failed["other reasons"] == 3


# ── Tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("which", [TagCheck.SAMPLE, TagCheck.ALL])
def test_tags_that_are_not_what_the_catalog_says_are_found(stack: StackInMoto, which: TagCheck) -> None:
    for key, value in {"right.png": "a cat", "wrong.png": "a dog", "gone.png": ""}.items():
        stack.record(stack.put(key), Status.DESCRIBED)
        if value:
            set_tags(stack, key, {"prompt": value})
    assert run(stack).is_clean
    report = run(stack, tags=which)
    assert report.tags_checked == 3
    assert wrong(report) == {"wrong.png": "tags", "gone.png": "tags"}
    assert {finding.detail for finding in report.findings} == {
        "the tag prompt says a dog",
        "the tag prompt is gone",
    }


def test_tags_of_labels_that_are_gone_are_found_and_a_persons_are_never_wrong(stack: StackInMoto) -> None:
    written = {"labels": "boat cat", "label:boat": "yes"}
    for key, tags in {
        "right.png": written,
        "gone.png": {"labels": "boat cat"},
        "all-gone.png": {},
        "theirs.png": {"labels": "regatta 2026", "label:boat": "no"},
    }.items():
        describe(stack, key, written)
        set_tags(stack, key, tags | {"prompt": "a cat"})
    describe(stack, "none-written.png", {})
    set_tags(stack, "none-written.png", {"prompt": "a cat", "labels": "mine"})
    report = run(stack, tags=TagCheck.ALL)
    assert report.tags_checked == 5
    assert {finding.image.rpartition("/")[2]: finding.detail for finding in report.findings} == {
        "gone.png": "the tag label:boat is gone",
        "all-gone.png": "the tag labels is gone, the tag label:boat is gone",
    }


def test_what_is_described_anew_or_deleted_meanwhile_is_not_compared(
    stack: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = stack.put("a.png")
    stack.record(upload, Status.DESCRIBED)
    walk = CatalogView.walk

    def changed_meanwhile(view: CatalogView, *which: str) -> Iterator[ImageRecord]:
        yield from list(walk(view, *which))
        stack.catalog.remove(upload)

    monkeypatch.setattr(CatalogView, "walk", changed_meanwhile)
    report = run(stack, tags=TagCheck.ALL)
    assert (report.is_clean, report.tags_checked) == (True, 0)


def describe(stack: StackInMoto, key: str, label_tags: dict[str, str]) -> Upload:
    """Let an image be described, and the record say which tags of labels were written."""
    upload = stack.put(key)
    assert isinstance(stack.catalog.open(upload), Opened)
    at = upload.uploaded_at
    stack.catalog.describe(upload, at, "a cat", TagState.WRITTEN, 0, labels={"cat"}, label_tags=label_tags or None)
    return upload


def set_tags(stack: StackInMoto, key: str, tags: dict[str, str]) -> None:
    tag_set: list[TagTypeDef] = [{"Key": name, "Value": value} for name, value in tags.items()]
    stack.s3.put_object_tagging(Bucket=stack.bucket, Key=key, Tagging={"TagSet": tag_set})


def tags_of(stack: StackInMoto, key: str) -> dict[str, str]:
    answer = stack.s3.get_object_tagging(Bucket=stack.bucket, Key=key)
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


def test_a_sample_of_tags_is_bounded(stack: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TAGS_SAMPLED", 3)
    for number in range(10):
        stack.record(stack.put(f"{number}.png"), Status.DESCRIBED)
    assert run(stack, tags=TagCheck.SAMPLE).tags_checked == 3


# ── Repair ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_missing_is_sent_as_an_event_that_any_real_one_wins_over(stack: StackInMoto) -> None:
    real = stack.put("missing.png", sequencer="0063A1")
    assert run(stack, repairs=True).sent == 1
    made = sent(stack)["missing.png"]
    assert (made.etag, made.size, made.version_id) == (real.etag, real.size, real.version_id)
    stored_at = stack.s3.head_object(Bucket=stack.bucket, Key="missing.png")["LastModified"]
    assert made.uploaded_at == iso_utc(stored_at.timestamp())
    # Whichever of the two comes first:
    assert isinstance(stack.catalog.open(made), Opened)
    assert isinstance(stack.catalog.open(real), Opened)
    assert isinstance(stack.catalog.open(made), Stale)


def test_what_is_stale_is_sent_as_an_event_after_its_record_and_before_any_real_one(stack: StackInMoto) -> None:
    old = stack.put("stale.png", etag="another", sequencer="0063A1")
    stack.record(old, Status.DESCRIBED)
    run(stack, repairs=True)
    made = sent(stack)["stale.png"]
    assert made.sequencer == "0063A10"
    assert isinstance(stack.catalog.open(made), Opened)
    assert isinstance(stack.catalog.open(stack.put("stale.png", sequencer="0063A2")), Opened)
    assert isinstance(stack.catalog.open(made), Stale)


def test_a_repair_that_is_run_again_sends_the_same_event(stack: StackInMoto) -> None:
    stack.record(stack.put("stale.png", etag="another", sequencer="0063A1"), Status.DESCRIBED)
    first = run(stack, repairs=True)
    stack.clock.sleep(24 * HOUR)
    second = run(stack, repairs=True)
    assert (first.sent, second.sent) == (1, 1)
    one, other = (parse_body(message.body) for message in stack.sent_to_backfill())
    assert one == other


def test_what_is_stuck_gets_its_own_event_once_more(stack: StackInMoto) -> None:
    stack.clock.now -= HOUR
    upload = stack.put("stuck.png")
    stack.record(upload, Status.WAITING)
    stack.clock.now += HOUR
    run(stack, repairs=True)
    assert sent(stack)["stuck.png"] == replace(upload, job="audit")  # behind what is uploaded today
    opened = stack.catalog.open(upload)
    assert isinstance(opened, Opened)
    assert opened.attempts == 1


def test_an_orphan_is_told_of_as_deleted_after_its_record_and_before_any_real_event(stack: StackInMoto) -> None:
    upload = make_upload(bucket=stack.bucket, key="orphan.png", sequencer="0063A1")
    stack.record(upload, Status.DESCRIBED)
    assert run(stack, repairs=True).sent == 1
    (message,) = stack.sent_to_backfill()
    (deletion,) = parse_body(message.body)
    assert deletion == Deletion(stack.bucket, "orphan.png", "0063A10", iso_utc(stack.clock.now))
    assert isinstance(stack.catalog.open(upload), AlreadyFinal)  # until the functions have looked themselves
    newer = make_upload(bucket=stack.bucket, key="orphan.png", sequencer="0063A2")
    stack.record(newer, Status.DESCRIBED)
    assert not stack.catalog.remove(deletion)


def test_tags_are_written_as_the_record_says_and_a_persons_stay(stack: StackInMoto) -> None:
    upload = describe(stack, "a.png", {"labels": "boat cat", "label:boat": "yes"})
    set_tags(stack, "a.png", {"prompt": "a dog", "labels": "regatta 2026", "album": "lake"})
    record = record_of(stack, upload)
    report = run(stack, repairs=True, tags=TagCheck.ALL)
    assert (report.tags_mended, report.sent) == (1, 0)
    assert wrong(report) == {"a.png": "tags"}
    mended = {"prompt": "a cat", "labels": "regatta 2026", "label:boat": "yes", "album": "lake"}
    assert tags_of(stack, "a.png") == mended
    assert record_of(stack, upload) == record
    assert run(stack, repairs=True, tags=TagCheck.ALL).is_clean


def test_tags_that_have_no_room_or_that_the_stack_writes_no_more_are_told_and_not_mended(stack: StackInMoto) -> None:
    describe(stack, "a.png", {"labels": "cat"})
    theirs = {f"user-{number}": "theirs" for number in range(10)}
    set_tags(stack, "a.png", theirs)
    report = run(stack, repairs=True, tags=TagCheck.ALL)
    assert (report.tags_mended, wrong(report)) == (0, {"a.png": "tags"})
    set_tags(stack, "a.png", {"album": "lake"})
    stack.parameters["WriteTags"] = "false"
    report = run(stack, repairs=True, tags=TagCheck.ALL)
    assert (report.tags_mended, wrong(report)) == (0, {"a.png": "tags"})
    assert tags_of(stack, "a.png") == {"album": "lake"}


def test_an_object_that_was_overwritten_gets_no_tags_of_the_one_before(stack: StackInMoto) -> None:
    describe(stack, "a.png", {"labels": "cat"})
    stack.s3.put_object(Bucket=stack.bucket, Key="a.png", Body=b"another picture")
    stack.clock.now -= HOUR
    report = run(stack, repairs=True, tags=TagCheck.ALL)
    assert report.tags_mended == 0
    assert tags_of(stack, "a.png") == {}


def test_an_object_that_is_described_anew_while_it_is_mended_has_its_new_tags(
    stack: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe(stack, "a.png", {"labels": "cat", "label:cat": "yes"})
    tag, overtakings = Objects.tag, list[int]()

    def overtaken(*arguments: Any) -> Any:
        if not overtakings:
            overtakings.append(1)
            later = stack.put("a.png", sequencer="FF")
            set_tags(stack, "a.png", {"prompt": "a dog", "labels": "dog", "album": "garden"})
            stack.catalog.open(later)
            stack.catalog.describe(later, later.uploaded_at, "a dog", TagState.WRITTEN, 0, label_tags={"labels": "dog"})
        return tag(*arguments)

    monkeypatch.setattr(Objects, "tag", overtaken)
    report = run(stack, repairs=True, tags=TagCheck.ALL)
    assert (overtakings, report.tags_mended) == ([1], 0)
    assert tags_of(stack, "a.png") == {"prompt": "a dog", "labels": "dog", "album": "garden"}


def record_of(stack: StackInMoto, upload: Upload) -> dict[str, Any] | None:
    return get(stack.dynamodb, stack.outputs["CatalogTableName"], {"image": upload.image})


def test_folders_the_dead_and_what_is_underway_are_left_alone(stack: StackInMoto) -> None:
    stack.s3.put_object(Bucket=stack.bucket, Key="folder/", Body=b"")
    stack.record(stack.put("dead.png"), Status.DEAD)
    stack.clock.now -= HOUR
    stack.put("new.png")
    assert run(stack, repairs=True).sent == 0


def test_the_version_is_told_where_the_bucket_keeps_versions(stack: StackInMoto) -> None:
    stack.s3.put_bucket_versioning(Bucket=stack.bucket, VersioningConfiguration={"Status": "Enabled"})
    upload = stack.put("a.png")
    assert upload.version_id
    run(stack, repairs=True)
    assert sent(stack)["a.png"].version_id == upload.version_id


def test_many_are_sent_all(stack: StackInMoto) -> None:
    for number in range(23):  # SQS takes ten at once
        stack.put(f"{number:04}.png")
    assert run(stack, repairs=True).sent == 23
    assert len(sent(stack)) == 23


def test_a_queue_that_refuses_is_told_in_a_sentence(stack: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise NotSentError("the queue did not take 1 of 1 messages (InternalError)")

    stack.put("a.png")
    monkeypatch.setattr(module, "send_all", refuse)
    with pytest.raises(OperationError, match="did not take 1 of 1 messages"):
        run(stack, repairs=True)
