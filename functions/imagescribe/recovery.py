"""What happens every minute without a person.

Intake follows the breaker, retryable dead letters come back, and how all stands is measured. A dead letter that the
describe function did not make (SQS moved a message with which it crashed again and again) is written to its image's
record and announced here, once it stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.aws.dead_letters import DeadLetters
from imagescribe.aws.eventbridge import Announcements
from imagescribe.aws.mappings import LONG_PAUSE_SECONDS, Mappings
from imagescribe.errors import MalformedMessageError
from imagescribe.log import logger
from imagescribe.model.announcements import Announcement
from imagescribe.model.dead_letter import DeadLetter
from imagescribe.model.events import Upload, parse_body
from imagescribe.model.outcomes import Deferred
from imagescribe.model.record import Opened, Status
from imagescribe.observer import Observer
from imagescribe.stores.catalog import Catalog
from imagescribe.stores.notebook import Notebook, Notes
from imagescribe.throttle import RetryAt, Throttle
from imagescribe.throttle.item import State

READ_AGAIN_SECONDS: Final = 900.0
"""Dead letters that stay are not looked through each minute: each time is a request for every ten of them."""

UNKNOWN: Final = -1  # remaining after a run that stopped at its bound: no depth equals it, so the next one goes on

MAX_REDRIVES_A_RUN: Final = 100
"""Gently: an endpoint that has just got well is not met by all dead letters at once."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What one run did.

    Attributes
    ----------
    mappings
        What became of the event source mappings: `enabled`, `disabled`, or nothing.
    paused
        Why no calls are made, if none are.
    redriven
        Dead letters sent back, by reason.
    """

    mappings: str = ""
    paused: str = ""
    redriven: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Recovery:
    """Whom a run of recovery meets."""

    throttle: Throttle
    notebook: Notebook
    mappings: Mappings
    dead_letters: DeadLetters
    catalog: Catalog
    announcements: Announcements
    observer: Observer
    clock: Callable[[], float] = time.time

    def run(self) -> Recovered:
        """Do once what is due."""
        state, notes, depth = self.throttle.state(), self.notebook.read(), self.dead_letters.depth()
        pause = self.throttle.refusal(state)
        switched = self._switch(pause, notes)
        redriven = {} if pause else self._redrive(state, notes, depth)
        self.observer.look(state, notes, depth - sum(redriven.values()), is_open=pause is None)
        return Recovered(switched, pause.why if pause else "", redriven)

    def _switch(self, pause: RetryAt | None, notes: Notes) -> str:
        """Disable the mappings in a long pause, so that a waiting backlog costs nothing, and enable them after it."""
        is_long = pause is not None and pause.time - self.clock() > LONG_PAUSE_SECONDS
        if is_long and not (notes.intake_disabled and notes.intake_settled):
            # Noted first: a mapping that is disabled without a note would never be enabled again.
            self.notebook.note_intake(disabled=True, settled=False)
            if self.mappings.enable(enabled=False):
                self.notebook.note_intake(disabled=True)
                return "disabled"
        if pause is None and notes.intake_disabled and self.mappings.enable(enabled=True):
            # The first call that comes through is the breaker's probe.
            self.notebook.note_intake(disabled=False)
            return "enabled"
        return ""

    def _redrive(self, state: State, notes: Notes, depth: int) -> dict[str, int]:
        """Bring back the retryable dead letters, unless they are the same ones that stayed the last time."""
        now = self.clock()
        if not depth or (depth == notes.dlq_remaining and now - notes.dlq_read_at < READ_AGAIN_SECONDS):
            return {}
        # Where the last call failed, or the breaker waits for its probe, one dead letter shows whether the endpoint is
        # well: it may be the only message that is left.
        most = 1 if state.breaker.open_until or state.breaker.failures else MAX_REDRIVES_A_RUN
        redriven = self.dead_letters.redrive(lambda each: each.is_retryable(now), most, bury=self._bury)
        self.notebook.note_dead_letters(UNKNOWN if redriven.more else depth - redriven.by_reason.total(), now)
        return {str(reason): count for reason, count in redriven.by_reason.items()}

    def _bury(self, dead_letter: DeadLetter) -> bool:
        """Record and announce that the images of a dead letter are dead; False where that has to be tried again."""
        try:
            uploads = [event for event in parse_body(dead_letter.body) if isinstance(event, Upload)]
            ended = [upload for upload in uploads if self._give_up(upload, dead_letter.detail)]
            facts = {"reason": dead_letter.reason, "error": dead_letter.detail}
            errors = self.announcements.send([Announcement.of_status(each, Status.DEAD, **facts) for each in ended])
        except MalformedMessageError:
            return True  # it tells of no image
        except (ClientError, BotoCoreError):
            logger.exception("an image could not be given up", extra={"message_id": dead_letter.message_id})
            return False
        return not any(errors)

    def _give_up(self, upload: Upload, error: str) -> bool:
        # What crashed may not have come as far as the record.
        opened = self.catalog.open(upload, Deferred(self.clock(), error))
        return isinstance(opened, Opened) and self.catalog.give_up(upload, Status.DEAD, error, attempts=None)
