"""Turns at the endpoint: an invocation asks the meter for those of its images before anything is done for them.

One request asks for all, and whoever gets no start goes back to the queue having cost nothing more. The few images that
turn out to need no call (duplicates, pictures that are paid for, what is no image) give their start back.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Self

from imagescribe.meter import Grant, Meter, Wait

MOST_WAIT_SECONDS: Final = 4.0
"""How far ahead a start is waited for, since a second of waiting costs less than a message going round."""

MOST_ASKS: Final = 32


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
        turns = meter.ask(count)
        first = turns[0]
        if isinstance(first, Wait) and first.is_soon and first.until <= give_up_at:
            sleep(max(0.0, first.until - clock()))
            continue
        yield from turns
        count -= len(turns)


class Turn:
    """The turn of one image. In a ``with`` block: at its end a start that was not taken is given back.

    Parameters
    ----------
    grant
        What it was granted already; None where it asks when it comes to its call.
    clock, sleep
        Epoch seconds, and waiting for some of them.
    """

    def __init__(
        self,
        meter: Meter,
        grant: Grant | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._meter = meter
        self._grant = grant
        self._clock = clock
        self._sleep = sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._grant:
            self._meter.give_back(self._grant)
            self._grant = None

    def take(self, give_up_at: float) -> Grant | Wait:
        """Sleep until the call may start, and return its grant, or else until when to wait for another turn.

        Parameters
        ----------
        give_up_at
            The latest start (epoch seconds) that is waited for here.
        """
        for _ in range(MOST_ASKS):
            turn = self._grant or self._meter.ask()[0]
            if isinstance(turn, Wait):
                if not turn.is_turn or turn.until > give_up_at:
                    return turn
                self._sleep_until(turn.until)
                continue
            self._grant = turn
            self._sleep_until(turn.paced.start_at)
            self._grant = None
            if not self._meter.is_void(turn):
                return turn
            self._meter.give_back(turn)
        return Wait(give_up_at)

    def _sleep_until(self, epoch_seconds: float) -> None:
        self._sleep(max(0.0, epoch_seconds - self._clock()))
