"""Messages, invocations, threads and their calls, as events in time: no thread, no clock, one seed."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from imagescribe.pacing import Grant, Wait
from tests.bench.pacing.endpoint import LATENCY, REFUSAL, Limit

UPDATE = 0.004  # s to DynamoDB, and the same back
POLL = 0.03  # s until a message is received that is there for whoever is free
LOOK = 1.0  # s between two looks where nothing happens, as the emulator does; on AWS a message is told of at once
BEFORE, AFTER = 0.06, 0.1  # s of an invocation for its images before their calls and after they are answered
PATIENCE = 4.0  # s that an image waits before it is given back

type Steps[T] = Generator[float, None, T]  # yields seconds to let pass


class Meter(Protocol):
    """What an invocation asks; `place` tells processes apart, each of which may remember something."""

    def ask(self, world: World, place: int, count: int, *, has_begun: bool) -> Steps[Sequence[Grant | Wait]]: ...
    def refused(self, world: World, place: int, grant: Grant, reset_at: float | None) -> Steps[None]: ...
    def give_back(self, world: World, place: int, grant: Grant) -> Steps[None]: ...
    def is_void(self, world: World, place: int, grant: Grant) -> bool: ...
    def rate(self) -> float: ...
    def updates(self) -> int: ...


@dataclass
class World:
    """One run: a backlog of messages, invocations of up to ten images, one meter, one endpoint.

    Attributes
    ----------
    copies
        The part of the messages that turns out to need no call.
    """

    meter: Meter
    limit: Limit
    random: random.Random
    invocations: int
    batch: int = 10
    look_seconds: float = LOOK
    copies: float = 0.0
    now: float = 0.0
    due: list[tuple[float, int, Steps[None]]] = field(default_factory=list)
    queue: list[tuple[float, float, int]] = field(default_factory=list)
    begun: int = 0
    answers: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    rates: list[tuple[float, float]] = field(default_factory=list)
    receives: int = 0
    busy: float = 0.0
    free: list[int] = field(default_factory=list)
    no_call: set[int] = field(default_factory=set)
    is_woken: bool = False

    def run(self, messages: int, every: float = 0.0) -> None:
        """Work off a backlog that is there now, or messages that come one after the other."""
        wanted = len(self.answers) + messages
        self.due.clear()
        self.free = list(range(self.invocations))
        count = round(messages / (1 - self.copies))
        self.queue = [(self.now + number * every, self.random.random(), number) for number in range(count)]
        self.no_call = set(self.random.sample(range(count), count - messages))
        heapq.heapify(self.queue)
        self.go(self.pollers(), 0.0)
        while len(self.answers) < wanted and self.due:
            self.now, _, steps = heapq.heappop(self.due)
            try:
                self.go(steps, next(steps))
            except StopIteration:
                continue
            if self.now - (self.rates[-1][0] if self.rates else -1) > 0.1:
                self.rates.append((self.now, self.meter.rate()))

    def go(self, steps: Steps[None], delay: float) -> None:
        self.begun += 1
        heapq.heappush(self.due, (self.now + max(0.0, delay), self.begun, steps))

    def pollers(self) -> Steps[None]:
        """Start an invocation for each batch that is there, and look again later or when an invocation is over."""
        while True:
            batch: list[int] = []
            while self.free and self.queue and self.queue[0][0] <= self.now and len(batch) < self.batch:
                batch.append(heapq.heappop(self.queue)[2])
            if batch:
                self.receives += len(batch)
                self.go(self.invocation(self.free.pop(), batch), POLL * self.random.random())
                continue
            self.is_woken, waited = False, 0.0
            while not self.is_woken and waited < self.look_seconds:
                yield POLL * (0.5 + self.random.random())
                waited += POLL

    def invocation(self, place: int, batch: list[int]) -> Steps[None]:
        began = self.now
        yield from self.lead(place, batch)
        self.busy += self.now - began
        self.free.append(place)
        self.is_woken = True

    def lead(self, place: int, batch: list[int]) -> Steps[None]:
        give_up_at = self.now + PATIENCE
        asking = [(self.now, False, message) for message in batch]  # when, whether it has begun, and which
        calls, has_called = [0], False
        while asking or calls[0]:
            due = [each for each in asking if each[0] <= self.now]
            due = [each for each in due if each[1] == due[0][1]]  # those who have begun ask by themselves
            asking[:] = [each for each in asking if each not in due]
            answers = (yield from self.meter.ask(self, place, len(due), has_begun=due[0][1])) if due else ()
            for answer in answers:
                _, has_begun, message = due.pop()
                if isinstance(answer, Grant):
                    calls[0] += 1
                    has_called = True
                    ready = 0.0 if has_begun else BEFORE * (0.5 + self.random.random())
                    self.go(self.call(place, message, answer, calls, asking), max(ready, answer.start_at - self.now))
                elif (answer.is_soon or has_begun) and answer.until <= give_up_at:
                    asking.append((answer.until, has_begun, message))
                else:
                    self.put_back(message, answer.until)
            asking += [(self.now, *each[1:]) for each in due]
            yield max(0.0, min(each[0] for each in asking) - self.now) if asking else 0.02
        if has_called:
            yield AFTER * (0.5 + self.random.random())

    def call(
        self, place: int, message: int, grant: Grant, calls: list[int], asking: list[tuple[float, bool, int]]
    ) -> Steps[None]:
        yield self.random.expovariate(1 / 0.01)
        if message in self.no_call:
            yield from self.meter.give_back(self, place, grant)
            calls[0] -= 1
            return
        if self.meter.is_void(self, place, grant):
            yield from self.meter.give_back(self, place, grant)
            asking.append((self.now, True, message))
            calls[0] -= 1
            return
        self.starts.append(self.now)
        if self.limit.take(self.now):
            yield max(1.0, self.random.gauss(LATENCY, 0.05))
            self.limit.end()
            self.answers.append(self.now)
        else:
            reset_at = self.limit.reset_at(self.now)
            self.refusals.append(self.now)
            yield REFUSAL
            yield from self.meter.refused(self, place, grant, reset_at)
            asking.append((self.now, True, message))
        calls[0] -= 1

    def put_back(self, message: int, until: float) -> None:
        # SQS counts visibility in whole seconds.
        back = self.now + math.ceil(max(0.0, until - self.now))
        heapq.heappush(self.queue, (back, self.random.random(), message))
