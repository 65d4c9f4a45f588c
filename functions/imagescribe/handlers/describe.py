r"""The describe function: one batch of messages from the upload queue, its images described side by side.

The event is what SQS invokes a function with (samples in ``events/``)::

    {"Records": [{"messageId": "…", "receiptHandle": "…", "body": "{\"detail-type\": \"Object Created\", …}",
                  "attributes": {"ApproximateReceiveCount": "1", …}, "messageAttributes": {}, …}, …]}

The answer names the messages that are not done: ``{"batchItemFailures": [{"itemIdentifier": "…"}, …]}``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from random import Random
from typing import TYPE_CHECKING, Any, Final

import boto3
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.announcements import Announcements
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
from imagescribe.queues import Delivery, NotHiddenError, UploadQueue
from imagescribe.settings import Settings
from imagescribe.turns import Turns
from imagescribe.uploads import ObjectEvent, Upload, parse_body, split_body

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

MOST_FAULTS: Final = 10
"""How often something other than the endpoint fails with a message before it is a dead letter."""

SETTLING_SECONDS: Final = 10.0
"""Kept of an invocation for its end: a thread that is still at work then is not waited for."""

logger = Logger(service="imagescribe")


def _assemble(settings: Settings) -> tuple[Pipeline, UploadQueue, Announcements]:
    # Clients are made at the cold start, before any thread: making one takes long and is not safe among threads.
    session = boto3.Session()
    dynamodb = session.client("dynamodb", config=AWS_CONFIG)
    meter = Meter.of_settings(dynamodb, settings)
    pipeline = Pipeline(
        settings=settings,
        objects=Objects(session.client("s3", config=AWS_CONFIG.merge(CLIENT_CONFIG))),
        ledger=Ledger(dynamodb, settings.ledger_table),
        catalog=Catalog(dynamodb, settings.catalog_table),
        meter=meter,
        turns=Turns(meter),
        api_key=ApiKey(session.client("secretsmanager", config=AWS_CONFIG), settings.api_key_secret_arn),
        endpoint=Endpoint(settings.describe_url, MOST_SIDE_BY_SIDE, settings.answer_timeout_seconds),
    )
    queue = UploadQueue(
        session.client("sqs", config=AWS_CONFIG), settings.upload_queue_url, settings.dead_letter_queue_url
    )
    return pipeline, queue, Announcements(session.client("events", config=AWS_CONFIG))


_pipeline, _queue, _announcements = _assemble(Settings.from_environment(os.environ))
_random = Random()  # noqa: S311 (spreads waits, guards nothing)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Take a batch, and name the messages of it that are not done."""
    ends_at = time.time() + context.get_remaining_time_in_millis() / 1000
    deliveries = [Delivery.from_record(record) for record in event["Records"]]
    away = _turn_away(deliveries)
    outcomes = _describe([each for each in deliveries if each not in away], context.aws_request_id, ends_at)
    outcomes |= _announce(outcomes)
    for delivery, outcome in outcomes.items():
        _log(delivery, outcome)
    done = {delivery for delivery, outcome in (away | outcomes).items() if _settle(delivery, outcome)}
    return {"batchItemFailures": [{"itemIdentifier": each.message_id} for each in deliveries if each not in done]}


def _turn_away(deliveries: Sequence[Delivery]) -> dict[Delivery, Deferred]:
    """Defer the uploads that would only wait for the endpoint's limit, before anything is done for them."""
    uploads = [delivery for delivery in deliveries if isinstance(_image(delivery), Upload)]
    try:
        waits = _pipeline.meter.turn_away(len(uploads))
    except (ClientError, BotoCoreError):
        logger.exception("the meter could not be read")  # they will ask it again, one step on
        return {}
    if waits:
        seconds = [round(wait.until - time.time(), 1) for wait in (waits[0], waits[-1])]
        logger.info("turned away", extra={"messages": len(waits), "why": waits[0].why, "seconds": seconds})
    away = {
        delivery: Deferred(wait.until, wait.why)
        for delivery, wait in zip(uploads[len(uploads) - len(waits) :], waits, strict=True)
    }
    _hide(away)
    return away


def _describe(deliveries: Sequence[Delivery], request_id: str, ends_at: float) -> dict[Delivery, Outcome]:
    """Lead messages as far as they get, side by side."""
    tries = {
        delivery: Try(f"{request_id}/{delivery.message_id}", delivery.is_first, ends_at) for delivery in deliveries
    }
    _pipeline.turns.expect(this_try.holder for this_try in tries.values())
    pool = ThreadPoolExecutor(max_workers=MOST_SIDE_BY_SIDE)
    futures = {delivery: pool.submit(_lead_and_hide, delivery, this_try) for delivery, this_try in tries.items()}
    wait(futures.values(), timeout=max(0.0, ends_at - SETTLING_SECONDS - time.time()))
    pool.shutdown(wait=False, cancel_futures=True)
    return {delivery: future.result() if future.done() else _cut_off(delivery) for delivery, future in futures.items()}


def _lead_and_hide(delivery: Delivery, this_try: Try) -> Outcome:
    """Lead one message as far as it gets, and let it wait from now on: the others may take seconds yet."""
    outcome = _lead(delivery, this_try)
    if isinstance(outcome, Deferred):
        _hide({delivery: outcome})
    return outcome


def _lead(delivery: Delivery, this_try: Try) -> Outcome:
    """Lead one message as far as it gets."""
    image: ObjectEvent | None = None
    try:
        match parse_body(delivery.body):
            case []:
                return Done("no upload and no deletion")
            case [image]:
                return _pipeline.process(image, this_try)
            case _:
                for body in split_body(delivery.body):
                    _queue.send(body)
                return Done("split into one message for each object")
    except MalformedMessageError as error:
        return Dead(Reason.MALFORMED, str(error))
    except (ClientError, BotoCoreError) as error:
        logger.exception("an AWS service failed", image=image and image.image, message_id=delivery.message_id)
        return _fault(delivery, image, Reason.AWS, str(error))
    except Exception as error:
        logger.exception("unexpected error", image=image and image.image, message_id=delivery.message_id)
        return _fault(delivery, image, Reason.CRASH, repr(error))
    finally:
        _pipeline.turns.leave(this_try.holder)


def _cut_off(delivery: Delivery) -> Outcome:
    """Say what becomes of a message whose image is still worked at when the invocation ends."""
    # An endpoint that sends a byte now and then outlasts every time-out of a socket.
    logger.error("the invocation ends before the image is done", message_id=delivery.message_id)
    return _fault(delivery, _image(delivery), Reason.TRANSIENT, "the invocation ended before the call did")


def _fault(delivery: Delivery, image: ObjectEvent | None, reason: Reason, detail: str) -> Outcome:
    """Say what becomes of a message that failed otherwise than by an answer: it waits ever longer, then is dead."""
    faults = delivery.faults + 1
    until = time.time() + full_jitter(_pipeline.settings.retry_base_seconds, faults, _random)
    if isinstance(image, Upload):
        try:
            # What failed may have been the first look at the object, before there was a record.
            begun = isinstance(_pipeline.catalog.begin(image), Begun)
            if begun and faults >= MOST_FAULTS:
                _pipeline.catalog.give_up(image, Status.DEAD, detail, attempts=None)
            elif begun:
                _pipeline.catalog.wait(image, detail, attempts=None, until=until)
        except (ClientError, BotoCoreError):
            logger.exception("the catalog could not take the reason", image=image.image)
    return Dead(reason, detail) if faults >= MOST_FAULTS else Deferred(until, detail, is_fault=True)


def _announce(outcomes: Mapping[Delivery, Outcome]) -> dict[Delivery, Outcome]:
    """Announce what was described, and return other outcomes for those of which the bus did not take the event."""
    described = {
        delivery: outcome.announces
        for delivery, outcome in outcomes.items()
        if isinstance(outcome, Done) and outcome.announces
    }
    if not described:
        return {}
    try:
        errors = _announcements.send(list(described.values()))
    except (ClientError, BotoCoreError) as error:
        logger.exception("the bus failed")
        errors = [str(error)] * len(described)
    return {
        delivery: _fault(delivery, announced.upload, Reason.AWS, f"EventBridge refused the event: {error}")
        for (delivery, announced), error in zip(described.items(), errors, strict=True)
        if error
    }


def _hide(deferred: Mapping[Delivery, Deferred]) -> None:
    """Hide messages until their times, unless they are sent afresh in the end."""
    hidden = [(delivery, outcome) for delivery, outcome in deferred.items() if not delivery.is_renewed_for(outcome)]
    try:
        _queue.hide(hidden)
    except (ClientError, BotoCoreError, NotHiddenError):
        # They stay in the queue and come back when their visibility time-out is over.
        logger.exception("the queue failed", messages=[delivery.message_id for delivery, _ in hidden])


def _settle(delivery: Delivery, outcome: Outcome) -> bool:
    """Do with a message what its outcome asks. True where the poller may delete it."""
    try:
        return _queue.settle(delivery, outcome)
    except (ClientError, BotoCoreError):
        # The message stays in the queue and comes back when its visibility time-out is over.
        logger.exception("the queue failed", message_id=delivery.message_id)
        return False


def _log(delivery: Delivery, outcome: Outcome) -> None:
    image = _image(delivery)
    facts = {"image": image and image.image, "message_id": delivery.message_id, "receives": delivery.receives}
    match outcome:
        case Done(result):
            logger.info("done", extra={"result": result, **facts})
        case Deferred(until, why):
            logger.warning("deferred", extra={"seconds": round(until - time.time(), 1), "why": why, **facts})
        case Dead(reason, detail):
            logger.error("dead letter", extra={"reason": reason, "detail": detail, **facts})


def _image(delivery: Delivery) -> ObjectEvent | None:
    """Return what a message tells of, None where that is not exactly one image."""
    try:
        events = parse_body(delivery.body)
    except MalformedMessageError:
        return None
    return events[0] if len(events) == 1 else None
