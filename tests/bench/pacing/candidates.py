"""The meter as built, over the simulated item, and the controllers it was weighed against."""

from __future__ import annotations

import math
from collections import deque

from imagescribe import pacing
from imagescribe.pacing import Change, Grant, State, Wait
from tests.bench.pacing.simulation import UPDATE, Steps, World
from tests.bench.pacing.table import Item


class Chosen:
    """`imagescribe.pacing` over one item: its own expressions, with the time and the conflicts of real updates."""

    def __init__(self, ceiling: float = 0.0) -> None:
        self.ceiling = ceiling
        self.item = Item(pacing.fresh(0.0, ceiling=ceiling))
        self.known: dict[int, State] = {}
        self.busy: set[int] = set()

    def rate(self) -> float:
        return 1 / self.item.attributes["spacing"]

    def updates(self) -> int:
        return self.item.updates

    def ask(self, world: World, place: int) -> Steps[Grant | Wait]:
        # Threads of one process ask one after the other: the second knows what the first was told.
        while place in self.busy:
            yield UPDATE
        self.busy.add(place)
        answer = yield from self._ask(world, place)
        self.busy.remove(place)
        return answer

    def _ask(self, world: World, place: int) -> Steps[Grant | Wait]:
        if place not in self.known:
            self.known[place] = yield from self._read()
        for attempt in range(1, 9):
            known, chance = self.known[place], world.random.random()
            change = pacing.ask(known, world.now, sure=attempt > 1, ceiling=self.ceiling, chance=chance)
            if isinstance(change, Wait):
                return change
            state, done = yield from self._update(world, place, change)
            if done:
                return pacing.outcome(change, state, world.now)
        return Wait(world.now + 0.2 + world.random.random())

    def refused(self, world: World, place: int, grant: Grant, reset_at: float | None) -> Steps[None]:
        for _ in range(8):
            change = pacing.refused(self.known[place], grant, world.now, reset_at=reset_at, ceiling=self.ceiling)
            if change is None:
                return
            _, done = yield from self._update(world, place, change)
            if done:
                return

    def _read(self) -> Steps[State]:
        yield UPDATE
        state = self.item.read()
        yield UPDATE
        return state

    def _update(self, world: World, place: int, change: Change) -> Steps[tuple[State, bool]]:
        yield UPDATE * (0.5 + world.random.random())
        state, done = self.item.update(change)
        yield UPDATE * (0.5 + world.random.random())
        self.known[place] = state
        return state, done


class Schedule:
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

    def ask(self, world: World, place: int) -> Steps[Grant | Wait]:
        yield 2 * UPDATE
        now = world.now
        horizon = pacing.WARY_HORIZON if self.finding else pacing.HORIZON
        if self.next_start > now + horizon:
            if self.finding:
                return Wait(now + pacing.WARY_HORIZON * (1 + world.random.random()))
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

    def raised(self, start: float, passed: float) -> float:
        raise NotImplementedError

    def cut(self, grant: Grant, now: float) -> float:
        raise NotImplementedError


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
