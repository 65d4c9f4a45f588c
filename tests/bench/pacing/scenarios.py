"""What the meter must stand, and how a run of it is measured."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from tests.bench.pacing.endpoint import LATENCY, FixedWindow, Hiccups, InFlight, Limit, Rate, TokenBucket, Unlimited
from tests.bench.pacing.simulation import Meter, World

IDLE_BETWEEN = 3600.0  # s between the run that finds a limit and the one that knows it
QUIET = (60, 2.0)  # images, and s from one to the next
CHANGES = ((60.0, 5.0), (120.0, 10.0))  # s, and calls a second from then on
WITHIN = 5.0  # s over which a rate after a change is measured


class Kind(Enum):
    """How the endpoint counts."""

    BUCKET = "token bucket"
    FLIGHT = "in flight"
    WINDOW = "minute"
    TOLD = "minute, told"
    NONE = "none"


class Stray(Enum):
    """Calls that are answered 429 though no limit is reached."""

    NONE = ""
    TENTH = "10 % stray"
    FIRST = "first 4 stray"
    QUIET = "3 stray in a quiet time before"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A backlog against a limit; `known` where a backlog before it has found the limit.

    Attributes
    ----------
    images
        That need a call; `copies` is the part of the messages that need none.
    """

    kind: Kind
    per_minute: float
    images: int
    known: bool = False
    changes: bool = False
    invocations: int = 10
    stray: Stray = Stray.NONE
    copies: float = 0.0

    @property
    def name(self) -> str:
        limit = "600-300-600" if self.changes else f"{self.per_minute:.0f}"
        known, stray = ", known" if self.known else "", f", {self.stray.value}" if self.stray.value else ""
        copies = f", {100 * self.copies:.0f} % copies" if self.copies else ""
        return f"{self.kind.value} {limit}, {self.images}{known}{stray}{copies}"


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a run; shares are of the limit, `receives` and `billed` seconds for each image."""

    share: float
    second_half: float
    refused: float
    highest_rate: float
    updates: float
    recovered: float
    receives: float
    billed: float
    lasted: float


SCENARIOS = (
    Scenario(Kind.BUCKET, 600, 600),
    Scenario(Kind.BUCKET, 600, 600, known=True),
    Scenario(Kind.BUCKET, 600, 600, known=True, invocations=20),
    Scenario(Kind.BUCKET, 600, 600, known=True, copies=0.67),
    Scenario(Kind.BUCKET, 30, 60),
    Scenario(Kind.BUCKET, 5, 15),
    Scenario(Kind.BUCKET, 1000, 1000),
    Scenario(Kind.BUCKET, 3000, 3000, invocations=40),
    Scenario(Kind.BUCKET, 600, 1500, changes=True, invocations=20),
    Scenario(Kind.FLIGHT, 600, 600),
    Scenario(Kind.FLIGHT, 600, 600, known=True),
    Scenario(Kind.WINDOW, 600, 2400, invocations=20),
    Scenario(Kind.TOLD, 600, 2400, invocations=20),
    Scenario(Kind.TOLD, 5, 15),
    Scenario(Kind.NONE, 100 / LATENCY * 60, 1000),
    Scenario(Kind.NONE, 100 / LATENCY * 60, 200, stray=Stray.TENTH),
    Scenario(Kind.BUCKET, 600, 200, stray=Stray.TENTH),
    Scenario(Kind.BUCKET, 600, 1000, stray=Stray.TENTH),
    Scenario(Kind.BUCKET, 180, 30, stray=Stray.TENTH),
    Scenario(Kind.NONE, 100 / LATENCY * 60, 30, stray=Stray.FIRST),
    Scenario(Kind.BUCKET, 180, 30, stray=Stray.FIRST),
    Scenario(Kind.BUCKET, 180, 100, stray=Stray.QUIET),
)


def run(scenario: Scenario, make: Callable[[], Meter], seed: int) -> Figures:
    """Work off the scenario's backlog with a new meter."""
    chance = random.Random(seed)
    world = World(make(), _limit(scenario, chance), chance, scenario.invocations, copies=scenario.copies)
    if scenario.known or scenario.stray is Stray.QUIET:
        world.run(*(QUIET if scenario.stray is Stray.QUIET else (2 * scenario.images,)))
        world.now += IDLE_BETWEEN if scenario.known else 0.0
        for record in (world.answers, world.starts, world.refusals, world.rates):
            record.clear()
    before, world.receives, world.busy, began = world.meter.updates(), 0, 0.0, world.now
    world.run(scenario.images)
    return _figures(world, scenario, world.meter.updates() - before, began)


def _limit(scenario: Scenario, chance: random.Random) -> Limit:
    def rate(now: float) -> float:
        changed = [after for since, after in CHANGES if scenario.changes and now >= since]
        return changed[-1] if changed else scenario.per_minute / 60

    phase = chance.random() * 60
    limits: dict[Kind, Callable[[Rate], Limit]] = {
        Kind.BUCKET: TokenBucket,
        Kind.FLIGHT: InFlight,
        Kind.WINDOW: lambda rate: FixedWindow(rate, phase, tells=False),
        Kind.TOLD: lambda rate: FixedWindow(rate, phase, tells=True),
        Kind.NONE: Unlimited,
    }
    limit = limits[scenario.kind](rate)
    if scenario.stray is Stray.NONE:
        return limit
    numbers = {Stray.FIRST: range(1, 5), Stray.QUIET: chance.sample(range(5, QUIET[0]), 3)}.get(scenario.stray, ())
    return Hiccups(limit, set(numbers), 0.1 if scenario.stray is Stray.TENTH else 0.0, chance)


def _figures(world: World, scenario: Scenario, updates: int, began: float) -> Figures:
    first, last = world.answers[0], world.answers[-1]
    middle = (first + last) / 2
    second = [answer for answer in world.answers if answer > middle]
    return Figures(
        share=(len(world.answers) - 1) / _allowed(world.limit, first, last),
        second_half=len(second) / _allowed(world.limit, middle, last),
        refused=len(world.refusals) / len(world.starts),
        highest_rate=max(rate for _, rate in world.rates) / world.limit.rate(0.0),
        updates=updates / len(world.starts),
        recovered=max(_recovered(world, *change) for change in CHANGES) if scenario.changes else 0.0,
        receives=world.receives / scenario.images,
        billed=world.busy / scenario.images,
        lasted=last - began,
    )


def _allowed(limit: Limit, begin: float, end: float) -> float:
    """Return the calls that the limit allowed between two times."""
    parts = 2000
    length = (end - begin) / parts
    return sum(limit.rate(begin + (part + 0.5) * length) for part in range(parts)) * length


def _recovered(world: World, since: float, rate: float) -> float:
    """Return the seconds after a change until calls are taken at 0.95 of the new rate, over `WITHIN` seconds."""
    taken = sorted(set(world.starts) - set(world.refusals))
    begin = since
    while begin < since + 60 and sum(begin <= start < begin + WITHIN for start in taken) < 0.95 * rate * WITHIN - 1e-6:
        begin += 0.25
    return begin - since
