"""The lister against moto: what it sends, how far it goes, and that it goes on from wherever it died."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from imagescribe.aws.sqs_batches import NotSentError
from imagescribe.backfill import lister as module
from imagescribe.backfill.jobs import Job, Phase
from imagescribe.backfill.lister import Lister
from imagescribe.backfill.selection import Only, Selection
from imagescribe.model.events import Upload, parse_body
from imagescribe.model.record import Opened, Status
from imagescribe.model.tags import TagState
from imagescribe.stores.ledger import Ledger
from tests.factories import make_description
from tests.unit.stack_in_moto import StackInMoto, make_stack


@pytest.fixture
def stack(aws: boto3.Session) -> StackInMoto:
    return make_stack(aws)


@pytest.fixture
def lister(stack: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lister]:
    monkeypatch.setattr("imagescribe.aws.s3_listing.PAGE", 3)
    with ThreadPoolExecutor(4) as pool:
        yield Lister(
            jobs=stack.jobs,
            s3=stack.s3,
            sqs=stack.sqs,
            dynamodb=stack.dynamodb,
            bucket=stack.bucket,
            key_prefix="",
            queue_url=stack.outputs["BackfillQueueUrl"],
            catalog_table=stack.outputs["CatalogTableName"],
            ledger_table=stack.outputs["LedgerTableName"],
            pool=pool,
            clock=stack.clock,
        )


def run(lister: Lister, holder: str = "one") -> dict[str, str]:
    return lister.run(holder, lister.clock() + 55)


def add(stack: StackInMoto, **how: Any) -> Job:
    job = Job("bf-1", **how)
    assert stack.jobs.add(job)
    return job


def job_of(stack: StackInMoto) -> Job:
    job = stack.jobs.get("bf-1")
    assert job is not None
    return job


def sent(stack: StackInMoto) -> list[Upload]:
    events = [event for message in stack.sent_to_backfill() for event in parse_body(message.body)]
    return sorted((event for event in events if isinstance(event, Upload)), key=lambda upload: upload.key)


def drain(stack: StackInMoto) -> None:
    stack.sqs.purge_queue(QueueUrl=stack.outputs["BackfillQueueUrl"])


def put(stack: StackInMoto, count: int) -> list[Upload]:
    return [stack.put(f"{number:02}.png") for number in range(count)]


def test_all_that_has_no_description_is_sent_as_s3_would_have_sent_it(stack: StackInMoto, lister: Lister) -> None:
    uploads = put(stack, 7)
    stack.record(uploads[1], Status.DESCRIBED)
    stack.record(replace(uploads[2], etag="another", sequencer="0063A1"), Status.DESCRIBED)
    stack.record(uploads[3], Status.REJECTED)
    stack.s3.put_object(Bucket=stack.bucket, Key="folder/", Body=b"")
    add(stack)
    run(lister)
    assert [(each.key, each.sequencer) for each in sent(stack)] == [
        ("00.png", "0"),
        ("02.png", "0063A10"),
        ("04.png", "0"),
        ("05.png", "0"),
        ("06.png", "0"),
    ]
    first = sent(stack)[0]
    assert (first.etag, first.size, first.version_id) == (uploads[0].etag, uploads[0].size, None)
    assert (job_of(stack).listed, job_of(stack).sent, job_of(stack).is_listed) == (8, 5, True)


def test_a_job_is_done_when_its_queue_is_empty(stack: StackInMoto, lister: Lister) -> None:
    put(stack, 4)
    add(stack)
    run(lister)
    run(lister)
    assert job_of(stack).phase is Phase.RUNNING
    drain(stack)
    assert run(lister) == {"bf-1": "done"}
    assert job_of(stack).phase is Phase.DONE
    assert run(lister) == {}


def test_an_empty_bucket_makes_a_short_job(stack: StackInMoto, lister: Lister) -> None:
    add(stack)
    assert run(lister) == {"bf-1": "done"}


def test_no_page_is_read_while_the_queue_holds_enough(
    stack: StackInMoto, lister: Lister, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_DEPTH", 4)
    put(stack, 10)
    add(stack)
    run(lister)
    assert job_of(stack).sent == 6
    run(lister)
    assert job_of(stack).sent == 6
    drain(stack)
    run(lister)
    assert job_of(stack).sent == 10


def test_no_page_is_begun_at_the_end_of_a_run(stack: StackInMoto, lister: Lister) -> None:
    put(stack, 2)
    add(stack)
    lister.run("one", stack.clock() + module.PAGE_SECONDS)
    assert (job_of(stack).listed, job_of(stack).is_listed) == (0, False)


def test_a_run_that_dies_at_any_page_costs_no_more_than_that_page_once_more(
    stack: StackInMoto, lister: Lister, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(stack, 10)
    add(stack)
    advance = type(stack.jobs).advance
    deaths = iter([True, False, True, False, True, False, False])

    def die_before(jobs: Any, job: Job, holder: str) -> bool:
        if next(deaths):
            raise KeyboardInterrupt
        return advance(jobs, job, holder)

    monkeypatch.setattr(type(stack.jobs), "advance", die_before)
    for number in range(3):
        with pytest.raises(KeyboardInterrupt):
            run(lister, f"dies-{number}")
        assert run(lister, "locked-out") == {}  # its lease has not ended
        stack.clock.sleep(56)
    run(lister, "lives")
    assert job_of(stack).is_listed
    assert {each.key for each in sent(stack)} == {f"{number:02}.png" for number in range(10)}
    assert len(sent(stack)) == 10 + 3 * 3
    assert job_of(stack).sent == 10


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.CANCELLED])
def test_a_job_that_is_stopped_between_two_pages_sends_no_further_one(
    stack: StackInMoto, lister: Lister, monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    put(stack, 10)
    add(stack)
    advance = type(stack.jobs).advance

    def stopped_after(jobs: Any, job: Job, holder: str) -> bool:
        went_on = advance(jobs, job, holder)
        jobs.turn("bf-1", phase, Phase.RUNNING)
        return went_on

    monkeypatch.setattr(type(stack.jobs), "advance", stopped_after)
    run(lister)
    assert job_of(stack).phase is phase
    assert job_of(stack).sent == 3
    assert len(sent(stack)) == 6  # the page that was under way when it was stopped is not counted
    assert run(lister, "another") == {}


def test_a_job_that_is_resumed_lists_again_and_sends_what_is_not_described_by_then(
    stack: StackInMoto, lister: Lister
) -> None:
    uploads = put(stack, 4)
    add(stack, checkpoint="02.png", phase=Phase.PAUSED, listed=3, sent=3)
    for upload in uploads[:2]:
        stack.record(upload, Status.DESCRIBED)
    assert run(lister) == {}
    assert stack.jobs.resume("bf-1")
    assert not stack.jobs.resume("bf-1")
    run(lister)
    assert [each.key for each in sent(stack)] == ["02.png", "03.png"]
    assert (job_of(stack).listed, job_of(stack).sent) == (4, 2)


def test_a_job_sends_no_more_than_was_asked_for(stack: StackInMoto, lister: Lister) -> None:
    put(stack, 10)
    add(stack, most=4)
    run(lister)
    assert (job_of(stack).sent, job_of(stack).is_listed) == (4, True)
    assert len(sent(stack)) == 4


def test_only_what_the_stack_describes_is_sent(stack: StackInMoto, lister: Lister) -> None:
    stack.put("in/a.png")
    stack.put("out.png")
    add(stack)
    run(replace(lister, key_prefix="in/"))
    assert [each.key for each in sent(stack)] == ["in/a.png"]


def test_versions_are_told_where_the_bucket_keeps_them(stack: StackInMoto, lister: Lister) -> None:
    stack.s3.put_bucket_versioning(Bucket=stack.bucket, VersioningConfiguration={"Status": "Enabled"})
    upload = stack.put("a.png")
    add(stack)
    run(lister)
    assert upload.version_id
    assert [each.version_id for each in sent(stack)] == [upload.version_id]


def test_an_object_that_s3_tells_nothing_of_is_sent_as_it_was_listed_and_keeps_no_other_from_its_way(
    stack: StackInMoto, lister: Lister, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack.s3.put_bucket_versioning(Bucket=stack.bucket, VersioningConfiguration={"Status": "Enabled"})
    uploads = [stack.put(key) for key in ("a.png", "encrypted.png", "z.png")]
    head_object = stack.s3.head_object

    def head_without_its_key(**asked: Any) -> Any:
        if asked["Key"] == "encrypted.png":  # with SSE-C
            raise ClientError({"Error": {"Code": "400", "Message": "Bad Request"}}, "HeadObject")
        return head_object(**asked)

    monkeypatch.setattr(stack.s3, "head_object", head_without_its_key)
    add(stack)
    assert run(lister) == {"bf-1": "3 listed, 3 sent"}
    assert [(each.key, each.etag, each.version_id) for each in sent(stack)] == [
        (each.key, each.etag, None if each.key == "encrypted.png" else each.version_id) for each in uploads
    ]


def test_a_list_of_keys_is_looked_up_object_by_object(stack: StackInMoto, lister: Lister) -> None:
    here, known = stack.put("here.png"), stack.put("known.png")
    stack.record(known, Status.DESCRIBED)
    stack.s3.put_object(Bucket=stack.bucket, Key="list.txt", Body=b"here.png\ngone.png\nknown.png\n")
    add(stack, manifest=f"s3://{stack.bucket}/list.txt")
    run(lister)
    assert [(each.key, each.etag, each.size) for each in sent(stack)] == [("here.png", here.etag, here.size)]
    assert (job_of(stack).listed, job_of(stack).sent) == (3, 1)


def test_a_manifest_that_can_not_be_used_fails_the_job_with_the_reason(stack: StackInMoto, lister: Lister) -> None:
    stack.s3.put_object(Bucket=stack.bucket, Key="manifest.json", Body=b"{}")
    add(stack, manifest=f"s3://{stack.bucket}/manifest.json")
    run(lister)
    assert job_of(stack).phase is Phase.FAILED
    assert "no manifest of S3 Inventory" in job_of(stack).trouble


@pytest.mark.parametrize(
    ("key", "content"),
    [
        ("list.txt", "café.png\n".encode("latin-1")),
        ("list.txt.gz", b"no gzip"),
        ("list.txt.gz", gzip.compress(b"a.png\n" * 10_000)[:-20]),
        ("list.txt.gz", gzip.compress(b"a.png\n")[:10] + b"no deflate, but long enough to be read as such"),
    ],
    ids=["latin-1", "no gzip", "cut off", "broken"],
)
def test_a_list_that_can_not_be_read_fails_its_job_and_no_other(
    stack: StackInMoto, lister: Lister, key: str, content: bytes
) -> None:
    stack.s3.put_object(Bucket=stack.bucket, Key=key, Body=content)
    add(stack, manifest=f"s3://{stack.bucket}/{key}")
    stack.jobs.add(Job("bf-2", prefix="no-such/"))
    assert run(lister)["bf-2"] == "done"
    assert job_of(stack).phase is Phase.FAILED
    assert key in job_of(stack).trouble


def test_a_service_that_fails_is_told_on_the_job_and_the_next_run_goes_on(
    stack: StackInMoto, lister: Lister, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise NotSentError("the queue did not take 1 of 1 messages (InternalError)")

    put(stack, 1)
    add(stack)
    with monkeypatch.context() as patch:
        patch.setattr(module, "send_all", refuse)
        run(lister)
    assert "did not take" in job_of(stack).trouble
    run(lister, "another")
    assert (job_of(stack).sent, job_of(stack).trouble) == (1, "")


def test_what_failed_is_sent_again_when_that_is_asked_for(stack: StackInMoto, lister: Lister) -> None:
    for upload, status in zip(put(stack, 3), (Status.DEAD, Status.REJECTED, Status.SKIPPED), strict=True):
        stack.record(upload, status)
    add(stack, selection=Selection(only=Only.FAILED))
    run(lister)
    assert [each.key for each in sent(stack)] == ["00.png", "01.png"]


def test_what_an_older_model_described_is_paid_for_again_once_however_often_its_page_is_read(
    stack: StackInMoto, lister: Lister
) -> None:
    old = stack.put("a.png", uploaded_at="2026-11-02T09:15:00.000Z")
    stack.record(old, Status.DESCRIBED)
    stack.pay(old)
    add(stack, selection=Selection(described_before="2026-11-23"))
    run(lister)
    (upload,) = sent(stack)
    assert upload.sequencer == f"{old.sequencer}0"
    assert stack.paid(old) is None
    # Paid for anew meanwhile, and the page is read again by a run that knows nothing of it.
    stack.dynamodb.put_item(
        TableName=stack.outputs["LedgerTableName"],
        Item={
            "content": {"S": f"{old.etag}-{old.size}"},
            "body": {"S": "new"},
            "described_at": {"S": "2026-11-26T00:00:00.000Z"},
        },
    )
    stack.jobs.turn("bf-1", Phase.CANCELLED, Phase.RUNNING)
    stack.jobs.add(Job("bf-2", selection=Selection(described_before="2026-11-23")))
    run(lister)
    paid = stack.paid(old)
    assert paid is not None
    assert paid["body"] == "new"


@pytest.mark.parametrize("paid_by", ["old", "new"])
def test_what_another_model_described_is_sent_and_forgotten_unless_this_one_is_paid_for(
    paid_by: str, stack: StackInMoto, lister: Lister
) -> None:
    for model in ("old", "new"):
        upload = stack.put(f"by-{model}.png")
        assert isinstance(stack.catalog.open(upload), Opened)
        stack.catalog.describe(upload, upload.uploaded_at, "a cat", TagState.WRITTEN, 0, model=model)
    ledger = Ledger(stack.dynamodb, stack.outputs["LedgerTableName"], stack.clock)
    ledger.save(upload, make_description(model=paid_by), stack.clock() + 60)
    add(stack, selection=Selection(described_before="2026-11-23", not_by="new"))
    run(lister)
    assert [each.key for each in sent(stack)] == ["by-old.png"]
    assert (stack.paid(upload) is None) is (paid_by == "old")


def test_several_jobs_share_the_queue(stack: StackInMoto, lister: Lister) -> None:
    stack.put("a/1.png")
    stack.put("b/1.png")
    stack.jobs.add(Job("bf-1", prefix="a/"))
    stack.jobs.add(Job("bf-2", prefix="b/"))
    assert set(run(lister)) == {"bf-1", "bf-2"}
    assert [each.key for each in sent(stack)] == ["a/1.png", "b/1.png"]


def test_a_job_is_kept_as_it_was_made(stack: StackInMoto) -> None:
    job = Job(
        "bf-1", prefix="é/", most=5, expected=9, expected_usd=0.135, selection=Selection("2026-11-01", Only.STALE)
    )
    assert stack.jobs.add(job)
    assert not stack.jobs.add(job)
    kept = job_of(stack)
    assert replace(kept, created_at="", updated_at="") == job
    assert kept.created_at == kept.updated_at != ""
    assert stack.jobs.get("bf-2") is None
    assert [each.id for each in stack.jobs.all()] == ["bf-1"]
