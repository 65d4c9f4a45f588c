"""The turns of an invocation's images at the meter: those who come together ask together, with one update.

That costs one request instead of ten, and gives them starts one after the other, so that the invocation is over soon
after the first of its answers instead of waiting for a start here and another there.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from threading import Condition, Lock
from typing import Final

from imagescribe.meter import Grant, Meter, Wait

GATHER_SECONDS: Final = 0.25  # that the first to come waits for the others: one may be held up on its way
MOST_TURNS: Final = 32


class Turns:
    """Where an invocation's images ask the meter.

    Parameters
    ----------
    clock, sleep
        Epoch seconds, and waiting for some of them.
    """

    def __init__(
        self, meter: Meter, clock: Callable[[], float] = time.time, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._meter = meter
        self._clock = clock
        self._sleep = sleep
        self._has_calls = False
        self._expected: set[str] = set()
        self._waiting: list[Future[Grant | Wait]] = []
        self._changed = Condition()  # guards the two above
        self._asking = Lock()

    def expect(self, holders: Iterable[str]) -> None:
        """Say who will come to `take` a turn, or else `leave`."""
        with self._changed:
            self._expected = set(holders)
            self._has_calls = False

    def leave(self, holder: str) -> None:
        """Take note that somebody won't come, or has come before."""
        with self._changed:
            self._expected.discard(holder)
            self._changed.notify_all()

    def take(self, holder: str, give_up_at: float) -> Grant | Wait:
        """Ask for a call, and sleep until it may start.

        Parameters
        ----------
        give_up_at
            The latest start (epoch seconds) that is waited for here, since a second of waiting costs less than a
            message going round. Who has been given a place in the line waits for it only beside calls of others, who
            keep the invocation and so the message anyway.
        """
        for _ in range(MOST_TURNS):
            match self._ask(holder):
                case Grant() as grant:
                    self._has_calls = True
                    self._sleep(max(0.0, grant.paced.start_at - self._clock()))
                    if not self._meter.is_void(grant):
                        return grant
                    self._meter.give_back(grant)
                case Wait(until, is_soon=is_soon, is_turn=True) if until <= give_up_at and (is_soon or self._has_calls):
                    self._sleep(max(0.0, until - self._clock()))
                case Wait() as wait:
                    return wait
        return Wait(give_up_at)

    def _ask(self, holder: str) -> Grant | Wait:
        turn: Future[Grant | Wait] = Future()
        with self._changed:
            self._waiting.append(turn)
            self._expected.discard(holder)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._expected or turn.done(), GATHER_SECONDS)
        # Whoever is first asks for all who have come; the others find their answer when it is their turn for the lock.
        with self._asking:
            if not turn.done():
                self._ask_for_all()
        return turn.result()

    def _ask_for_all(self) -> None:
        with self._changed:
            waiting, self._waiting = self._waiting, []
        while waiting:
            try:
                answers: Sequence[Grant | Wait] = self._meter.ask(len(waiting))
            except BaseException as error:
                for turn in waiting:
                    turn.set_exception(error)
                raise
            for number, answer in enumerate(answers):
                waiting[number].set_result(answer)
            waiting = waiting[len(answers) :]
