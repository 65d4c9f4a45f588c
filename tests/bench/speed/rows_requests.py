"""How many AWS requests an image takes, and whether that grows with the backlog."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self
from urllib.parse import urlsplit

from tests.bench.faults.proxy import Operation, Proxy, Weather
from tests.bench.speed.backlog import work_off
from tests.bench.speed.calls import Limit
from tests.bench.speed.measures import Bench, Measure
from tests.bench.speed.rows_pace import FAST, LEARNING, limited
from tests.bench.speed.stacks import Shape, Stack, deployed

FEW: Final = 100
MOST: Final = 10.0
GROWTH: Final = 1.05  # more than that is not chance
SERVICES: Final = ("DYNAMODB", "S3", "SQS", "EVENTBRIDGE", "SECRETS_MANAGER")
MAX_SECONDS: Final = 3600.0
LOW: Final = 30.0  # calls a minute
WAITING: Final = 1500  # images
WAITING_FROM: Final = 60.0
WAITING_SECONDS: Final = 60.0


class CountingProxy(Proxy):
    """A proxy that lets everything pass, and counts it by operation."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port, seed=0)
        self.counted: Counter[str] = Counter()

    def __enter__(self) -> Self:
        super().__enter__()
        return self

    def draw(self, operation: Operation) -> Weather | None:
        with self._lock:
            self.counted[str(operation)] += 1
        return None


def requests(bench: Bench) -> list[Measure]:
    """Count what the function asks of AWS for a small backlog and for a large one, both with the limit known."""
    stack = bench.stack(Shape.OURS, **limited(FAST))
    with _counted(bench, stack) as proxy:
        work_off(stack, "learning", LEARNING, bench.seed, Limit.steady(FAST))
        few = _count(bench, stack, proxy, FEW)
        many = _count(bench, stack, proxy, bench.many)
    few_each, many_each = sum(few.values()), sum(many.values())
    listed = ", ".join(f"{name} {each:.2f}" for name, each in sorted(many.items(), key=lambda item: -item[1]))
    return [
        Measure(
            "AWS requests for each image; growth with the backlog",
            f"backlogs of {FEW} and of {bench.many:,}, 600 a minute",
            f"{few_each:.2f} and {many_each:.2f}",
            "",
            "≤ 10; none",
            many_each <= MOST and many_each <= GROWTH * few_each,
            {"few": few_each, "many": many_each, **many},
            (
                f"of the large backlog: {listed}",
                "without the poller's receives and deletes, one each for ten messages, and without the upload itself",
            ),
        )
    ]


def waiting(bench: Bench) -> list[Measure]:
    """Count what a backlog costs while it waits for a low limit."""
    with deployed(bench.cloud, Shape.OURS, limited(LOW)) as stack, _counted(bench, stack) as proxy:
        limit = Limit.steady(LOW)
        stack.hold()
        work_off(stack, "slow-start", WAITING, bench.seed, limit, patience=WAITING_FROM)
        proxy.counted.clear()
        seen, since = stack.simulator.counts().calls, time.time()
        time.sleep(WAITING_SECONDS)
        counted, seconds = proxy.counted.copy(), time.time() - since
        calls, billed = stack.simulator.counts().calls - seen, stack.billed_seconds(since)
        stack.hold()
    minutes = seconds / 60
    rounds = counted["amazonsqs ChangeMessageVisibilityBatch"] / minutes
    listed = ", ".join(f"{name} {count / minutes:.0f}" for name, count in counted.most_common())
    return [
        Measure(
            "what a waiting backlog asks of AWS in a minute",
            f"{LOW:.0f} a minute, {WAITING:,} images, {WAITING_FROM:.0f} s after the start",
            f"{counted.total() / minutes:.0f} requests, {billed / minutes:.0f} billed seconds, "
            f"{rounds:.0f} batches deferred",
            "",
            "",
            None,
            {"requests": counted.total() / minutes, "billed": billed / minutes, "rounds": rounds},
            (f"{calls / minutes:.0f} calls a minute; requests: {listed}", f"load average {os.getloadavg()[0]:.1f}"),
        )
    ]


def _count(bench: Bench, stack: Stack, proxy: CountingProxy, images: int) -> dict[str, float]:
    proxy.counted.clear()
    run = work_off(stack, "counted", images, bench.seed, Limit.steady(FAST), patience=MAX_SECONDS)
    return {name: count / run.images for name, count in proxy.counted.items()}


@contextmanager
def _counted(bench: Bench, stack: Stack) -> Iterator[CountingProxy]:
    """Lead the deployed function through a proxy, by the variables that the SDK reads."""
    with (
        CountingProxy(urlsplit(bench.cloud.endpoint_url).port or 0) as proxy,
        stack.environment({f"AWS_ENDPOINT_URL_{service}": proxy.url for service in SERVICES}),
    ):
        yield proxy
