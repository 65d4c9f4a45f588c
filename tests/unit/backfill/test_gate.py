"""Messages of a backfill that was paused or cancelled are dropped, and leave no record that waits for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import boto3
import pytest

from imagescribe.backfill.gate import Gate
from imagescribe.backfill.jobs import Job, Phase
from imagescribe.backfill.selection import Selection
from imagescribe.model.events import Upload, upload_body
from imagescribe.model.outcomes import Deferred
from imagescribe.model.record import Opened, Status
from imagescribe.stores.dynamodb import get
from tests.factories import make_upload, sqs_record
from tests.unit.stack_in_moto import StackInMoto, make_stack

STOPPED = [Phase.PAUSED, Phase.CANCELLED]


@pytest.fixture
def stack(aws: boto3.Session) -> StackInMoto:
    return make_stack(aws)


def admitted(stack: StackInMoto, *records: dict[str, Any]) -> list[Any]:
    return Gate(stack.jobs, stack.dynamodb, stack.outputs["CatalogTableName"]).admitted(records)


def record_of(upload: Upload, job: str = "bf-1", receive_count: int = 1) -> dict[str, Any]:
    return sqs_record(upload_body(replace(upload, job=job), "imagescribe.backfill"), receive_count)


def has_record(stack: StackInMoto, upload: Upload) -> bool:
    key = {"image": {"S": upload.image}}
    return "Item" in stack.dynamodb.get_item(TableName=stack.outputs["CatalogTableName"], Key=key)


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.DONE, Phase.FAILED])
def test_messages_of_a_job_that_was_not_stopped_go_on(stack: StackInMoto, phase: Phase) -> None:
    stack.jobs.add(Job("bf-1", phase))
    record = record_of(make_upload())
    assert admitted(stack, record) == [record]


@pytest.mark.parametrize("phase", STOPPED)
def test_messages_of_a_stopped_job_are_dropped_and_others_go_on(stack: StackInMoto, phase: Phase) -> None:
    stack.jobs.add(Job("bf-1", phase))
    stack.jobs.add(Job("bf-2"))
    others = [
        record_of(make_upload(), "bf-2"),
        record_of(make_upload(), "unknown"),
        sqs_record(upload_body(make_upload(), "imagescribe.audit")),
        sqs_record("no JSON"),
        sqs_record("[]"),
    ]
    assert admitted(stack, record_of(make_upload()), *others) == others


@pytest.mark.parametrize("phase", STOPPED)
def test_a_dead_letter_of_a_stopped_job_that_came_back_is_led_to_its_end(stack: StackInMoto, phase: Phase) -> None:
    stack.jobs.add(Job("bf-1", phase))
    came_back = record_of(make_upload()) | {"messageAttributes": {"redrives": {"stringValue": "1"}}}
    assert admitted(stack, came_back) == [came_back]


@pytest.mark.parametrize("phase", STOPPED)
def test_an_image_that_waited_for_a_stopped_job_is_as_it_was_before(stack: StackInMoto, phase: Phase) -> None:
    stack.jobs.add(Job("bf-1", phase))
    waiting = make_upload(bucket=stack.bucket, key="waiting.png", sequencer="0")
    described = make_upload(bucket=stack.bucket, key="described.png", sequencer="0")
    newer = make_upload(bucket=stack.bucket, key="newer.png", sequencer="0")
    begun = make_upload(bucket=stack.bucket, key="begun.png", sequencer="0")
    stack.record(waiting, Status.WAITING)
    stack.record(described, Status.DESCRIBED)
    stack.record(begun, Status.DESCRIBING)  # by a function that crashed
    stack.record(make_upload(bucket=stack.bucket, key="newer.png", sequencer="0063A1"), Status.WAITING)
    all_four = (waiting, begun, described, newer)
    assert admitted(stack, *(record_of(each, receive_count=2) for each in all_four)) == []
    assert [has_record(stack, each) for each in all_four] == [False, False, True, True]


def test_what_was_to_be_described_again_keeps_its_prompt(stack: StackInMoto) -> None:
    stack.jobs.add(Job("bf-1", Phase.CANCELLED, selection=Selection(described_before="2026-11-01")))
    old = make_upload(bucket=stack.bucket, key="old.png", sequencer="0")
    stack.record(old, Status.DESCRIBED)
    again = replace(old, sequencer="00")
    assert stack.catalog.open(again) == Opened()
    assert stack.catalog.wait(again, Deferred(stack.clock() + 60, "limited"), 1)
    assert admitted(stack, record_of(again, receive_count=2)) == []
    record = get(stack.dynamodb, stack.outputs["CatalogTableName"], {"image": old.image})
    assert record
    assert (record["status"], record["prompt"]) == ("described", "a cat")
