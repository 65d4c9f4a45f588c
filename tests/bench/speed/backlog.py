"""Work off a backlog and say how it went."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.speed.calls import Calls, Limit
from tests.bench.speed.stacks import Stack

LOOK_SECONDS = 0.5
QUIET_SECONDS = 15.0
"""Without a queue, what has not been called again after so long never will be."""

DRAIN_SECONDS = 30.0
"""For what comes after the last answer: records, tags, and the log lines that tell what was billed."""


@dataclass(frozen=True, slots=True)
class Run:
    """A backlog that was worked off.

    Attributes
    ----------
    limit
        The endpoint's, as it was during the run.
    described, dead
        Images; the rest still waits, or is lost where there is no queue.
    billed_seconds
        Of Lambda.
    load
        The machine's load average at the end.
    seconds
        From the upload to the end.
    """

    name: str
    images: int
    limit: Limit
    calls: Calls
    described: int
    dead: int
    billed_seconds: float
    load: float
    seconds: float
    has_queue: bool

    @property
    def share(self) -> float:
        return self.calls.share(self.limit)

    @property
    def second_half(self) -> float:
        return self.calls.second_half(self.limit)

    @property
    def billed_each(self) -> float:
        return self.billed_seconds / max(1, self.described)


def work_off(
    stack: Stack,
    name: str,
    images: int,
    seed: int,
    limit: Limit,
    *,
    patience: float = 600.0,
    watch: Callable[[], Limit | None] = lambda: None,
) -> Run:
    """Upload while nothing is taken, let it be taken, and wait until every image is described or dead.

    Parameters
    ----------
    images
        How many.
    patience
        Seconds after which the rest is left.
    watch
        Called twice a second; returns the limit where it has changed.
    """
    stack.hold()
    seen = max((entry.id for entry in stack.simulator.journal()), default=0)
    billed_before, dead_before = stack.simulator.counts().billed, stack.dead()
    objects = stack.pictures(seed, images)
    started = time.time()
    stack.upload(objects)
    stack.open()
    deadline, last_calls, quiet_since = time.monotonic() + patience, -1, time.monotonic()
    while time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        limit = watch() or limit
        counts = stack.simulator.counts()
        if counts.billed - billed_before + stack.dead() - dead_before >= len(objects):
            break
        if counts.calls != last_calls or counts.in_flight:
            last_calls, quiet_since = counts.calls, time.monotonic()
        if not stack.mapping and time.monotonic() - quiet_since > QUIET_SECONDS:
            break
    described = stack.simulator.counts().billed - billed_before
    drained = time.monotonic() + DRAIN_SECONDS
    while described >= len(objects) and stack.waiting() and time.monotonic() < drained:
        time.sleep(LOOK_SECONDS)
    time.sleep(1.0)
    return Run(
        name=name,
        images=len(objects),
        limit=limit,
        calls=Calls.of_journal(stack.simulator.journal(seen)),
        described=described,
        dead=stack.dead() - dead_before,
        billed_seconds=stack.billed_seconds(started),
        load=os.getloadavg()[0],
        seconds=time.time() - started,
        has_queue=bool(stack.mapping),
    )
