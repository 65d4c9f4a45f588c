"""Endpoints with a hidden limit, as far as pacing sees them: a call is taken or refused."""

from __future__ import annotations

import random
from collections.abc import Callable, Set
from typing import Protocol

LATENCY = 3.97  # s for an answer
REFUSAL = 0.1  # s for a 429

type PerSecond = Callable[[float], float]  # calls a second allowed at a time


class Limit(Protocol):
    """What the endpoint allows; `end` is told when an answer is out."""

    per_second: PerSecond

    def take(self, now: float) -> bool: ...
    def end(self) -> None: ...
    def reset_at(self, now: float) -> float | None: ...


class Unlimited:
    """No limit: what is reached is bounded by the calls side by side, whose rate is told here for the share."""

    def __init__(self, per_second: PerSecond) -> None:
        self.per_second = per_second

    def take(self, now: float) -> bool:
        return True

    def end(self) -> None: ...

    def reset_at(self, now: float) -> float | None:
        return None


class TokenBucket(Unlimited):
    """Filled all the time, holds so many seconds' worth and at least so many calls."""

    def __init__(self, per_second: PerSecond, seconds: float, least: float) -> None:
        super().__init__(per_second)
        self.seconds, self.least = seconds, least
        self.level = self._size(0.0)
        self.filled_at = 0.0

    def _size(self, now: float) -> float:
        return max(self.least, self.seconds * self.per_second(now))

    def take(self, now: float) -> bool:
        self.level = min(self._size(now), self.level + (now - self.filled_at) * self.per_second(now))
        self.filled_at = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class Strict(Unlimited):
    """`limit_req` without `burst`: refused when nearer than a spacing after the last accepted call."""

    taken_at = float("-inf")

    def take(self, now: float) -> bool:
        if now - self.taken_at < 1 / self.per_second(now):
            return False
        self.taken_at = now
        return True


class FixedWindow(Unlimited):
    """A count for each minute by the clock, which may tell when the minute ends."""

    def __init__(self, per_second: PerSecond, phase: float, *, tells: bool) -> None:
        super().__init__(per_second)
        self.phase, self.tells = phase, tells
        self.window, self.taken = -1, 0

    def take(self, now: float) -> bool:
        window = int((now + self.phase) // 60)
        if window != self.window:
            self.window, self.taken = window, 0
        if self.taken >= round(60 * self.per_second(now)):
            return False
        self.taken += 1
        return True

    def reset_at(self, now: float) -> float | None:
        return (self.window + 1) * 60 - self.phase if self.tells else None


class InFlight(Unlimited):
    """So many calls at a time."""

    calls = 0

    def take(self, now: float) -> bool:
        if self.calls >= max(1, round(self.per_second(now) * LATENCY)):
            return False
        self.calls += 1
        return True

    def end(self) -> None:
        self.calls -= 1


class Spurious:
    """Refuses a share of the calls, or those with some numbers, whatever the limit behind it says.

    It tells a reset so many seconds ahead (0: none).
    """

    def __init__(
        self, limit: Limit, numbers: Set[int], share: float, chance: random.Random, resets_in: float = 0.0
    ) -> None:
        self.limit, self.numbers, self.share, self.chance = limit, numbers, share, chance
        self.resets_in = resets_in
        self.per_second = limit.per_second
        self.calls = 0

    def take(self, now: float) -> bool:
        self.calls += 1
        if self.calls in self.numbers or self.chance.random() < self.share:
            return False
        return self.limit.take(now)

    def end(self) -> None:
        self.limit.end()

    def reset_at(self, now: float) -> float | None:
        return now + self.resets_in if self.resets_in else None
