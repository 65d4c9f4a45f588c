"""How the way of an image ends, or stops for now: the record that says so, and what there is to announce of it."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.aws.s3 import ObjectHead, Objects
from imagescribe.job import Job
from imagescribe.model.announcements import Announcement, DetailType
from imagescribe.model.events import Deletion, Upload
from imagescribe.model.outcomes import Deferred, Done, Outcome, Reason
from imagescribe.model.record import AlreadyFinal, Stale, Status
from imagescribe.stores.catalog import Catalog
from imagescribe.stores.ledger import SAVE_RETRY_SECONDS
from imagescribe.stores.lookup import Known


@dataclass(frozen=True, slots=True)
class Endings:
    """Where an end is recorded, after a look at what is in the bucket by then."""

    objects: Objects
    catalog: Catalog
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep

    def close(self, upload: Upload, attempts: int, status: Status, reason: str) -> Outcome:
        """End with a record that says why there is no prompt and will be none."""
        if not self.is_current(upload):
            return self.overwritten(upload)
        if not self.catalog.give_up(upload, status, reason, attempts):
            return Done(f"{status}, but the record is a later event's or keeps its prompt")
        return Done(status, Announcement.of_status(upload, status, error=reason))

    def give_up(self, upload: Upload, reason: Reason, error: str, attempts: int | None) -> Announcement | None:
        """Record that an image is dead, and return what there is to announce: nothing where the record is not its."""
        if not self.catalog.give_up(upload, Status.DEAD, error, attempts):
            return None
        return Announcement.of_status(upload, Status.DEAD, reason=reason, error=error)

    def wait(self, upload: Upload, attempts: int, deferred: Deferred) -> Outcome:
        """Stop until a time, with a record that says why."""
        if not self.catalog.wait(upload, deferred, attempts):
            return Done("stale: a later event has a record")
        return deferred

    def overwritten(self, upload: Upload) -> Outcome:
        """Leave an image to the event of whoever overwrote or deleted it."""
        # That event may be done already: then nobody else would take out a record that was opened after it.
        removed = self.catalog.remove(upload)
        result = "overwritten or deleted meanwhile, with an event of its own"
        return Done(result, Announcement(DetailType.REMOVED, upload) if removed else None)

    def gone(self, job: Job) -> Outcome:
        """Take out the record of an object that is gone."""
        removed = self.catalog.remove(job.event)
        # If an earlier delivery of this very message took it out, the event may not have been sent. Uploads come back
        # for having waited, too: one whose event was refused has its record again.
        is_repeated = isinstance(job.event, Deletion) and not job.is_first and job.known.record is None
        announces = Announcement(DetailType.REMOVED, job.event) if removed or is_repeated else None
        return Done("the object is gone", announces)

    def is_current(self, upload: Upload, deadline: float = 0.0) -> bool:
        """Whether the object is still this upload; tried until the deadline, after a call whose answer hangs on it."""
        while True:
            try:
                head = self.objects.head(upload)
            except (ClientError, BotoCoreError):
                if self.clock() + SAVE_RETRY_SECONDS >= deadline:
                    raise
                self.sleep(SAVE_RETRY_SECONDS)
            else:
                return head is not None and (head.etag, head.version_id) == (upload.etag, upload.version_id)


def already_done(upload: Upload, ended: AlreadyFinal | Stale, *, is_first: bool) -> Done:
    """Return what is left to do for an upload that came to its end before."""
    match ended:
        case AlreadyFinal(status, prompt, error, model, labels):
            # If that was in an earlier delivery of this very message, the event may not have been sent.
            facts = described(prompt, model, labels) if prompt else {"error": error}
            return Done(status, None if is_first else Announcement.of_status(upload, status, **facts))
        case Stale():
            return Done("stale: a later event has a record")


def described(prompt: str, model: str | None, labels: Iterable[str]) -> dict[str, object]:
    """Return what is announced of an image that is described."""
    return {"prompt": prompt, "model": model, "labels": sorted(labels)}


def uncovered(deletion: Deletion, head: ObjectHead, known: Known) -> Upload | Done:
    """Return the version that a deletion made current again, or why there is nothing to do for what is there."""
    if head.version_id is None:
        return Done("another upload came after the deletion, with an event of its own")
    if deletion.expired:
        return Done("a noncurrent version expired; the current one stays as it is")
    record = known.record
    is_recorded = record and (record.etag, record.version_id) == (head.etag, head.version_id)
    if record and is_recorded and record.sequencer != deletion.sequencer:  # else it opened the record itself, before
        return Done("a noncurrent version was deleted; the current one stays as it is")
    return Upload(
        deletion.bucket, deletion.key, head.version_id, head.etag, head.size, deletion.sequencer, deletion.deleted_at
    )
