"""What the throttle must stand, what it is to reach, and how a run of it is measured."""

from __future__ import annotations

import random
from dataclasses import dataclass
from statistics import median

from tests.bench.throttle.batches import Batches
from tests.bench.throttle.endpoint import (
    LATENCY,
    FixedWindow,
    InFlight,
    Limit,
    Spurious,
    Strict,
    TokenBucket,
    Unlimited,
)
from tests.bench.throttle.world import World

IDLE_BETWEEN = 3600.0  # s between the run that finds a limit and the one that knows it
CHANGES = ((60.0, 5.0), (120.0, 10.0))  # s, and calls a second from then on
WITHIN = 5.0  # s over which a rate after a change is measured
NO_LIMIT = 100 / LATENCY * 60  # calls a minute that ten invocations of ten images can make

type Kind = float | str  # a bucket of so many seconds (0: strict), or "flight", "window", "told", "none"


@dataclass(frozen=True, slots=True)
class Scenario:
    """A backlog against a limit; `known` where a backlog before it has found the limit."""

    kind: Kind
    per_minute: float
    pictures: int
    known: bool = False
    changes: bool = False
    invocations: int = 10
    spurious: float = 0.0
    resets_in: float = 0.0  # s, as those refusals tell
    copies: int = 0
    jitter: float = 0.01
    min_share: float = 0.0
    max_refused: float = 1.0
    max_recovered: float = 0.0

    @property
    def name(self) -> str:
        limit = "600-300-600" if self.changes else "no limit" if self.kind == "none" else f"{self.per_minute:.0f}"
        kind = "" if self.kind == "none" else f" {self.kind}" if isinstance(self.kind, str) else f" b{self.kind:g}"
        parts = [limit + kind, f"{self.pictures}"]
        parts += ["known"] * self.known + [f"{self.copies} copies"] * bool(self.copies)
        parts += [f"{self.spurious:.0%} spurious"] * bool(self.spurious) + ["told"] * bool(self.resets_in)
        parts += [f"{1000 * self.jitter:.0f} ms"] * (self.jitter != 0.01)
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of a run; shares are of the limit, `receives`, `requests` and `billed` seconds for each image."""

    share: float
    second_half: float
    refused: float
    recovered: float
    receives: float
    requests: float
    billed: float
    seconds: float


def _buckets(size: float, jitter: float = 0.01) -> list[Scenario]:
    """Return the rows for a size of bucket; targets where the table has them."""
    is_big, is_none = size >= 1, size == 0
    unknown, known = (0.95, 0.98) if is_big else (0.60, 0.70) if is_none else (0.85, 0.92)
    refused, refused_known = (0.035, 0.015) if is_big else (0.05, 0.05) if is_none else (0.04, 0.04)
    rows = [
        Scenario(size, 600, 600, jitter=jitter, min_share=unknown, max_refused=refused),
        Scenario(size, 600, 600, known=True, jitter=jitter, min_share=known, max_refused=refused_known),
        Scenario(size, 120, 240, jitter=jitter, min_share=0.0 if is_big else 0.8, max_refused=1 if is_big else refused),
    ]
    if is_none:
        rows.append(Scenario(0, 30, 60, jitter=jitter, min_share=0.8, max_refused=0.17))
    return rows


OTHERS = [
    Scenario(1, 30, 60, min_share=0.95, max_refused=0.20),
    Scenario(1, 5, 15, min_share=0.95, max_refused=0.50),
    Scenario("flight", 600, 600),
    Scenario("flight", 600, 600, known=True),
    Scenario("window", 600, 2400, invocations=20),
    Scenario("told", 600, 2400, invocations=20),
    Scenario("told", 5, 15),
    Scenario(1, 600, 1500, changes=True, invocations=20, min_share=0.93, max_refused=0.05, max_recovered=20.0),
    Scenario(1, 3000, 3000, invocations=40, min_share=0.93, max_refused=0.05),
    Scenario("none", NO_LIMIT, 1000, min_share=0.90, max_refused=0.05),
    Scenario(1, 600, 1000, spurious=0.1, min_share=0.40),
    Scenario("none", NO_LIMIT, 200, spurious=0.1),
    Scenario(1, 600, 1000, spurious=0.1, resets_in=1.0),
    Scenario(1, 600, 300, known=True, copies=30, min_share=0.93),
    Scenario(1, 600, 300, known=True, copies=600, min_share=0.90),
]
TUNED = [*_buckets(1), *_buckets(0.2), *_buckets(0), *_buckets(60)[:2], *OTHERS]
UNSEEN = [
    *TUNED,
    *_buckets(0.5),
    *_buckets(5),
    *(row for jitter in (0.0, 0.05) for size in (0, 0.2, 1) for row in _buckets(size, jitter)),
]


def run(scenario: Scenario, seed: int) -> Figures:
    """Work off the scenario's backlog with a new throttle."""
    chance = random.Random(seed)
    batches = Batches(seed=seed)
    world = World(batches, _limit(scenario, chance), chance, scenario.invocations, scenario.jitter)
    if scenario.known:
        world.run(2 * max(scenario.pictures, 600))
        world.now += IDLE_BETWEEN
        for record in (world.answers, world.starts, world.refusals):
            record.clear()
    before, world.receives, world.busy, began = batches.item.requests, 0, 0.0, world.now
    world.run(scenario.pictures, scenario.copies)
    return _figures(world, scenario, batches.item.requests - before, began)


def median_of(runs: list[Figures]) -> Figures:
    """Return the medians."""
    return Figures(*(median(getattr(run, name) for run in runs) for name in Figures.__slots__))


def _limit(scenario: Scenario, chance: random.Random) -> Limit:
    def per_second(now: float) -> float:
        changed = [after for since, after in CHANGES if scenario.changes and now >= since]
        return changed[-1] if changed else scenario.per_minute / 60

    phase = chance.random() * 60
    limit: Limit
    match scenario.kind:
        case "flight":
            limit = InFlight(per_second)
        case "window" | "told":
            limit = FixedWindow(per_second, phase, tells=scenario.kind == "told")
        case "none":
            limit = Unlimited(per_second)
        case float() | int() as seconds if seconds:
            limit = TokenBucket(per_second, seconds, 2.0 if seconds >= 1 else 1.0)
        case _:
            limit = Strict(per_second)
    return Spurious(limit, set(), scenario.spurious, chance, scenario.resets_in) if scenario.spurious else limit


def _figures(world: World, scenario: Scenario, requests: int, began: float) -> Figures:
    first, last = world.answers[0], world.answers[-1]
    middle = (first + last) / 2
    images = scenario.pictures + scenario.copies
    return Figures(
        share=(len(world.answers) - 1) / _allowed(world.limit, first, last),
        second_half=sum(answer > middle for answer in world.answers) / _allowed(world.limit, middle, last),
        refused=len(world.refusals) / len(world.starts),
        recovered=max(_recovered(world, *change) for change in CHANGES) if scenario.changes else 0.0,
        receives=world.receives / images,
        requests=requests / images,
        billed=world.busy / images,
        seconds=last - began,
    )


def _allowed(limit: Limit, begin: float, end: float) -> float:
    """Return the calls that the limit allowed between two times."""
    parts = 2000
    length = (end - begin) / parts
    return sum(limit.per_second(begin + (part + 0.5) * length) for part in range(parts)) * length


def _recovered(world: World, since: float, per_second: float) -> float:
    """Return the seconds after a change until calls are taken at 0.95 of the new rate, over `WITHIN` seconds."""
    refused = set(world.refusals)
    taken = [start for start in world.starts if start not in refused]
    needed = 0.95 * per_second * WITHIN - 1e-6
    begin = since
    while begin < since + 60 and sum(begin <= start < begin + WITHIN for start in taken) < needed:
        begin += 0.25
    return begin - since
