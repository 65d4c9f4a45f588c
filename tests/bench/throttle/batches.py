"""Batches that ask the throttle itself, each process through a `Throttle` of its own over one item in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from imagescribe.batch import MAX_NEAR_SECONDS, QUEUE_SECONDS
from imagescribe.model.answers import PRICE_USD, Description, Limited
from imagescribe.throttle import Permit, RetryAt, Throttle
from imagescribe.throttle import rate as rates
from imagescribe.throttle.item import OvertakenError, State
from tests.bench.throttle.world import Steps, World
from tests.factories import stand_in

REQUEST = 0.008  # s that a request to DynamoDB takes
BEFORE, AFTER = 0.1, 0.05  # s of an invocation for an image before its call and after its answer
CLAIMED_WAIT = 5.0  # s after which, at most, a copy looks again whether its twin is paid for
DESCRIBED = Description("{}", PRICE_USD, 3.97, None, "2026-11-26T00:00:00Z")


class ItemInMemory:
    """The throttle's item with its two verbs; `requests` counts both."""

    def __init__(self, rate: rates.Rate) -> None:
        self.state, self.requests = State(rate, version=1), 0

    def read(self) -> State:
        self.requests += 1
        return self.state

    def replace(self, seen: State, becomes: State) -> State:
        self.requests += 1
        if seen.version != self.state.version:
            raise OvertakenError(self.state)
        # dataclasses.replace of the whole state for one number is most of what a simulated request costs.
        self.state = State(
            becomes.rate,
            becomes.breaker,
            becomes.budget,
            becomes.uploads_until,
            becomes.backfill_line_end,
            seen.version + 1,
        )
        return self.state


class Batches:
    """The way of a batch as `imagescribe.batch` and `imagescribe.pipeline` lead it, with the time that it takes."""

    def __init__(self, ceiling: float = 0.0, seed: int = 0) -> None:
        self.item = ItemInMemory(rates.fresh(0.0, ceiling=ceiling))
        self._ceiling = ceiling
        self._random = Random(seed)
        self._throttles: dict[int, Throttle] = {}

    def lead(self, world: World, place: int, batch: list[int]) -> Steps[None]:
        """Lead a batch from its look-up to the end of its last image."""
        yield world.about(2 * REQUEST)  # one look-up tells what is paid for
        throttle = self._throttle(world, place)
        one_each = {world.pictures[message]: message for message in reversed(world.unpaid(batch))}
        calling = list(one_each.values())
        for message in set(world.unpaid(batch)) - set(calling):
            world.put_back(message, world.now + CLAIMED_WAIT * self._random.uniform(0.5, 1.0))
        under_way, give_up_at = [0], world.now + MAX_NEAR_SECONDS
        while calling:
            answers = yield from self._ask(world, partial(throttle.acquire, len(calling)))
            retries: list[tuple[int, RetryAt]] = []
            for message, answer in zip(calling, answers, strict=True):
                if isinstance(answer, Permit):
                    under_way[0] += 1
                    world.go(self._image(world, throttle, message, answer, under_way), 0.0)
                else:
                    retries.append((message, answer))
            soonest = min((retry.time for _, retry in retries), default=0.0)
            if soonest > min(world.now + QUEUE_SECONDS, give_up_at):
                for message, retry in retries:
                    world.put_back(message, retry.time)
                break
            yield max(0.0, soonest - world.now)
            calling = [message for message, _ in retries]
        while under_way[0]:
            yield 0.05

    def _image(
        self, world: World, throttle: Throttle, message: int, permit: Permit, under_way: list[int]
    ) -> Steps[None]:
        yield world.about(BEFORE)
        if not world.claim(message):
            yield from self._ask(world, lambda: throttle.release(permit))
            if world.unpaid([message]):
                world.put_back(message, world.now + CLAIMED_WAIT * self._random.uniform(0.5, 1.0))
            under_way[0] -= 1
            return
        yield max(0.0, permit.start.at - world.now) + world.late()
        is_taken, reset_at = yield from world.call(message)
        if is_taken:
            yield from self._ask(world, lambda: throttle.record(permit, DESCRIBED))
            yield world.about(AFTER)
        else:
            retry = yield from self._ask(world, lambda: throttle.record(permit, Limited("429", reset_at)))
            assert retry is not None
            world.put_back(message, retry.time)
        under_way[0] -= 1

    def _ask[T](self, world: World, verb: Callable[[], T]) -> Steps[T]:
        """Do what the throttle does, in the midst of the time that its requests take."""
        before = self.item.requests
        yield world.about(REQUEST / 2)
        result = verb()
        if requests := self.item.requests - before:
            yield world.about((requests - 0.5) * REQUEST)
        return result

    def _throttle(self, world: World, place: int) -> Throttle:
        if place not in self._throttles:
            item = stand_in(self.item)
            self._throttles[place] = Throttle(item, ceiling=self._ceiling, clock=lambda: world.now, random=self._random)
        return self._throttles[place]
