"""The way of one batch: what is known of its images, permits for those that need a call, all of them side by side.

One look-up tells of the whole batch which images are paid for or came to their end, so that copies cost no start; one
request asks for the permits of the rest. Whoever gets none goes back to the queue at once, until its time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from math import inf
from random import Random
from typing import Any, Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.aws.clients import MAX_SIDE_BY_SIDE
from imagescribe.aws.eventbridge import Announcements
from imagescribe.aws.sqs import Delivery, NotDeferredError, UploadQueue
from imagescribe.errors import ImageScribeError, MalformedMessageError, OutOfTimeError
from imagescribe.job import Job
from imagescribe.log import logger
from imagescribe.metrics import Metric
from imagescribe.model.backoff import full_jitter
from imagescribe.model.events import ObjectEvent, Upload, parse_body, split_body
from imagescribe.model.outcomes import Dead, Deferred, Done, Outcome, Reason
from imagescribe.model.record import Opened
from imagescribe.model.times import iso_utc
from imagescribe.pipeline import Pipeline
from imagescribe.stores.lookup import Lookup
from imagescribe.throttle import Permit, RetryAt

MAX_FAILURES: Final = 10
"""How often our infrastructure fails with a message before it is a dead letter."""

QUEUE_SECONDS: Final = 1.0
"""How soon a message can come back: a visibility time-out is whole seconds."""

MAX_NEAR_SECONDS: Final = 4.0
"""How long a batch waits for starts one after the other, since a second of waiting costs less than going round."""

CLEAN_UP_SECONDS: Final = 10.0
"""Kept of an invocation for its end: a thread that is still at work then is not waited for."""


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
    def event(self) -> ObjectEvent | None:
        """What it tells of, None where that is not exactly one object."""
        return self.events[0] if len(self.events) == 1 else None

    @property
    def facts(self) -> dict[str, Any]:
        """What a line of the log says of it."""
        return {"image": self.event and self.event.image, "message_id": self.delivery.message_id}


type Outcomes = dict[Message, Outcome]


@dataclass(frozen=True, slots=True)
class BatchProcessor:
    """Whom a batch meets on its way.

    Parameters
    ----------
    yields
        Whether its images wait while an upload does.
    """

    pipeline: Pipeline
    lookup: Lookup
    queue: UploadQueue
    announcements: Announcements
    yields: bool = False
    clock: Callable[[], float] = time.time
    wait: Callable[[Iterable[Future[Any]], float], object] = wait
    random: Random = field(default_factory=Random)

    def process(self, messages: Sequence[Message], request_id: str, ends_at: float) -> set[Message]:
        """Take a batch as far as it gets until the invocation ends (epoch seconds); return what may be deleted."""
        outcomes: Outcomes = {message: self._no_image(message) for message in messages if message.event is None}
        jobs = {
            message: Job(
                message.event,
                f"{request_id}/{message.delivery.message_id}",
                ends_at,
                is_first=message.delivery.is_first,
                yields=self.yields,
            )
            for message in messages
            if message.event is not None
        }
        outcomes |= self._images(jobs, ends_at)
        outcomes |= self._announce(outcomes)
        for message, outcome in outcomes.items():
            _log(message, outcome)
        self.pipeline.metrics.flush()
        return {message for message, outcome in outcomes.items() if self._acknowledge(message, outcome)}

    def _images(self, jobs: dict[Message, Job], ends_at: float) -> Outcomes:
        """Lead images on side by side, with a permit where they need a call; put the others back until their time."""
        outcomes: Outcomes = {}
        futures: dict[Message, Future[Outcome]] = {}
        pool = ThreadPoolExecutor(MAX_SIDE_BY_SIDE)
        try:
            if closed := self.pipeline.throttle.closed():
                outcomes |= {each: Deferred(closed.time, closed.why) for each, job in jobs.items() if job.needs_call}
            jobs = {message: job for message, job in jobs.items() if message not in outcomes}
            known = self.lookup.of([job.event for job in jobs.values()])
            jobs = {message: replace(job, known=each) for (message, job), each in zip(jobs.items(), known, strict=True)}
            # Copies in one batch: one is enough, the others find its content claimed.
            one_each = {job.content: message for message, job in reversed(jobs.items()) if job.needs_call}
            calling = {message: jobs[message] for message in one_each.values()}
            futures |= {each: pool.submit(self._lead, each, job) for each, job in jobs.items() if each not in calling}
            for message, permit in self._permits(calling):
                if isinstance(permit, Permit):
                    job = replace(calling[message], permit=permit)
                    futures[message] = pool.submit(self._lead, message, job)
                else:
                    outcomes[message] = Deferred(permit.time, permit.why)
        except (ClientError, BotoCoreError, ImageScribeError) as error:
            left = [message for message in jobs if message not in futures and message not in outcomes]
            logger.exception("nothing could be asked for the batch", extra={"messages": len(left)})
            # Side by side too: each tells its record, and a table that does not answer takes its time.
            futures |= {message: pool.submit(self._failure, message, Reason.AWS, str(error)) for message in left}
        waiting = {each: outcome for each, outcome in outcomes.items() if isinstance(outcome, Deferred)}
        opened = [pool.submit(self._open, each, deferred) for each, deferred in waiting.items()]
        self.wait(opened, max(0.0, ends_at - CLEAN_UP_SECONDS - self.clock()))
        self._defer(waiting)
        self.wait(futures.values(), max(0.0, ends_at - CLEAN_UP_SECONDS - self.clock()))
        pool.shutdown(wait=False, cancel_futures=True)
        return outcomes | {
            message: future.result() if future.done() else self._cut_off(message) for message, future in futures.items()
        }

    def _permits(self, calling: Collection[Message]) -> Iterator[tuple[Message, Permit | RetryAt]]:
        """Yield for each image its permit, as soon as there is one, or when it comes back."""
        left, give_up_at = list(calling), self.clock() + MAX_NEAR_SECONDS
        while left:
            answers = list(zip(left, self.pipeline.throttle.acquire(len(left), yields=self.yields), strict=True))
            yield from ((message, answer) for message, answer in answers if isinstance(answer, Permit))
            retries = [(message, answer) for message, answer in answers if isinstance(answer, RetryAt)]
            soonest = min((each.time for _, each in retries), default=inf)
            # While a limit is searched for, a start may be nearer than the queue can bring a message back.
            if soonest > min(self.clock() + QUEUE_SECONDS, give_up_at):
                yield from retries
                return
            self.pipeline.sleep(max(0.0, soonest - self.clock()))
            left = [message for message, _ in retries]

    def _open(self, message: Message, deferred: Deferred) -> None:
        """Open the record of an image that waits from its first receipt on, so that it can be seen to wait."""
        try:
            if message.delivery.is_first and isinstance(message.event, Upload):
                self.pipeline.catalog.open(message.event, deferred)
        except (ClientError, BotoCoreError):
            logger.exception("the catalog could not take a waiting image", extra=message.facts)

    def _lead(self, message: Message, job: Job) -> Outcome:
        """Lead one image as far as it gets, and put its message back at once if it waits: others may take seconds."""
        try:
            outcome = self.pipeline.describe(job)
        except OutOfTimeError as error:
            return Deferred(self.clock(), str(error))
        except (ClientError, BotoCoreError, ImageScribeError) as error:
            logger.exception("an AWS service failed", extra=message.facts)
            outcome = self._failure(message, Reason.AWS, str(error))
        except Exception as error:  # a bug meets one image: it waits and is tried again, the others go on
            logger.exception("unexpected error", extra=message.facts)
            outcome = self._failure(message, Reason.CRASH, repr(error))
        if isinstance(outcome, Deferred):
            self._defer({message: outcome})
        return outcome

    def _no_image(self, message: Message) -> Outcome:
        """Say what becomes of a message that does not tell of exactly one object."""
        if message.malformed:
            return Dead(Reason.MALFORMED, message.malformed)
        try:
            for body in split_body(message.delivery.body) if message.events else ():
                self.queue.send(body)
        except (ClientError, BotoCoreError) as error:
            logger.exception("the queue failed", extra=message.facts)
            return self._failure(message, Reason.AWS, str(error))
        return Done("split into one message for each object" if message.events else "no upload and no deletion")

    def _cut_off(self, message: Message) -> Outcome:
        """Say what becomes of a message whose image is still worked at when the invocation ends."""
        # An endpoint that sends a byte now and then outlasts every time-out of a socket.
        logger.error("the invocation ends before the image is done", extra=message.facts)
        return self._failure(message, Reason.TRANSIENT, "the invocation ended before the call did")

    def _failure(self, message: Message, reason: Reason, detail: str) -> Outcome:
        """Say what becomes of a message that failed otherwise than by an answer: it waits ever longer, then is dead."""
        failures, image = message.delivery.failures + 1, message.event
        self.pipeline.metrics.add(Metric.OWN_FAILURES)
        until = self.clock() + full_jitter(self.pipeline.settings.retry_base_seconds, failures, self.random)
        deferred, announces = Deferred(until, detail, is_failure=True), None
        if isinstance(image, Upload):
            catalog = self.pipeline.catalog
            try:
                # What failed may have been the first request for it, before there was a record.
                opened = isinstance(catalog.open(image, deferred), Opened)
                if opened and failures >= MAX_FAILURES:
                    announces = self.pipeline.endings.give_up(image, reason, detail, attempts=None)
                elif opened:
                    catalog.wait(image, deferred, attempts=None)
            except (ClientError, BotoCoreError):
                logger.exception("the catalog could not take the reason", extra=message.facts)
        return Dead(reason, detail, announces) if failures >= MAX_FAILURES else deferred

    def _announce(self, outcomes: Outcomes) -> Outcomes:
        """Announce what came to an end, and return other outcomes for those of which the bus did not take the event."""
        ended = {
            message: outcome.announces
            for message, outcome in outcomes.items()
            if isinstance(outcome, Done | Dead) and outcome.announces
        }
        if not ended:
            return {}
        try:
            errors = self.announcements.send(list(ended.values()))
        except (ClientError, BotoCoreError) as error:
            logger.exception("the bus failed")
            errors = [str(error)] * len(ended)
        return {
            message: self._failure(message, Reason.AWS, f"EventBridge refused the event: {error}")
            for message, error in zip(ended, errors, strict=True)
            if error
        }

    def _defer(self, deferred: Mapping[Message, Deferred]) -> None:
        """Make messages invisible until their times."""
        try:
            self.queue.defer([(message.delivery, outcome) for message, outcome in deferred.items()])
        except (ClientError, BotoCoreError, NotDeferredError):
            # They stay in the queue and come back when their visibility time-out is over.
            logger.exception("the queue failed", extra={"messages": [each.delivery.message_id for each in deferred]})

    def _acknowledge(self, message: Message, outcome: Outcome) -> bool:
        """Do with a message what its outcome asks. True where the poller may delete it."""
        try:
            return self.queue.acknowledge(message.delivery, outcome)
        except (ClientError, BotoCoreError):
            # The message stays in the queue and comes back when its visibility time-out is over.
            logger.exception("the queue failed", extra=message.facts)
            return False


def _log(message: Message, outcome: Outcome) -> None:
    """Write one line for each outcome."""
    facts = {**message.facts, "receive_count": message.delivery.receive_count}
    match outcome:
        case Done(result):
            logger.info("done", extra={"result": result, **facts})
        case Deferred(until, why):
            logger.info("deferred", extra={"until": iso_utc(until), "why": why, **facts})
        case Dead(reason, detail):
            logger.error("dead letter", extra={"reason": reason, "detail": detail, **facts})
