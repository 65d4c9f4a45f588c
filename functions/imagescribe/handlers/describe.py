r"""The describe function: one batch of messages from the upload queue, its images described side by side.

The event is what SQS invokes a function with (samples in ``events/``)::

    {"Records": [{"messageId": "…", "receiptHandle": "…", "body": "{\"detail-type\": \"Object Created\", …}",
                  "attributes": {"ApproximateReceiveCount": "1", …}, "messageAttributes": {}, …}, …]}

The answer names the messages that are not done: ``{"batchItemFailures": [{"itemIdentifier": "…"}, …]}``.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor, wait
from random import Random
from typing import TYPE_CHECKING, Any, Final

import boto3
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.announcements import AnnouncementError, Announcements
from imagescribe.api_key import ApiKey
from imagescribe.backoff import full_jitter
from imagescribe.catalog import Begun, Catalog, Status
from imagescribe.clients import AWS_CONFIG, MOST_SIDE_BY_SIDE
from imagescribe.endpoint import Endpoint
from imagescribe.errors import MalformedMessageError
from imagescribe.ledger import Ledger
from imagescribe.meter import Meter
from imagescribe.objects import CLIENT_CONFIG, Objects
from imagescribe.outcomes import Dead, Deferred, Done, Outcome, Reason
from imagescribe.pipeline import Pipeline, Try
from imagescribe.queues import RECEIVES_BEFORE_RENEWAL, Delivery, UploadQueue
from imagescribe.settings import Settings
from imagescribe.uploads import ObjectEvent, Upload, parse_body, split_body

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

SETTLING_SECONDS: Final = 10.0
"""Kept of an invocation for its end: a thread that is still at work then is not waited for."""

logger = Logger(service="imagescribe")


def _assemble(settings: Settings) -> tuple[Pipeline, UploadQueue]:
    # Clients are made at the cold start, before any thread: making one takes long and is not safe among threads.
    session = boto3.Session()
    dynamodb = session.client("dynamodb", config=AWS_CONFIG)
    pipeline = Pipeline(
        settings=settings,
        objects=Objects(session.client("s3", config=AWS_CONFIG.merge(CLIENT_CONFIG))),
        ledger=Ledger(dynamodb, settings.ledger_table),
        catalog=Catalog(dynamodb, settings.catalog_table),
        meter=Meter.of_settings(dynamodb, settings),
        api_key=ApiKey(session.client("secretsmanager", config=AWS_CONFIG), settings.api_key_secret_arn),
        endpoint=Endpoint(settings.describe_url, MOST_SIDE_BY_SIDE, settings.answer_timeout_seconds),
        announcements=Announcements(session.client("events", config=AWS_CONFIG)),
    )
    queue = UploadQueue(
        session.client("sqs", config=AWS_CONFIG), settings.upload_queue_url, settings.dead_letter_queue_url
    )
    return pipeline, queue


_pipeline, _queue = _assemble(Settings.from_environment(os.environ))
_random = Random()  # noqa: S311 (spreads waits, guards nothing)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Take a batch, and name the messages of it that are not done."""
    ends_at = time.time() + context.get_remaining_time_in_millis() / 1000
    deliveries = [Delivery.from_record(record) for record in event["Records"]]
    pool = ThreadPoolExecutor(max_workers=MOST_SIDE_BY_SIDE)
    futures = {pool.submit(_handle, delivery, context.aws_request_id, ends_at): delivery for delivery in deliveries}
    _done, stuck = wait(futures, timeout=max(0.0, ends_at - SETTLING_SECONDS - time.time()))
    pool.shutdown(wait=False, cancel_futures=True)
    failed = [
        delivery
        for future, delivery in futures.items()
        if not (_cut_off(delivery) if future in stuck else future.result())
    ]
    return {"batchItemFailures": [{"itemIdentifier": delivery.message_id} for delivery in failed]}


def _cut_off(delivery: Delivery) -> bool:
    """Settle a message whose image is still worked at when the invocation ends. True where the poller may delete it."""
    # An endpoint that sends a byte now and then outlasts every time-out of a socket.
    logger.error("the invocation ends before the image is done", message_id=delivery.message_id)
    try:
        events = parse_body(delivery.body)
    except MalformedMessageError:
        events = []
    image = events[0] if len(events) == 1 else None
    return _settle(
        delivery, _fault(delivery, image, Reason.TRANSIENT, "the invocation ended before the call did"), image
    )


def _handle(delivery: Delivery, request_id: str, ends_at: float) -> bool:
    """Lead one message as far as it gets. True where the poller may delete it."""
    image: ObjectEvent | None = None
    outcome: Outcome
    try:
        match parse_body(delivery.body):
            case []:
                outcome = Done("no upload and no deletion")
            case [image]:
                this_try = Try(f"{request_id}/{delivery.message_id}", delivery.is_first, ends_at)
                outcome = _pipeline.process(image, this_try)
            case _:
                for body in split_body(delivery.body):
                    _queue.send(body)
                outcome = Done("split into one message for each object")
    except MalformedMessageError as error:
        outcome = Dead(Reason.MALFORMED, str(error))
    except (ClientError, BotoCoreError, AnnouncementError) as error:
        logger.exception("an AWS service failed", image=image and image.image, message_id=delivery.message_id)
        outcome = _fault(delivery, image, Reason.AWS, str(error))
    except Exception as error:
        logger.exception("unexpected error", image=image and image.image, message_id=delivery.message_id)
        outcome = _fault(delivery, image, Reason.CRASH, repr(error))
    return _settle(delivery, outcome, image)


def _fault(delivery: Delivery, image: ObjectEvent | None, reason: Reason, detail: str) -> Outcome:
    """Say what becomes of a message that failed otherwise than by an answer: it waits ever longer, then is dead."""
    until = time.time() + full_jitter(_pipeline.settings.retry_base_seconds, delivery.receives, _random)
    is_dead = delivery.receives >= RECEIVES_BEFORE_RENEWAL
    if isinstance(image, Upload):
        try:
            # What failed may have been the first look at the object, before there was a record.
            begun = isinstance(_pipeline.catalog.begin(image), Begun)
            if begun and is_dead:
                _pipeline.catalog.give_up(image, Status.DEAD, detail, attempts=None)
            elif begun:
                _pipeline.catalog.wait(image, detail, attempts=None, until=until)
        except (ClientError, BotoCoreError):
            logger.exception("the catalog could not take the reason", image=image.image)
    return Dead(reason, detail) if is_dead else Deferred(until, detail)


def _settle(delivery: Delivery, outcome: Outcome, image: ObjectEvent | None = None) -> bool:
    facts = {"image": image and image.image, "message_id": delivery.message_id, "receives": delivery.receives}
    match outcome:
        case Done(result):
            logger.info("done", extra={"result": result, **facts})
        case Deferred(until, why):
            logger.warning("deferred", extra={"seconds": round(until - time.time(), 1), "why": why, **facts})
        case Dead(reason, detail):
            logger.error("dead letter", extra={"reason": reason, "detail": detail, **facts})
    try:
        return _queue.settle(delivery, outcome)
    except (ClientError, BotoCoreError):
        # The message stays in the queue and comes back when its visibility time-out is over.
        logger.exception("the queue failed", extra=facts)
        return False
