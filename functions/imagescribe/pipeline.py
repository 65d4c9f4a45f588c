"""The way of one image: inspect, claim, describe, tag, record; what there is to announce comes with the outcome."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.aws.eventbridge import ImageDescribed
from imagescribe.aws.s3 import Found, Objects, unfit
from imagescribe.aws.secrets import ApiKey
from imagescribe.endpoint import CONNECT_TIMEOUT_SECONDS, Endpoint
from imagescribe.errors import NoApiKeyError
from imagescribe.meter import Grant, Meter, Wait
from imagescribe.model.answers import AccountFault, Answer, Description, Limited, Refusal, Rejected, Transient
from imagescribe.model.backoff import full_jitter
from imagescribe.model.events import Deletion, ObjectEvent, Upload
from imagescribe.model.outcomes import Dead, Deferred, Done, Outcome, Reason
from imagescribe.model.tags import tag_value
from imagescribe.settings import Settings
from imagescribe.stores.catalog import Begun, Catalog, Finished, Status, Superseded
from imagescribe.stores.ledger import SAVE_RETRY_SECONDS, Busy, Claimed, Ledger
from imagescribe.turns import MOST_WAIT_SECONDS, Turn

SECONDS_AROUND_A_CALL: Final = CONNECT_TIMEOUT_SECONDS + 15
"""What must be left of an invocation beside the wait for an answer: connecting, and saving it."""

STALE_SECONDS: Final = 2.5
"""After so long the object is looked at again before it is paid for: most starts come sooner."""

LOOK_AGAIN_SECONDS: Final = 0.5
"""The same before it is tagged: saving may have taken its time."""

BUSY_WAIT_SECONDS: Final = 5.0  # about as long as a call takes

type Look = tuple[float, Found | None]
"""Since when what was found may have changed (epoch seconds), and what that was."""


@dataclass(frozen=True, slots=True)
class Try:
    """One delivery of one message, as far as the way of its image depends on it.

    Attributes
    ----------
    holder
        Who it is in the ledger; no two tries share it.
    is_first
        Whether no try before it can have begun with the message.
    ends_at
        When the invocation ends, in epoch seconds.
    turn
        The image's turn at the endpoint.
    ahead
        A look at the object that was begun before its turn was known; None where there was none.
    """

    holder: str
    is_first: bool
    ends_at: float
    turn: Turn
    ahead: Future[Look] | None = None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the way of an image leads past."""

    settings: Settings
    objects: Objects
    ledger: Ledger
    catalog: Catalog
    api_key: ApiKey
    meter: Meter
    endpoint: Endpoint
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    random: Random = field(default_factory=Random)

    def turn(self, grant: Grant | None) -> Turn:
        """Return the turn of an image: with its start, or (None) one that asks when it comes to its call."""
        return Turn(self.meter, grant, self.clock, self.sleep)

    def look(self, event: ObjectEvent) -> Look:
        """Inspect the object an event tells of."""
        return self.clock(), self.objects.inspect(event)

    def process(self, event: ObjectEvent, this_try: Try) -> Outcome:
        """Lead one image its whole way, as far as it gets this time."""
        looked_at, found = this_try.ahead.result() if this_try.ahead else self.look(event)
        if found is None:
            self.catalog.remove(event)
            return Done("the object is gone")
        if found.size == 0 and event.key.endswith("/"):
            return Done("a folder of the console")
        if isinstance(event, Deletion):
            if found.version_id is None:
                return Done("another upload came after the deletion, with an event of its own")
            # A version or a delete marker was deleted, and what was under it is current again.
            event = Upload(
                event.bucket,
                event.key,
                found.version_id,
                found.etag,
                found.size,
                event.sequencer,
                event.deleted_at,
            )
        if (found.etag, found.version_id) != (event.etag, event.version_id):
            return Done("superseded by a later upload, with an event of its own")

        match self.catalog.begin(event):
            case Superseded():
                return Done("superseded by a later event")
            case Finished(status, prompt):
                # If it came to its end in an earlier try of this very message, the event may not have been sent.
                return Done(status, ImageDescribed(event, prompt) if prompt and not this_try.is_first else None)
            case Begun() as record:
                pass

        if reason := unfit(found, self.settings.max_image_bytes):
            return self._close(event, record, Status.SKIPPED, reason)

        match self.ledger.claim(event, this_try.holder, this_try.ends_at):
            case Busy(lease_until):
                return self._wait(event, record, "the same picture is being described", self._after_busy(lease_until))
            case Description() as description:
                return self._finish(event, record, description, looked_at)
            case Claimed():
                return self._pay(event, record, this_try, looked_at)

    def _pay(self, upload: Upload, record: Begun, this_try: Try, looked_at: float) -> Outcome:
        """Make the paid call for a claimed upload, and give the claim back unless it was paid for."""
        paid = False
        try:
            called = self._call_in_turn(upload, record, this_try, looked_at)
            if isinstance(called, Outcome):
                return called
            grant, answer = called
            if not isinstance(answer, Description):
                self.meter.report(grant, answer)
                return self._refused(upload, record, answer)
            looked_at = -inf
            if upload.version_id is None:
                looked_at = self.clock()
                if not self._is_current(upload, this_try.ends_at):
                    # The endpoint may have read the new picture, so nobody knows what was described.
                    self.meter.report(grant, answer)
                    return self._overtaken(upload)
            paid = True
            description = self.ledger.save(upload, answer, this_try.ends_at)
            self.meter.report(grant, answer)
            return self._finish(upload, record, description, looked_at)
        finally:
            if not paid:
                self.ledger.release(upload, this_try.holder)

    def _call_in_turn(
        self, upload: Upload, record: Begun, this_try: Try, looked_at: float
    ) -> tuple[Grant, Answer] | Outcome:
        """Call the endpoint when the meter says so, again where it was too early for it but the next turn is near."""
        try:
            key = self.api_key.get()
        except NoApiKeyError as error:
            self.meter.account_fault(str(error), this_try.turn.grant)
            return self._refused(upload, record, AccountFault(str(error)))
        give_up_at, refusal = self.clock() + MOST_WAIT_SECONDS, Limited("", until=None)
        while True:
            granted = this_try.turn.come(give_up_at)
            if isinstance(granted, Wait):
                until = max(granted.until, refusal.until or 0.0)
                return self._wait(upload, record, refusal.detail or granted.why, until)
            if this_try.ends_at - self.clock() < SECONDS_AROUND_A_CALL + self.settings.answer_timeout_seconds:
                return self._wait(upload, record, "no time was left for a call", self.clock())
            if self.clock() - looked_at > STALE_SECONDS:
                looked_at = self.clock()
                if not self._is_current(upload):
                    return self._overtaken(upload)
            url = self.objects.presign(upload)
            this_try.turn.use()
            answer = self._call(url, key)
            if not isinstance(answer, Limited) or self.clock() >= give_up_at:
                return granted, answer
            self.meter.report(granted, answer)
            refusal = answer

    def _call(self, url: str, key: str) -> Answer:
        """Call the endpoint, and once more if the key was refused and another one is in the secret by now."""
        answer = self.endpoint.describe(url, key)
        if isinstance(answer, AccountFault) and answer.concerns_key:
            try:
                fresh = self.api_key.get(refused=key)
            except NoApiKeyError as error:
                return AccountFault(str(error))
            if fresh != key:
                return self.endpoint.describe(url, fresh)
        return answer

    def _refused(self, upload: Upload, record: Begun, answer: Refusal) -> Outcome:
        """Say what becomes of an image whose call brought no description."""
        match answer:
            case Limited(detail, until):
                reset = until if until is not None else self.clock() + self.settings.retry_base_seconds
                # Everyone is told the same time: come back spread over the seconds after it.
                spread = full_jitter(self.settings.retry_base_seconds, 1, self.random)
                return self._wait(upload, record, detail, reset + spread)
            case AccountFault(detail):
                pause = self.meter.wait_of_pause()
                return self._wait(upload, record, detail, pause.until if pause else self.clock())
            case Rejected(detail):
                return self._close(upload, record, Status.REJECTED, detail)
            case Transient(detail):
                attempts = record.attempts + 1
                if attempts >= self.settings.max_attempts:
                    self.catalog.give_up(upload, Status.DEAD, detail, attempts)
                    return Dead(Reason.TRANSIENT, f"{upload.image}: {attempts} attempts, the last: {detail}")
                wait = full_jitter(self.settings.retry_base_seconds, attempts, self.random)
                return self._wait(upload, Begun(record.status, attempts), detail, self.clock() + wait)

    def _finish(self, upload: Upload, record: Begun, description: Description, looked_at: float) -> Outcome:
        """Tag and record a description that is paid for."""
        prompt = description.prompt
        if prompt is None:
            detail = "the answer was paid for and kept in the ledger, but no prompt can be read in it"
            self.catalog.give_up(upload, Status.DEAD, detail, record.attempts)
            return Dead(Reason.UNREADABLE, f"{upload.image}: {detail}: {description.body[:200]}")
        if self.clock() - looked_at > LOOK_AGAIN_SECONDS and not self._is_current(upload):
            return self._overtaken(upload)
        tags = self.objects.tag(upload, self.settings.prompt_tag_key, tag_value(prompt))
        if tags is None:
            return self._overtaken(upload)
        standing = self.catalog.describe(upload, description.described_at, prompt, tags, record.attempts)
        if standing != prompt:
            if standing and upload.version_id is None:
                # It was overwritten after we looked, and its new tag may have been written before our old one.
                self.objects.tag(upload, self.settings.prompt_tag_key, tag_value(standing))
            return Done("superseded by a later event")
        return Done("described", ImageDescribed(upload, prompt))

    def _close(self, upload: Upload, record: Begun, status: Status, reason: str) -> Outcome:
        """End with a record that says why there is no prompt and will be none."""
        if not self._is_current(upload):
            return self._overtaken(upload)
        self.catalog.give_up(upload, status, reason, record.attempts)
        return Done(status)

    def _is_current(self, upload: Upload, deadline: float = 0.0) -> bool:
        """Whether the object is still this upload; tried until the deadline, after a call whose answer hangs on it."""
        while True:
            try:
                found = self.objects.look(upload.bucket, upload.key)
            except (ClientError, BotoCoreError):
                if self.clock() + SAVE_RETRY_SECONDS >= deadline:
                    raise
                self.sleep(SAVE_RETRY_SECONDS)
            else:
                return found is not None and (found.etag, found.version_id) == (upload.etag, upload.version_id)

    def _overtaken(self, upload: Upload) -> Outcome:
        """Leave an image to the event of whoever overwrote or deleted it."""
        # That event may be done already: then nobody else would take out a record that was begun after it.
        self.catalog.remove(upload)
        return Done("overwritten or deleted meanwhile, with an event of its own")

    def _wait(self, upload: Upload, record: Begun, why: str, until: float) -> Outcome:
        if not self.catalog.wait(upload, why, record.attempts, until):
            return Done("superseded by a later event")
        return Deferred(until, why)

    def _after_busy(self, lease_until: float) -> float:
        return min(lease_until, self.clock() + self.random.uniform(0.5, 1.0) * BUSY_WAIT_SECONDS)
