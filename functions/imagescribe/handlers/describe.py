r"""The describe function: one batch of messages from the upload queue, its images described side by side.

The event is what SQS invokes a function with (samples in ``events/``)::

    {"Records": [{"messageId": "…", "receiptHandle": "…", "body": "{\"detail-type\": \"Object Created\", …}",
                  "attributes": {"ApproximateReceiveCount": "1", …}, "messageAttributes": {}, …}, …]}

The answer names the messages that are not done: ``{"batchItemFailures": [{"itemIdentifier": "…"}, …]}``.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final, Self

import boto3
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.aws.clients import AWS_CONFIG, MOST_SIDE_BY_SIDE
from imagescribe.aws.eventbridge import Announcements
from imagescribe.aws.s3 import CLIENT_CONFIG, Objects
from imagescribe.aws.secrets import ApiKey
from imagescribe.aws.sqs import Delivery, NotHiddenError, UploadQueue
from imagescribe.endpoint import Endpoint
from imagescribe.errors import MalformedMessageError
from imagescribe.meter import Grant, Meter, Wait
from imagescribe.model.backoff import full_jitter
from imagescribe.model.events import ObjectEvent, Upload, parse_body, split_body
from imagescribe.model.outcomes import Dead, Deferred, Done, Outcome, Reason
from imagescribe.pipeline import Look, Pipeline, Try
from imagescribe.settings import Settings
from imagescribe.stores.catalog import Begun, Catalog, Status
from imagescribe.stores.ledger import Ledger
from imagescribe.turns import ask_for_all

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
    pipeline = Pipeline(
        settings=settings,
        objects=Objects(session.client("s3", config=AWS_CONFIG.merge(CLIENT_CONFIG))),
        ledger=Ledger(dynamodb, settings.ledger_table),
        catalog=Catalog(dynamodb, settings.catalog_table),
        meter=Meter.of_settings(dynamodb, settings),
        api_key=ApiKey(session.client("secretsmanager", config=AWS_CONFIG), settings.api_key_secret_arn),
        endpoint=Endpoint(settings.describe_url, MOST_SIDE_BY_SIDE, settings.answer_timeout_seconds),
    )
    queue = UploadQueue(
        session.client("sqs", config=AWS_CONFIG), settings.upload_queue_url, settings.dead_letter_queue_url
    )
    return pipeline, queue, Announcements(session.client("events", config=AWS_CONFIG))


_pipeline, _queue, _announcements = _assemble(Settings.from_environment(os.environ))
_random = SystemRandom()
_aside: Executor = ThreadPoolExecutor(max_workers=1)
# What the cold start made stays for good. Collecting it would take some image 12 ms here, and more on Lambda.
gc.freeze()


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A delivery and what it tells of.

    Attributes
    ----------
    events
        One for each object.
    malformed
        Why the body can't be read, empty where it can.
    """

    delivery: Delivery
    events: Sequence[ObjectEvent] = ()
    malformed: str = ""

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read a record of the event that SQS invokes a function with."""
        delivery = Delivery.from_record(record)
        try:
            return cls(delivery, parse_body(delivery.body))
        except MalformedMessageError as error:
            return cls(delivery, malformed=str(error))

    @property
    def image(self) -> ObjectEvent | None:
        """What it tells of, None where that is not exactly one image."""
        return self.events[0] if len(self.events) == 1 else None


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, list[dict[str, str]]]:
    """Take a batch, and name the messages of it that are not done."""
    ends_at = time.time() + context.get_remaining_time_in_millis() / 1000
    messages = [Message.from_record(record) for record in event["Records"]]
    led, away = _describe(messages, context.aws_request_id, ends_at)
    led |= _announce(led)
    for message, outcome in led.items():
        _log(message, outcome)
    done = {message for message, outcome in (led | away).items() if _settle(message.delivery, outcome)}
    return {
        "batchItemFailures": [
            {"itemIdentifier": message.delivery.message_id} for message in messages if message not in done
        ]
    }


def _describe(
    messages: Sequence[Message], request_id: str, ends_at: float
) -> tuple[dict[Message, Outcome], dict[Message, Deferred]]:
    """Lead messages as far as they get, side by side: an upload once it has a start, or it is turned away.

    Returns
    -------
    dict, dict
        What became of those who were led, and of those who were turned away.
    """
    pool = ThreadPoolExecutor(max_workers=MOST_SIDE_BY_SIDE)
    futures: dict[Message, Future[Outcome]] = {}
    away: dict[Message, Deferred] = {}
    ahead = _look_ahead(messages)
    for message, answer in _in_turn(messages):
        if isinstance(answer, Wait) and answer.is_turn:
            away[message] = Deferred(answer.until, answer.why)
            continue
        # In a pause it is led without a grant, so that its record says why it waits.
        turn = _pipeline.turn(answer if isinstance(answer, Grant) else None)
        holder = f"{request_id}/{message.delivery.message_id}"
        this_try = Try(holder, message.delivery.is_first, ends_at, turn, ahead)
        futures[message] = pool.submit(_lead_and_hide, message, this_try)
    if away:
        _hide(away)
        seconds = sorted(round(deferred.until - time.time(), 1) for deferred in away.values())
        logger.info("turned away", extra={"messages": len(away), "seconds": [seconds[0], seconds[-1]]})
    wait(futures.values(), timeout=max(0.0, ends_at - SETTLING_SECONDS - time.time()))
    pool.shutdown(wait=False, cancel_futures=True)
    led = {message: future.result() if future.done() else _cut_off(message) for message, future in futures.items()}
    return led, away


def _look_ahead(messages: Sequence[Message]) -> Future[Look] | None:
    """Begin to look at an image that came alone while its start is asked for: somebody may be waiting for it.

    Of a backlog most would be turned away, each with a look that cost a request; so would who was turned away before.
    """
    match messages:
        case [Message(image=Upload() as upload, delivery=Delivery(is_first=True))]:
            return _aside.submit(_pipeline.look, upload)
        case _:
            return None


def _in_turn(messages: Sequence[Message]) -> Iterator[tuple[Message, Grant | Wait | None]]:
    """Yield messages with what the meter says to them; it says nothing to those that are no upload, who go first."""
    uploads = [message for message in messages if isinstance(message.image, Upload)]
    yield from ((message, None) for message in messages if message not in uploads)
    try:
        for answer in ask_for_all(_pipeline.meter, len(uploads), _pipeline.clock, _pipeline.sleep):
            yield uploads.pop(0), answer
    except Exception:  # it will fail them one by one, each with its record and its count of faults
        logger.exception("no starts could be asked for", extra={"messages": len(uploads)})
        yield from ((message, None) for message in uploads)


def _lead_and_hide(message: Message, this_try: Try) -> Outcome:
    """Lead one message as far as it gets, and let it wait from now on: the others may take seconds yet."""
    outcome = _lead(message, this_try)
    try:
        this_try.turn.leave()
    except (ClientError, BotoCoreError):
        # Nobody starts in its place, and its price counts as spent until the day is over.
        logger.exception("a start could not be given back", extra=_facts(message))
    if isinstance(outcome, Deferred):
        _hide({message: outcome})
    return outcome


def _lead(message: Message, this_try: Try) -> Outcome:
    """Lead one message as far as it gets."""
    try:
        match message.events:
            case _ if message.malformed:
                return Dead(Reason.MALFORMED, message.malformed)
            case []:
                return Done("no upload and no deletion")
            case [image]:
                return _pipeline.process(image, this_try)
            case _:
                for body in split_body(message.delivery.body):
                    _queue.send(body)
                return Done("split into one message for each object")
    except (ClientError, BotoCoreError) as error:
        logger.exception("an AWS service failed", extra=_facts(message))
        return _fault(message, Reason.AWS, str(error))
    except Exception as error:  # a bug meets one image: it waits and is tried again, the others go on
        logger.exception("unexpected error", extra=_facts(message))
        return _fault(message, Reason.CRASH, repr(error))


def _cut_off(message: Message) -> Outcome:
    """Say what becomes of a message whose image is still worked at when the invocation ends."""
    # An endpoint that sends a byte now and then outlasts every time-out of a socket.
    logger.error("the invocation ends before the image is done", extra=_facts(message))
    return _fault(message, Reason.TRANSIENT, "the invocation ended before the call did")


def _fault(message: Message, reason: Reason, detail: str) -> Outcome:
    """Say what becomes of a message that failed otherwise than by an answer: it waits ever longer, then is dead."""
    faults, image = message.delivery.faults + 1, message.image
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


def _announce(outcomes: Mapping[Message, Outcome]) -> dict[Message, Outcome]:
    """Announce what was described, and return other outcomes for those of which the bus did not take the event."""
    described = {
        message: outcome.announces
        for message, outcome in outcomes.items()
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
        message: _fault(message, Reason.AWS, f"EventBridge refused the event: {error}")
        for message, error in zip(described, errors, strict=True)
        if error
    }


def _hide(deferred: Mapping[Message, Deferred]) -> None:
    """Hide messages until their times, unless they are sent afresh in the end."""
    hidden = [
        (message.delivery, outcome)
        for message, outcome in deferred.items()
        if not message.delivery.is_renewed_for(outcome)
    ]
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


def _log(message: Message, outcome: Outcome) -> None:
    facts = {**_facts(message), "receives": message.delivery.receives}
    match outcome:
        case Done(result):
            logger.info("done", extra={"result": result, **facts})
        case Deferred(until, why):
            logger.warning("deferred", extra={"seconds": round(until - time.time(), 1), "why": why, **facts})
        case Dead(reason, detail):
            logger.error("dead letter", extra={"reason": reason, "detail": detail, **facts})


def _facts(message: Message) -> dict[str, Any]:
    return {"image": message.image and message.image.image, "message_id": message.delivery.message_id}
