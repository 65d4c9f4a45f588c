"""Endpoints with a hidden limit, as far as pacing sees them: a call is taken or refused."""

from __future__ import annotations

import random
from collections.abc import Callable, Set
from typing import Protocol

LATENCY = 3.97  # s for an answer
REFUSAL = 0.1  # s for a 429

type Rate = Callable[[float], float]  # calls a second allowed at a time


class Limit(Protocol):
    """What the endpoint allows; `end` is told when an answer is out."""

    def take(self, now: float) -> bool: ...
    def end(self) -> None: ...
    def reset_at(self, now: float) -> float | None: ...
    def rate(self, now: float) -> float: ...


class TokenBucket:
    """Filled all the time; holds one second's worth, and at least two."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.level = self._size(0.0)
        self.filled_at = 0.0

    def _size(self, now: float) -> float:
        return max(2.0, self.rate(now))

    def take(self, now: float) -> bool:
        self.level = min(self._size(now), self.level + (now - self.filled_at) * self.rate(now))
        self.filled_at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True

    def end(self) -> None: ...

    def reset_at(self, now: float) -> float | None:
        return None


class FixedWindow:
    """A count for each minute by the clock, which may tell when the minute ends."""

    def __init__(self, rate: Rate, phase: float, *, tells: bool) -> None:
        self.rate = rate
        self.phase = phase
        self.tells = tells
        self.window = -1
        self.taken = 0

    def take(self, now: float) -> bool:
        window = int((now + self.phase) // 60)
        if window != self.window:
            self.window, self.taken = window, 0
        if self.taken >= round(60 * self.rate(now)):
            return False
        self.taken += 1
        return True

    def end(self) -> None: ...

    def reset_at(self, now: float) -> float | None:
        return (self.window + 1) * 60 - self.phase if self.tells else None


class InFlight:
    """So many calls at a time."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.calls = 0

    def take(self, now: float) -> bool:
        if self.calls >= max(1, round(self.rate(now) * LATENCY)):
            return False
        self.calls += 1
        return True

    def end(self) -> None:
        self.calls -= 1

    def reset_at(self, now: float) -> float | None:
        return None


class Unlimited:
    """No limit: what is reached is bounded by the calls side by side, whose rate is told here for the share."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate

    def take(self, now: float) -> bool:
        return True

    def end(self) -> None: ...

    def reset_at(self, now: float) -> float | None:
        return None


class Hiccups:
    """Refuses a share of the calls, or those with some numbers, whatever the limit behind it says."""

    def __init__(self, limit: Limit, numbers: Set[int], share: float, chance: random.Random) -> None:
        self.limit = limit
        self.numbers = numbers
        self.share = share
        self.chance = chance
        self.calls = 0

    def rate(self, now: float) -> float:
        return self.limit.rate(now)

    def take(self, now: float) -> bool:
        self.calls += 1
        if self.calls in self.numbers or self.chance.random() < self.share:
            return False
        return self.limit.take(now)

    def end(self) -> None:
        self.limit.end()

    def reset_at(self, now: float) -> float | None:
        return None
