"""What happens every minute without a person: intake follows the pause, and dead letters that can heal come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from imagescribe.aws.dead_letters import DeadLetters
from imagescribe.aws.mappings import Mappings
from imagescribe.meter import Meter
from imagescribe.meter_item import Reading

LONG_PAUSE_SECONDS: Final = 120.0
"""A pause that lasts this much longer disables the mappings: the function that would enable them runs each minute."""

LOOK_AGAIN_SECONDS: Final = 3600.0
"""Letters that stay are not looked through each minute: each look is a request for every one of them."""

MORE_LETTERS: Final = -1  # left by a run that stopped at its bound: no depth equals it, so the next one goes on

REDRIVES_EACH_RUN: Final = 100
"""Gently: an endpoint that has just got well is not met by all dead letters at once."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What one run did.

    Attributes
    ----------
    mappings
        What became of the mappings: `enabled`, `disabled`, or nothing.
    paused
        Why intake is paused, if it is.
    redriven
        Letters sent back, by reason.
    """

    mappings: str = ""
    paused: str = ""
    redriven: dict[str, int] = field(default_factory=dict)


def recover(
    meter: Meter, mappings: Mappings, dead_letters: DeadLetters, clock: Callable[[], float] = time.time
) -> Recovered:
    """Do it once."""
    reading = meter.read()
    pause = meter.paused(reading)
    is_long = pause is not None and pause.until - clock() > LONG_PAUSE_SECONDS
    switched = ""
    if is_long and not reading.is_switched_off and mappings.enable(enabled=False):
        meter.switch(off=True)
        switched = "disabled"
    elif pause is None and reading.is_switched_off and mappings.enable(enabled=True):
        # The first message that comes through is the meter's probe.
        meter.switch(off=False)
        switched = "enabled"
    redriven: dict[str, int] = {}
    if pause is None:
        # Where the last call failed, or a pause waits for its probe, one letter shows whether the endpoint is well:
        # it may be the only message that is left.
        is_well = reading.paused_until == 0 and reading.failures == 0
        redriven = _redrive(meter, reading, dead_letters, REDRIVES_EACH_RUN if is_well else 1, clock())
    return Recovered(switched, pause.why if pause else "", redriven)


def _redrive(meter: Meter, reading: Reading, dead_letters: DeadLetters, most: int, now: float) -> dict[str, int]:
    """Bring back the dead letters that heal, unless they are the same ones that stayed the last time."""
    depth = dead_letters.depth()
    if not depth or (depth == reading.letters_left and now - reading.letters_looked_at < LOOK_AGAIN_SECONDS):
        return {}
    # A probe costs its letter no redrive: an outage that outlasts them all would leave it dead for good. What probes
    # may cost is bounded by the pause that their failures begin.
    sent = dead_letters.redrive(lambda letter: letter.heals, most, is_probe=most == 1)
    meter.note_letters(MORE_LETTERS if sent.total() >= most else depth - sent.total())
    return {str(reason): count for reason, count in sent.items()}
