"""What is weighed: the throttle's rate over one item, asked as a batch asks."""

from __future__ import annotations

from collections.abc import Callable

from imagescribe.throttle import rate
from imagescribe.throttle.rate import Rate, Start
from tests.bench.throttle.world import AFTER, BEFORE, LEASE, REQUEST, Item, Steps, World

FRESH = 0.25  # s for which a process's copy of the item is taken for the item
MAX_TRIES = 16
PATIENCE = 4.0  # s that a batch waits for starts one after the other


class Paced:
    """`imagescribe.throttle.rate` over one item, with the time and the conflicts of real updates."""

    def __init__(self, ceiling: float = 0.0) -> None:
        self.ceiling = ceiling
        self.item = Item(rate.fresh(0.0, ceiling=ceiling))
        self.known: dict[int, tuple[Rate, int]] = {}
        self.read_at: dict[int, float] = {}

    def per_second(self) -> float:
        return self.item.state.per_second

    def writes(self) -> int:
        return self.item.writes

    def lead(self, world: World, place: int, batch: list[int]) -> Steps[None]:
        yield world.about(2 * REQUEST)  # one look-up tells what is paid for
        unpaid = world.unpaid(batch)
        if not unpaid:
            return
        calls, give_up_at = [0], world.now + PATIENCE
        while unpaid:
            count, chance = len(unpaid), world.random.random()
            starts: tuple[Start, ...] = ()
            returns: tuple[float, ...] = ()

            def acquired(state: Rate, count: int = count, chance: float = chance) -> Rate:
                nonlocal starts, returns
                state, starts, returns = rate.acquire(state, world.now, count, ceiling=self.ceiling, chance=chance)
                return state

            yield from self._read(world, place, FRESH)
            if not (yield from self._change(world, place, acquired)):
                starts, returns = (), (world.now + 1.0,) * count
            calls[0] += len(starts)
            for message, start in zip(unpaid, starts, strict=False):
                world.go(self._call(world, place, message, start, calls), world.about(BEFORE))
            unpaid = unpaid[len(starts) :]
            soonest = min(returns, default=0.0)
            if soonest > min(world.now + 1.0, give_up_at):
                break
            yield max(0.0, soonest - world.now)
        for message, back in zip(unpaid, returns, strict=True):
            world.put_back(message, back)
        while calls[0]:
            yield 0.05
        yield world.about(AFTER)

    def _call(self, world: World, place: int, message: int, start: Start, calls: list[int]) -> Steps[None]:
        def released(state: Rate) -> Rate:
            return rate.release(state, start, ceiling=self.ceiling)

        def refused(state: Rate) -> Rate:
            return rate.refused(state, start, world.now, reset_at=reset_at, ceiling=self.ceiling)

        if not world.claim(message):
            yield from self._change(world, place, released)
            if world.unpaid([message]):
                world.put_back(message, world.now + LEASE * world.random.random())
            calls[0] -= 1
            return
        yield max(0.0, start.at - world.now) + world.late()
        is_taken, reset_at = yield from world.call(message)
        if not is_taken:
            yield from self._change(world, place, refused)
            world.put_back(message, rate.retry_at(self.known[place][0], world.now, world.random.random()))
        calls[0] -= 1

    def _change(self, world: World, place: int, change: Callable[[Rate], Rate]) -> Steps[bool]:
        """Write what the state becomes, computed anew from what the item is as long as others were faster."""
        for _ in range(MAX_TRIES):
            state, version = self.known[place]
            changed = change(state)
            if changed == state:
                return True
            yield world.about(REQUEST)
            is_written = self.item.write(changed, version)
            seen = self.item.state, self.item.version
            yield world.about(REQUEST)
            self.known[place], self.read_at[place] = seen, world.now
            if is_written:
                return True
        return False

    def _read(self, world: World, place: int, fresh: float) -> Steps[None]:
        if world.now - self.read_at.get(place, -9.0) > fresh:
            yield world.about(REQUEST)
            seen = self.item.state, self.item.version
            yield world.about(REQUEST)
            self.known[place], self.read_at[place] = seen, world.now
