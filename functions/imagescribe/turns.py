"""Turns at the endpoint: an invocation asks the meter for those of its images before anything is done for them.

One request asks for all, and whoever gets no start goes back to the queue having cost nothing more. Images that turn
out to need no call (duplicates, pictures that are paid for, what is no image) give their start back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from imagescribe.meter import Grant, Meter, Wait

MOST_WAIT_SECONDS: Final = 4.0
"""How far ahead a start is waited for, since a second of waiting costs less than a message going round."""

MOST_ASKS: Final = 32
"""How often one image asks at most: after each sleep, and for each start that was void."""


def ask_for_all(
    meter: Meter, count: int, clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Grant | Wait]:
    """Ask for the starts of so many images, and yield for each its grant or until when it waits.

    Parameters
    ----------
    clock, sleep
        Epoch seconds, and waiting for some of them: where a start is near and nobody is before us in a line.
    """
    give_up_at = clock() + MOST_WAIT_SECONDS
    while count:
        answers = meter.ask(count)
        first = answers[0]
        if isinstance(first, Wait) and first.is_soon and first.until <= give_up_at:
            sleep(max(0.0, first.until - clock()))
            continue
        yield from answers
        count -= len(answers)


class Turn:
    """The turn of one image.

    Parameters
    ----------
    clock, sleep
        Epoch seconds, and waiting for some of them.

    Attributes
    ----------
    grant
        What it was granted and has not used; None where it asks when it comes to its call.
    """

    def __init__(
        self,
        meter: Meter,
        grant: Grant | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.grant = grant
        self._meter = meter
        self._clock = clock
        self._sleep = sleep

    def come(self, give_up_at: float) -> Grant | Wait:
        """Sleep until the call may start, and return what grants it, or else until when to wait for another turn.

        Parameters
        ----------
        give_up_at
            Until when (epoch seconds) a place in the line is waited for. A start that is granted is, in any case.
        """
        for _ in range(MOST_ASKS):
            answer = self.grant or self._meter.ask(has_begun=True)[0]
            if isinstance(answer, Wait):
                if not answer.is_turn or answer.until > give_up_at:
                    return answer
                self._sleep_until(answer.until)
                continue
            self.grant = answer
            self._sleep_until(answer.paced.start_at)
            if not self._meter.is_void(answer):
                return answer
            self.leave()
        return Wait(give_up_at)

    def use(self) -> None:
        """Take note that the call is made now."""
        self.grant = None

    def leave(self) -> None:
        """Give back a start that was not used."""
        grant, self.grant = self.grant, None
        if grant:
            self._meter.give_back(grant)

    def _sleep_until(self, epoch_seconds: float) -> None:
        self._sleep(max(0.0, epoch_seconds - self._clock()))
