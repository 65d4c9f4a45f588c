r"""The describe function: one batch of messages from the upload queue, its images described side by side.

The event is what SQS invokes a function with (samples in ``events/``)::

    {"Records": [{"messageId": "…", "receiptHandle": "…", "body": "{\"detail-type\": \"Object Created\", …}",
                  "attributes": {"ApproximateReceiveCount": "1", …}, "messageAttributes": {}, …}, …]}

The answer names the messages that are not done: ``{"batchItemFailures": [{"itemIdentifier": "…"}, …]}``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3

from imagescribe.aws.clients import AWS_CONFIG, MAX_SIDE_BY_SIDE
from imagescribe.aws.eventbridge import Announcements
from imagescribe.aws.imaging import CLIENT_CONFIG as IMAGING_CONFIG
from imagescribe.aws.imaging import Imaging
from imagescribe.aws.s3 import CLIENT_CONFIG, Objects
from imagescribe.aws.secrets import ApiKey
from imagescribe.aws.sqs import UploadQueue
from imagescribe.backfill.gate import Gate
from imagescribe.backfill.jobs import Jobs
from imagescribe.batch import BatchProcessor, Message
from imagescribe.endings import Endings
from imagescribe.endpoint import Endpoint
from imagescribe.log import logger
from imagescribe.pipeline import Pipeline
from imagescribe.settings import Settings
from imagescribe.stores.catalog import Catalog
from imagescribe.stores.ledger import Ledger
from imagescribe.stores.lookup import Lookup
from imagescribe.throttle import Throttle

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_s3 import S3Client

    from imagescribe.aws.annotations import Annotations
    from imagescribe.model.labels import Vocabulary


def assemble(settings: Settings) -> BatchProcessor:
    """Make what a batch meets. Clients are made before any thread: making one takes long and is not safe among them."""
    session = boto3.Session()
    dynamodb = session.client("dynamodb", config=AWS_CONFIG)
    s3 = session.client("s3", config=AWS_CONFIG.merge(CLIENT_CONFIG))
    objects = Objects(s3)
    catalog = Catalog(dynamodb, settings.catalog_table)
    pipeline = Pipeline(
        settings=settings,
        objects=objects,
        imaging=Imaging(
            lambda: boto3.Session().client("lambda", config=IMAGING_CONFIG), os.environ["IMAGESCRIBE_IMAGING_FUNCTION"]
        ),
        ledger=Ledger(dynamodb, settings.ledger_table),
        catalog=catalog,
        api_key=ApiKey(session.client("secretsmanager", config=AWS_CONFIG), settings.api_key_secret_arn),
        throttle=Throttle.of_stack(dynamodb, settings),
        endpoint=Endpoint(
            settings.describe_url, MAX_SIDE_BY_SIDE, settings.answer_timeout_seconds, settings.price_per_call_usd
        ),
        endings=Endings(objects, catalog),
        vocabulary=_vocabulary(s3),
        annotations=_annotations(s3, session),
    )
    return BatchProcessor(
        pipeline=pipeline,
        lookup=Lookup.of_stack(dynamodb, settings),
        queue=UploadQueue(
            session.client("sqs", config=AWS_CONFIG), settings.upload_queue_url, settings.dead_letter_queue_url
        ),
        announcements=Announcements(session.client("events", config=AWS_CONFIG)),
    )


# What follows is off by default, and imported only where it is on: each import starts with the function.


def _vocabulary(s3: S3Client) -> Callable[[], Vocabulary | None]:
    text, key = os.environ["IMAGESCRIBE_LABELS"], os.environ["IMAGESCRIBE_LABELS_KEY"]
    if not (text or key):
        return lambda: None
    from imagescribe.vocabulary import CachedVocabulary, Source  # noqa: PLC0415 - a part of the start only where it is on

    return CachedVocabulary(Source(text, os.environ["IMAGESCRIBE_BUCKET"], key), s3)


def _annotations(s3: S3Client, session: boto3.Session) -> Annotations | None:
    if os.environ["IMAGESCRIBE_WRITE_ANNOTATION"] != "true":
        return None
    from imagescribe.aws.annotations import Annotations  # noqa: PLC0415 - a part of the start only where it is on

    return Annotations(s3, session)


_batches = assemble(Settings.from_environment(os.environ))

# What was in the bucket before comes by a queue of its own, and waits while an upload does.
_backfill_queue_url = os.environ["IMAGESCRIBE_BACKFILL_QUEUE_URL"]
_backfill = replace(_batches, queue=_batches.queue.at(_backfill_queue_url), yields=True)
_gate = Gate(
    Jobs(_batches.lookup.client, os.environ["IMAGESCRIBE_JOBS_TABLE"]),
    _batches.lookup.client,
    _batches.lookup.catalog_table,
)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Take a batch, and name the messages of it that are not done."""
    ends_at = time.time() + context.get_remaining_time_in_millis() / 1000
    logger.append_keys(request_id=context.aws_request_id)
    records, batches = event["Records"], _batches
    if _is_backfill(records[0]):
        records, batches = _gate.admitted(records), _backfill
    messages = [Message.from_record(record) for record in records]
    done = batches.process(messages, context.aws_request_id, ends_at)
    failed = [message.delivery.message_id for message in messages if message not in done]
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in failed]}


def _is_backfill(record: Mapping[str, Any]) -> bool:
    """Whether a record, and with it its batch, is from the backfill queue."""
    return bool(record.get("eventSourceARN", "").rpartition(":")[2] == _backfill_queue_url.rpartition("/")[2])
