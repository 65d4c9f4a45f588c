"""The way of one image: inspect, open its record, claim its content, render, call the endpoint, save, tag, record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import inf
from random import Random
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.aws.imaging import Derived, Imaging, Unfit
from imagescribe.aws.s3 import Addressed, Objects, rendered_from, skip_reason
from imagescribe.aws.secrets import ApiKey
from imagescribe.endings import Endings, already_done, described, uncovered
from imagescribe.endpoint import Endpoint
from imagescribe.errors import NoApiKeyError
from imagescribe.job import Job
from imagescribe.log import logger
from imagescribe.metrics import Metric, Metrics
from imagescribe.model.announcements import Announcement
from imagescribe.model.answers import (
    AccountFault,
    Answer,
    Description,
    Limited,
    Refusal,
    Rejected,
    Transient,
    error_words,
)
from imagescribe.model.backoff import full_jitter
from imagescribe.model.events import Upload
from imagescribe.model.outcomes import Dead, Deferred, Done, Outcome, Reason
from imagescribe.model.record import AlreadyFinal, Opened, Stale, Status
from imagescribe.model.tags import OurTags, Tagging, TagState, tag_value
from imagescribe.model.times import milliseconds
from imagescribe.settings import Settings
from imagescribe.stores.catalog import Catalog
from imagescribe.stores.ledger import Claimed, ClaimedElsewhere, Ledger
from imagescribe.throttle import Permit, RetryAt, Throttle, ThrottleBusyError

if TYPE_CHECKING:
    # Imported only where they are on: each import starts with the function.
    from imagescribe.aws.annotations import Annotations
    from imagescribe.model.labels import Vocabulary

FRESH_SECONDS: Final = 2.5
"""How long before it is paid for an object may have been inspected: most starts come sooner."""

FRESH_SECONDS_FOR_TAGS: Final = 0.5
"""The same before it is tagged: saving may have taken its time."""

CLAIMED_WAIT_SECONDS: Final = 5.0  # about as long as a call takes


@dataclass(frozen=True, slots=True)
class Pipeline:
    """Whom an image meets on its way."""

    settings: Settings
    objects: Objects
    imaging: Imaging
    ledger: Ledger
    catalog: Catalog
    api_key: ApiKey
    throttle: Throttle
    endpoint: Endpoint
    endings: Endings
    vocabulary: Callable[[], Vocabulary | None] = lambda: None
    annotations: Annotations | None = None
    metrics: Metrics = field(default_factory=Metrics)
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    random: Random = field(default_factory=Random)

    def describe(self, job: Job) -> Outcome:
        """Lead one image its whole way, as far as it gets this time."""
        with ExitStack() as if_not_called, ExitStack() as if_not_saved:
            if job.permit:
                if_not_called.callback(self._release, job.permit)

            # Inspect: what is in the bucket now, whatever the event says of it?
            inspected_at = self.clock()
            head = self.objects.inspect(job.event)
            if head is None:
                return self.endings.gone(job)
            if head.size == 0 and job.event.key.endswith("/"):
                return Done("a folder of the console")
            upload = job.event if isinstance(job.event, Upload) else uncovered(job.event, head, job.known)
            if isinstance(upload, Done):
                return upload
            if (head.etag, head.version_id) != (upload.etag, upload.version_id):
                return Done("stale: a later upload has an event of its own")

            # Open its record, which an older event may not.
            match job.known.standing(upload) or self.catalog.open(upload):
                case Opened(attempts):
                    pass
                case AlreadyFinal() | Stale() as ended:
                    return already_done(upload, ended, is_first=job.is_first)
            if reason := skip_reason(head, self.settings.max_bytes_as_they_are):
                return self.endings.close(upload, attempts, Status.SKIPPED, reason)

            # Claim its content, unless that is paid for.
            match self.ledger.claim(upload, job.holder, job.ends_at):
                case ClaimedElsewhere() as claimed:
                    return self.endings.wait(upload, attempts, self.claimed_wait(claimed))
                case Description() as description:
                    self.metrics.add(Metric.COPIES)
                    return self._finish(job, upload, attempts, description, inspected_at)
                case Claimed():
                    if_not_saved.callback(self.ledger.release, upload, job.holder)

            # Have a picture of it made that the endpoint takes, if it is not to get this one.
            rendered = rendered_from(head, self.settings.max_bytes_as_they_are)
            picture = self.imaging.rendition(upload, self.settings.max_image_bytes) if rendered else upload
            match picture:
                case Unfit(reason):
                    return self.endings.close(upload, attempts, Status.SKIPPED, reason)
                case Transient() | Limited() as failure:
                    return self._refused(upload, attempts, failure, None)
                case Derived(is_new=True):
                    # That took seconds, in which another call may start in its place.
                    if_not_called.close()
                    job = replace(job, permit=None)

            # Call the endpoint, at the time that the throttle permits.
            permit = job.permit or self.throttle.acquire(yields=job.yields)[0]
            if isinstance(permit, RetryAt):
                return self.endings.wait(upload, attempts, Deferred(permit.time, permit.why))
            if not job.permit:
                if_not_called.callback(self._release, permit)
            self.sleep(max(0.0, permit.start.at - self.clock()))
            if job.ends_at - self.clock() < self.settings.call_seconds:
                return self.endings.wait(upload, attempts, Deferred(self.clock(), "no time was left for a call"))
            if self.clock() - inspected_at > FRESH_SECONDS:
                inspected_at = self.clock()
                if not self.endings.is_current(upload):
                    return self.endings.overwritten(upload)
            answer = self._call(picture, if_not_called)
            if isinstance(answer, Description) or (isinstance(answer, Transient) and answer.may_be_billed):
                if_not_saved.pop_all()
                if_not_saved.callback(self.ledger.release, upload, job.holder, may_be_paid=True)
            if not isinstance(answer, Description):
                return self._refused(upload, attempts, answer, self._record(permit, answer))

            # Save what is paid for before anything else. Of an object overwritten meanwhile nobody knows what it is of.
            inspected_at = self.clock() if upload.version_id is None else -inf
            if upload.version_id is None and not self.endings.is_current(upload, job.ends_at):
                self._record(permit, answer)
                return self.endings.overwritten(upload)
            if_not_saved.pop_all()
            description = self.ledger.save(upload, replace(answer, rendered_from=rendered), job.ends_at)
            self._record(permit, answer)
            return self._finish(job, upload, attempts, description, inspected_at)

    def _call(self, picture: Addressed, if_not_called: ExitStack) -> Answer:
        """Call the endpoint, and once more if the key was refused and another one is in the secret by now."""
        try:
            key, url = self.api_key.get(), self.objects.presign(picture)
            if_not_called.pop_all()
            answer = self.endpoint.describe(url, key)
            if isinstance(answer, AccountFault) and answer.concerns_key and (fresh := self.api_key.get(key)) != key:
                return self.endpoint.describe(url, fresh)
        except NoApiKeyError as error:
            if_not_called.pop_all()  # the throttle is told by this answer
            return AccountFault(str(error))
        return answer

    def _refused(self, upload: Upload, attempts: int, answer: Refusal, retry: RetryAt | None) -> Outcome:
        """Say what becomes of an image whose call brought no description."""
        match answer:
            case Limited(detail) | AccountFault(detail):
                until = retry.time if retry else self.clock() + self._backoff(1)
                return self.endings.wait(upload, attempts, Deferred(until, detail))
            case Rejected(detail):
                return self.endings.close(upload, attempts, Status.REJECTED, detail)
            case Transient(detail):
                attempts += 1
                if attempts < self.settings.max_attempts:
                    return self.endings.wait(upload, attempts, Deferred(self.clock() + self._backoff(attempts), detail))
                announces = self.endings.give_up(upload, Reason.TRANSIENT, detail, attempts)
                return Dead(Reason.TRANSIENT, f"{upload.image}: {attempts} attempts, the last: {detail}", announces)

    def _finish(
        self, job: Job, upload: Upload, attempts: int, description: Description, inspected_at: float
    ) -> Outcome:
        """Tag and record a description that is paid for."""
        prompt = description.prompt
        if prompt is None:
            detail = "the answer was paid for and kept in the ledger, but no prompt can be read in it"
            announces = self.endings.give_up(upload, Reason.UNREADABLE, detail, attempts)
            words = error_words(description.body)[:200]
            return Dead(Reason.UNREADABLE, f"{upload.image}: {detail}: {words}", announces)
        if self.clock() - inspected_at > FRESH_SECONDS_FOR_TAGS and not self.endings.is_current(upload):
            return self.endings.overwritten(upload)
        vocabulary, known = self.vocabulary(), job.known.label_tags
        labels = vocabulary.labels_of(prompt) if vocabulary else frozenset[str]()
        tagging = self._tag(upload, prompt, vocabulary, known, job)
        annotation = self._annotate(upload, prompt, description)
        if tagging is None or annotation is None:
            return self.endings.overwritten(upload)
        recorded = self.catalog.describe(
            upload,
            description.described_at,
            prompt,
            tagging.state,
            attempts,
            model=description.model,
            rendered_from=description.rendered_from,
            labels=labels,
            label_tags=None if tagging.labels == known else tagging.labels,
            annotation=annotation,
        )
        if recorded != prompt:
            if upload.version_id is None:
                # It was overwritten after we looked, and its new tags may have been written before our old ones.
                if recorded:
                    self._tag(upload, recorded, vocabulary, tagging.labels, job)
                elif tagging.labels:  # whoever describes it would take them for a person's
                    self.objects.tag(upload, OurTags(labels={}, known=tagging.labels), job.ends_at)
            return Done("stale: a later event has a record")
        self.metrics.add(Metric.DESCRIBED)
        if not job.yields:  # how long ago what was in the bucket before was uploaded says nothing of us
            seconds = self.clock() - milliseconds(upload.uploaded_at) / 1000
            self.metrics.add(Metric.SECONDS_TO_PROMPT, max(0.0, seconds))
        facts = described(prompt, description.model, labels)
        return Done(Status.DESCRIBED, Announcement.of_status(upload, Status.DESCRIBED, **facts))

    def _tag(
        self, upload: Upload, prompt: str, vocabulary: Vocabulary | None, known: Mapping[str, str], job: Job
    ) -> Tagging | None:
        """Write a prompt and its labels onto its object, unless that is off. None where that is another one by now."""
        if not self.settings.prompt_tag_key:
            return Tagging({}, TagState.OFF, known)
        of_prompt = {self.settings.prompt_tag_key: tag_value(prompt)}
        of_labels = vocabulary.tags(vocabulary.labels_of(prompt)) if vocabulary else None
        return self.objects.tag(upload, OurTags(of_prompt, of_labels, known), job.ends_at)

    def _annotate(self, upload: Upload, prompt: str, description: Description) -> TagState | None:
        """Write a prompt as an annotation, if that is on. None where the object is another one by now."""
        if self.annotations is None:
            return TagState.OFF
        return self.annotations.write(upload, prompt, description.model, description.described_at)

    def _release(self, permit: Permit) -> None:
        """Return a permit that was not used, if the throttle can be reached."""
        try:
            self.throttle.release(permit)
        except (ClientError, BotoCoreError, ThrottleBusyError):
            # Nobody starts in its place, and its price counts as spent until the day is over.
            logger.exception("a permit could not be released")

    def _record(self, permit: Permit, answer: Answer) -> RetryAt | None:
        """Tell the throttle what a call brought, if it can be reached: what was paid for is not lost over it."""
        self.metrics.answered(answer, self.settings.price_per_call_usd)
        try:
            return self.throttle.record(permit, answer)
        except (ClientError, BotoCoreError, ThrottleBusyError):
            logger.exception("an answer could not be recorded in the throttle")
            return None

    def _backoff(self, attempts: int) -> float:
        return full_jitter(self.settings.retry_base_seconds, attempts, self.random)

    def claimed_wait(self, claimed: ClaimedElsewhere) -> Deferred:
        """Return until when an image waits whose content is being described for another one."""
        seconds = self.random.uniform(0.5, 1.0) * CLAIMED_WAIT_SECONDS
        return Deferred(min(claimed.lease_until, self.clock() + seconds), "the same picture is being described")
