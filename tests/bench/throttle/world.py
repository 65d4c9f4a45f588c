"""Messages, invocations, threads and their calls, as events in time: no thread, no clock, one seed."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Protocol

from tests.bench.throttle.endpoint import LATENCY, REFUSAL, Limit

POLL = 0.03  # s until a message is received that is there for whoever is free
LOOK = 1.0  # s between two looks where nothing happens, as the emulator does; on AWS a message is told of at once

type Steps[T] = Generator[float, None, T]  # yields seconds to let pass


class Controller(Protocol):
    """What an invocation does with a batch; `place` tells processes apart, each of which may remember something."""

    def lead(self, world: World, place: int, batch: list[int]) -> Steps[None]: ...


@dataclass
class World:
    """One run: a backlog of messages, invocations of up to ten images, one controller, one endpoint.

    Attributes
    ----------
    pictures
        For each message, what it shows: the same picture is paid for once.
    paid
        For each picture begun, whether its answer is there.
    """

    controller: Controller
    limit: Limit
    random: random.Random
    invocations: int
    jitter: float
    batch: int = 10
    now: float = 0.0
    due: list[tuple[float, int, Steps[None]]] = field(default_factory=list)
    queue: list[tuple[float, float, int]] = field(default_factory=list)
    begun: int = 0
    pictures: list[int] = field(default_factory=list)
    paid: dict[int, bool] = field(default_factory=dict)
    answers: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    receives: int = 0
    busy: float = 0.0
    free: list[int] = field(default_factory=list)
    is_woken: bool = False

    def run(self, pictures: int, copies: int = 0, every: float = 0.0) -> None:
        """Work off a backlog that is there now, or messages that come one after the other."""
        wanted = len(self.answers) + pictures
        self.due.clear()
        self.paid.clear()
        self.free = list(range(self.invocations))
        self.pictures = [*range(pictures), *(self.random.randrange(pictures) for _ in range(copies))]
        self.random.shuffle(self.pictures)
        self.queue = [(self.now + n * every, self.random.random(), n) for n in range(len(self.pictures))]
        heapq.heapify(self.queue)
        self.go(self._pollers(), 0.0)
        while len(self.answers) < wanted and self.due:
            self.now, _, steps = heapq.heappop(self.due)
            try:
                self.go(steps, next(steps))
            except StopIteration:
                continue
            if self.now > 20_000:
                break

    def go(self, steps: Steps[None], delay: float) -> None:
        self.begun += 1
        heapq.heappush(self.due, (self.now + max(0.0, delay), self.begun, steps))

    def unpaid(self, batch: list[int]) -> list[int]:
        """Return the messages whose pictures are not paid for yet."""
        return [message for message in batch if not self.paid.get(self.pictures[message], False)]

    def claim(self, message: int) -> bool:
        """Begin a picture, unless it has been begun."""
        picture = self.pictures[message]
        if picture in self.paid:
            return False
        self.paid[picture] = False
        return True

    def unclaim(self, message: int) -> None:
        """Take back that a picture was begun."""
        del self.paid[self.pictures[message]]

    def call(self, message: int) -> Steps[tuple[bool, float | None]]:
        """Make a call; return whether it was taken, and the reset time that the refusal told."""
        self.starts.append(self.now)
        if self.limit.take(self.now):
            yield max(1.0, self.random.gauss(LATENCY, 0.05))
            self.limit.end()
            self.answers.append(self.now)
            self.paid[self.pictures[message]] = True
            return True, None
        reset_at = self.limit.reset_at(self.now)
        self.refusals.append(self.now)
        self.unclaim(message)
        yield self.about(REFUSAL)
        return False, reset_at

    def late(self) -> float:
        """Return by how much a thread that slept until a time is late."""
        return self.random.expovariate(1 / self.jitter) if self.jitter else 0.0

    def about(self, seconds: float) -> float:
        return seconds * (0.5 + self.random.random())

    def put_back(self, message: int, until: float) -> None:
        """Hide a message, in whole seconds as SQS does; half a second and less is hidden for one too."""
        back = self.now + max(1, math.ceil(until - self.now))
        heapq.heappush(self.queue, (back, self.random.random(), message))

    def _pollers(self) -> Steps[None]:
        """Start an invocation for each batch that is there, and look again later or when an invocation is over."""
        while True:
            batch: list[int] = []
            while self.free and self.queue and self.queue[0][0] <= self.now and len(batch) < self.batch:
                batch.append(heapq.heappop(self.queue)[2])
            if batch:
                self.receives += len(batch)
                self.go(self._invocation(self.free.pop(), batch), POLL * self.random.random())
                continue
            self.is_woken, waited = False, 0.0
            while not self.is_woken and waited < LOOK:
                yield self.about(POLL)
                waited += POLL

    def _invocation(self, place: int, batch: list[int]) -> Steps[None]:
        began = self.now
        yield from self.controller.lead(self, place, batch)
        self.busy += self.now - began
        self.free.append(place)
        self.is_woken = True
