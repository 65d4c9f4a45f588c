"""The meter as built, over the simulated item, and the controllers it was weighed against."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from imagescribe import pacing
from imagescribe.pacing import Block, Grant, Park, State, Wait
from tests.bench.pacing.simulation import UPDATE, Steps, World

MOST_TRIES = 16
FRESH = 0.25


class Item:
    """The meter's item; every write is atomic, as in DynamoDB."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.writes = 0

    def replace(self, seen: State, becomes: State) -> bool:
        """Write a state over the one that was seen, unless that was overtaken; the line of who waits stays."""
        self.writes += 1
        if self.state.version != seen.version:
            return False
        self.state = replace(becomes, parked_to=self.state.parked_to)
        return True

    def park(self, park: Park) -> tuple[Wait, ...] | None:
        """Move the line of who waits on, unless it is too long."""
        self.writes += 1
        if self.state.parked_to > park.far:
            return None
        self.state = replace(self.state, parked_to=max(park.first, self.state.parked_to) + park.count * park.stride)
        return park.waits(self.state.parked_to)


class Chosen:
    """`imagescribe.pacing` over one item, with the time and the conflicts of real updates."""

    def __init__(self, ceiling: float = 0.0) -> None:
        self.ceiling = ceiling
        self.item = Item(pacing.fresh(0.0, ceiling=ceiling))
        self.known: dict[int, State] = {}
        self.read_at: dict[int, float] = {}

    def rate(self) -> float:
        return 1 / self.item.state.spacing

    def updates(self) -> int:
        return self.item.writes

    def ask(self, world: World, place: int, count: int, *, has_begun: bool) -> Steps[Sequence[Grant | Wait]]:
        if world.now - self.read_at.get(place, -9.0) > FRESH:
            yield from self._read(world, place)
        for _ in range(MOST_TRIES):
            known, chance = self.known[place], world.random.random()
            asked = pacing.ask(known, world.now, count, has_begun=has_begun, ceiling=self.ceiling, chance=chance)
            answers: Sequence[Grant | Wait] | None
            match asked:
                case Wait():
                    return [asked] * count
                case Park():
                    yield UPDATE * (0.5 + world.random.random())
                    answers = self.item.park(asked)
                case Block():
                    yield UPDATE * (0.5 + world.random.random())
                    answers = asked.grants if self.item.replace(known, asked.state) else None
            self.known[place] = self.item.state
            self.read_at[place] = world.now
            yield UPDATE * (0.5 + world.random.random())
            if answers is not None:
                return answers
        return [Wait(world.now + 0.2 + world.random.random(), is_soon=True)] * count

    def refused(self, world: World, place: int, grant: Grant, reset_at: float | None) -> Steps[None]:
        for _ in range(MOST_TRIES):
            known = self.known[place]
            cut = pacing.refused(known, grant, world.now, reset_at=reset_at, ceiling=self.ceiling)
            if cut is None:
                return
            yield UPDATE * (0.5 + world.random.random())
            done = self.item.replace(known, cut)
            self.known[place] = self.item.state
            self.read_at[place] = world.now
            yield UPDATE * (0.5 + world.random.random())
            if done:
                return

    def give_back(self, world: World, place: int, grant: Grant) -> Steps[None]:
        for _ in range(MOST_TRIES):
            yield from self._read(world, place)
            becomes = pacing.give_back(self.known[place], grant, ceiling=self.ceiling)
            yield UPDATE * (0.5 + world.random.random())
            if becomes is None or self.item.replace(self.known[place], becomes):
                return

    def is_void(self, world: World, place: int, grant: Grant) -> bool:
        return pacing.is_void(self.known[place], grant, world.now)

    def _read(self, world: World, place: int) -> Steps[None]:
        yield UPDATE * (0.5 + world.random.random())
        self.known[place] = self.item.state
        self.read_at[place] = world.now
        yield UPDATE * (0.5 + world.random.random())


class Schedule(ABC):
    """What the others share: one schedule without conflicts, a doubling start, one cut for each overload."""

    def __init__(self) -> None:
        self.next_start = 0.0
        self.per_second = pacing.FIRST_RATE
        self.finding = True
        self.parked_to = 0.0
        self.overloads = 0
        self.granted = 0
        self.raised_at = 0.0
        self.cut_at = 0.0

    def rate(self) -> float:
        return self.per_second

    def updates(self) -> int:
        return 0

    def ask(self, world: World, place: int, count: int, *, has_begun: bool) -> Steps[Sequence[Grant | Wait]]:
        yield 2 * UPDATE
        return [self._ask(world.now) for _ in range(count)]

    def _ask(self, now: float) -> Grant | Wait:
        horizon = pacing.WARY_HORIZON if self.finding else pacing.HORIZON
        if self.next_start > now + horizon:
            if self.finding:
                return Wait(self.next_start - pacing.WARY_HORIZON / 2, is_soon=True)
            self.parked_to = max(self.parked_to + pacing.STRIDE / self.per_second, self.next_start - horizon)
            return Wait(self.parked_to)
        dry = now - self.next_start > 0.5 / min(1.0, self.per_second)
        start = now if dry else self.next_start
        if not dry:
            passed = max(0.0, start - self.raised_at)
            doubled = self.per_second * 2 ** (passed / pacing.DOUBLING)
            self.per_second = min(pacing.FASTEST, doubled if self.finding else self.raised(start, passed))
        self.raised_at = start
        self.next_start = start + 1 / self.per_second
        self.granted += 1
        return Grant(max(start, now), 1 / self.per_second, self.granted, self.overloads)

    def refused(self, world: World, place: int, grant: Grant, reset_at: float | None) -> Steps[None]:
        yield 2 * UPDATE
        if grant.overloads < self.overloads:
            return
        self.overloads += 1
        self.per_second = max(pacing.SLOWEST, self.cut(grant, world.now))
        self.finding = False
        self.next_start = max(self.next_start, reset_at or 0.0)
        self.raised_at = self.cut_at = self.next_start

    def give_back(self, world: World, place: int, grant: Grant) -> Steps[None]:
        yield 0

    def is_void(self, world: World, place: int, grant: Grant) -> bool:
        return False

    @abstractmethod
    def raised(self, start: float, passed: float) -> float:
        """Return the rate after so many seconds of schedule without a refusal."""

    @abstractmethod
    def cut(self, grant: Grant, now: float) -> float:
        """Return the rate after an overload."""


class Aimd(Schedule):
    """A sixtieth of a call a second more each second; half of the rate at an overload."""

    def raised(self, start: float, passed: float) -> float:
        return self.per_second + passed / 60

    def cut(self, grant: Grant, now: float) -> float:
        return self.per_second / 2


class Cubic(Schedule):
    """RFC 9438 with its constants, taken for calls a second: seven tenths at an overload, back along the cubic."""

    most = 0.0

    def raised(self, start: float, passed: float) -> float:
        back = math.cbrt(self.most * 0.3 / 0.4)
        return 0.4 * (start - self.cut_at - back) ** 3 + self.most

    def cut(self, grant: Grant, now: float) -> float:
        self.most = self.per_second
        return self.per_second * 0.7


class DeliveryRate(Schedule):
    """As BBR does: the best rate accepted lately, tried a quarter over and then a quarter under for a moment each."""

    def __init__(self) -> None:
        super().__init__()
        self.overload = (0.0, 0)
        self.accepted: deque[float] = deque(maxlen=3)
        self.bottleneck = 0.0

    def raised(self, start: float, passed: float) -> float:
        gains = (1.25, 0.75, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)
        return self.bottleneck * gains[int((start - self.cut_at) / 4 + 1) % 8]

    def cut(self, grant: Grant, now: float) -> float:
        since, calls = self.overload
        self.accepted.append((grant.number - calls) / max(now - since, 1.0))
        self.overload = (max(now, self.next_start), self.granted)
        self.bottleneck = max(self.accepted)
        return self.bottleneck * 0.75
