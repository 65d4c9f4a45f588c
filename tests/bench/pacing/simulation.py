"""Messages, invocations, threads and their calls, as events in time: no thread, no clock, one seed."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Protocol

from imagescribe.pacing import Grant, Wait
from tests.bench.pacing.endpoint import LATENCY, REFUSAL, Limit

UPDATE = 0.004  # s to DynamoDB, and the same back
POLL = 0.03  # s between two receives of an invocation's poller

type Steps[T] = Generator[float, None, T]  # yields seconds to let pass


class Meter(Protocol):
    """What a thread asks; `place` tells processes apart, each of which may remember something."""

    def ask(self, world: World, place: int) -> Steps[Grant | Wait]: ...
    def refused(self, world: World, place: int, grant: Grant, reset_at: float | None) -> Steps[None]: ...
    def rate(self) -> float: ...
    def updates(self) -> int: ...


@dataclass
class World:
    """One run: a backlog of messages, invocations of up to ten threads, one meter, one endpoint."""

    meter: Meter
    limit: Limit
    random: random.Random
    invocations: int
    batch: int = 10
    patience: float = 4.0  # s that a thread waits before it gives its message back
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

    def run(self, messages: int, every: float = 0.0) -> None:
        """Work off a backlog that is there now, or messages that come one after the other."""
        wanted = len(self.answers) + messages
        self.due.clear()
        self.queue = [(self.now + number * every, self.random.random(), number) for number in range(messages)]
        heapq.heapify(self.queue)
        for place in range(self.invocations):
            self.go(self.poller(place), self.random.random() * 0.2)
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

    def poller(self, place: int) -> Steps[None]:
        while True:
            yield POLL * (0.5 + self.random.random())
            batch: list[int] = []
            while self.queue and self.queue[0][0] <= self.now and len(batch) < self.batch:
                batch.append(heapq.heappop(self.queue)[2])
            if not batch:
                yield min(0.5, max(0.0, self.queue[0][0] - self.now)) if self.queue else 0.5
                continue
            self.receives += len(batch)
            began = self.now
            left = [len(batch)]
            for message in batch:
                self.go(self.thread(place, message, left), 0.01 * self.random.random())
            while left[0]:
                yield 0.05
            self.busy += self.now - began

    def thread(self, place: int, message: int, left: list[int]) -> Steps[None]:
        while True:
            permission = yield from self.meter.ask(self, place)
            if isinstance(permission, Wait):
                if permission.until - self.now <= self.patience:
                    yield permission.until - self.now
                    continue
                # SQS counts visibility in whole seconds.
                back = self.now + math.ceil(permission.until - self.now)
                heapq.heappush(self.queue, (back, self.random.random(), message))
                break
            yield permission.start_at - self.now
            yield self.random.expovariate(1 / 0.01)
            self.starts.append(self.now)
            if self.limit.take(self.now):
                yield max(1.0, self.random.gauss(LATENCY, 0.05))
                self.limit.end()
                self.answers.append(self.now)
                break
            reset_at = self.limit.reset_at(self.now)
            self.refusals.append(self.now)
            yield REFUSAL
            yield from self.meter.refused(self, place, permission, reset_at)
        left[0] -= 1
