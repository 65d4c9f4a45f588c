"""What happens every minute without a person: intake follows the breaker, and retryable dead letters come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from imagescribe.aws.dead_letters import DeadLetters
from imagescribe.aws.mappings import Mappings
from imagescribe.stores.notebook import Notebook, Notes
from imagescribe.throttle import RetryAt, Throttle

LONG_PAUSE_SECONDS: Final = 120.0
"""A pause that lasts this much longer disables the mappings: the function that would enable them runs each minute."""

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
    clock: Callable[[], float] = time.time

    def run(self) -> Recovered:
        """Do once what is due."""
        pause, notes = self.throttle.refusal(), self.notebook.read()
        switched = self._switch(pause, notes)
        return Recovered(switched, pause.why if pause else "", {} if pause else self._redrive(notes))

    def _switch(self, pause: RetryAt | None, notes: Notes) -> str:
        """Disable the mappings in a long pause, so that a waiting backlog costs nothing, and enable them after it."""
        is_long = pause is not None and pause.time - self.clock() > LONG_PAUSE_SECONDS
        if is_long and not notes.intake_disabled and self.mappings.enable(enabled=False):
            self.notebook.note_intake(disabled=True)
            return "disabled"
        if pause is None and notes.intake_disabled and self.mappings.enable(enabled=True):
            # The first call that comes through is the breaker's probe.
            self.notebook.note_intake(disabled=False)
            return "enabled"
        return ""

    def _redrive(self, notes: Notes) -> dict[str, int]:
        """Bring back the retryable dead letters, unless they are the same ones that stayed the last time."""
        depth, now = self.dead_letters.depth(), self.clock()
        if not depth or (depth == notes.dlq_remaining and now - notes.dlq_read_at < READ_AGAIN_SECONDS):
            return {}
        # Where the last call failed, or the breaker waits for its probe, one dead letter shows whether the endpoint is
        # well: it may be the only message that is left.
        breaker = self.throttle.state().breaker
        most = 1 if breaker.open_until or breaker.failures else MAX_REDRIVES_A_RUN
        redriven = self.dead_letters.redrive(lambda dead_letter: dead_letter.is_retryable(now), most)
        self.notebook.note_dead_letters(UNKNOWN if redriven.more else depth - redriven.by_reason.total(), now)
        return {str(reason): count for reason, count in redriven.by_reason.items()}
