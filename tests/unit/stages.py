"""How the stage is set up: with moto's services, or with our own in memory."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import boto3
import moto.sqs.models
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID

from tests import sam_template
from tests.factories import API_KEY, unique
from tests.unit.in_memory.dynamodb import InMemoryDynamoDB
from tests.unit.in_memory.s3 import InMemoryS3
from tests.unit.in_memory.sqs import InMemorySQS
from tests.unit.stage import Bus, Service, SharedClock, Stage, Vault

ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "IMAGESCRIBE_DESCRIBE_URL": "https://endpoint.invalid/describe",
    "IMAGESCRIBE_API_KEY_SECRET_ARN": "arn:of-the-key",
    "IMAGESCRIBE_UPLOAD_QUEUE_URL": "https://queues.invalid/uploads",
    "IMAGESCRIBE_DEAD_LETTER_QUEUE_URL": "https://queues.invalid/dead",
    "IMAGESCRIBE_LEDGER_TABLE": "ledger",
    "IMAGESCRIBE_CATALOG_TABLE": "catalog",
    "IMAGESCRIBE_ANSWER_TIMEOUT_SECONDS": "60",
    "IMAGESCRIBE_MAX_ATTEMPTS": "8",
    "IMAGESCRIBE_RETRY_BASE_SECONDS": "4",
    "IMAGESCRIBE_MAX_IMAGE_BYTES": "10485760",
    "IMAGESCRIBE_PROMPT_TAG_KEY": "prompt",
    "IMAGESCRIBE_MAX_REQUESTS_PER_MINUTE": "0",
    "IMAGESCRIBE_DAILY_BUDGET_USD": "0",
    "IMAGESCRIBE_PRICE_PER_CALL_USD": "0.015",
    "IMAGESCRIBE_RENDITIONS": "needed",
    "IMAGESCRIBE_BACKFILL_QUEUE_URL": "https://queues.invalid/backfill",
    "IMAGESCRIBE_JOBS_TABLE": "jobs",
    "IMAGESCRIBE_IMAGING_FUNCTION": "imaging",
    "IMAGESCRIBE_BUCKET": "pictures",
    "IMAGESCRIBE_WRITE_ANNOTATION": "false",
    "IMAGESCRIBE_LABELS": "",
    "IMAGESCRIBE_LABELS_KEY": "",
    "IMAGESCRIBE_EVENT_SOURCE_MAPPINGS": "mapping-1,mapping-2",
    "POWERTOOLS_SERVICE_NAME": "stack",
}
"""What the template sets on the functions."""

MAX_RECEIVE_COUNT: int = sam_template.resources("AWS::SQS::Queue")["UploadQueue"]["RedrivePolicy"]["maxReceiveCount"]


def load_function(name: str) -> ModuleType:
    """A function's module, with the environment that it reads when it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in ENVIRONMENT.items():
            patch.setenv(variable, value)
        return importlib.import_module(f"imagescribe.handlers.{name}")


@contextmanager
def in_memory_stage(*, versioned: bool = False) -> Iterator[Stage]:
    clock = SharedClock()
    bucket = unique("imagescribe-test")
    uploads, dead = unique("uploads"), unique("dead")
    sqs = InMemorySQS(clock, nets={uploads: (MAX_RECEIVE_COUNT, dead)})

    def next_visible() -> float | None:
        return min((message.visible_at for message in sqs.queue(uploads)), default=None)

    with _on_the_clock(clock) as describe:
        yield Stage(
            s3=Service(InMemoryS3(versioned={bucket} if versioned else set())),
            dynamodb=Service(InMemoryDynamoDB()),
            sqs=Service(sqs),
            secrets=Service(Vault()),
            bus=Service(Bus()),
            clock=clock,
            bucket=bucket,
            upload_queue_url=uploads,
            dead_letter_queue_url=dead,
            ledger_table="ledger",
            catalog_table="catalog",
            describe=describe,
            next_visible=next_visible,
        )


@contextmanager
def moto_stage(session: boto3.Session, clients: dict[str, Any], bucket: str) -> Iterator[Stage]:
    clock = SharedClock()
    names = unique("uploads"), unique("dead")
    sqs = clients["sqs"]
    dead = sqs.create_queue(QueueName=names[1])["QueueUrl"]
    dead_arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    net = json.dumps({"deadLetterTargetArn": dead_arn, "maxReceiveCount": MAX_RECEIVE_COUNT})
    uploads = sqs.create_queue(QueueName=names[0], Attributes={"RedrivePolicy": net})["QueueUrl"]
    secret = unique("api-key")
    clients["secretsmanager"].create_secret(Name=secret, SecretString=API_KEY)
    tables = unique("ledger"), unique("catalog")
    for table, logical_id in zip(tables, ("LedgerTable", "CatalogTable"), strict=True):
        clients["dynamodb"].create_table(TableName=table, **sam_template.table_definition(logical_id))
    backend = moto.sqs.models.sqs_backends[DEFAULT_ACCOUNT_ID][session.region_name]

    def next_visible() -> float | None:
        messages = backend.queues[names[0]]._messages
        return min((max(each.visible_at, each.delayed_until) / 1000 for each in messages), default=None)

    with _on_the_clock(clock) as describe:
        yield Stage(
            s3=Service(clients["s3"]),
            dynamodb=Service(clients["dynamodb"]),
            sqs=Service(sqs),
            secrets=Service(clients["secretsmanager"]),
            bus=Service(Bus()),
            clock=clock,
            bucket=bucket,
            upload_queue_url=uploads,
            dead_letter_queue_url=dead,
            ledger_table=tables[0],
            catalog_table=tables[1],
            describe=describe,
            next_visible=next_visible,
            secret=secret,
        )


@contextmanager
def _on_the_clock(clock: SharedClock) -> Iterator[ModuleType]:
    """The describe function's module, with it and moto's queues looking at the stage's clock."""
    describe = load_function("describe")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(describe, "time", SimpleNamespace(time=clock))
        patch.setattr(moto.sqs.models, "unix_time", clock)
        patch.setattr(moto.sqs.models, "unix_time_millis", lambda: clock() * 1000)
        patch.setattr(moto.sqs.models.Queue, "wait_for_messages", lambda _queue, seconds: clock.sleep(seconds + 1))
        patch.setattr(describe, "_batches", describe._batches)  # so that the stage's are taken out again
        yield describe
