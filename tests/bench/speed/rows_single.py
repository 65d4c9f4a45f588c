"""How quickly one image gets its tags when nothing else is going on."""

from __future__ import annotations

import os
import time
from statistics import quantiles
from typing import Final

from tests.bench.speed.measures import Bench, Measure
from tests.bench.speed.stacks import Shape, Stack

IMAGES: Final = 30
WARMING: Final = 3
LATENCY_SECONDS: Final = 0.3  # left out of the figures, so it may as well be short
LOOK_SECONDS: Final = 0.005
PATIENCE_SECONDS: Final = 60.0


def single(bench: Bench) -> list[Measure]:
    """Upload one image after the other, ours and the sample's in turn."""
    seconds: dict[Shape, list[float]] = {Shape.OURS: [], Shape.SAMPLE: []}
    stacks = [bench.stack(shape, LATENCY_SECONDS) for shape in seconds]
    for number in range(WARMING + IMAGES):
        # The first one changes with each turn, so that neither always comes upon what the other one left.
        for stack in stacks if number % 2 else reversed(stacks):
            so_far = seconds[stack.shape]
            blind = min(so_far) / 2 if number >= WARMING else 0.0
            so_far.append(_one(stack, bench.seed, blind))
    (ours_50, ours_99), (sample_50, sample_99) = (_percentiles(taken[WARMING:]) for taken in seconds.values())
    return [
        Measure(
            "upload to tags of a single image, endpoint's time left out",
            f"idle stacks, processes started, endpoint over TLS, {IMAGES} images one by one",
            f"p50 {1000 * ours_50:.0f} ms, p99 {1000 * ours_99:.0f} ms",
            f"sample p50 {1000 * sample_50:.0f} ms, p99 {1000 * sample_99:.0f} ms",
            "≤ sample's, p50 and p99",
            ours_50 <= sample_50 and ours_99 <= sample_99,
            {"ours_p50": ours_50, "ours_p99": ours_99, "sample_p50": sample_50, "sample_p99": sample_99},
            (f"load average {os.getloadavg()[0]:.1f}",),
        )
    ]


def _one(stack: Stack, seed: int, blind: float) -> float:
    """Upload one image and return the seconds until it is tagged, without those in the endpoint.

    Looking costs the emulator as much as what it looks for, so it begins so many seconds after the endpoint's time.
    """
    s3 = stack.connection.s3()
    ((key, picture),) = stack.pictures(seed, 1).items()
    seen = stack.simulator.counts().calls
    started = time.time()
    s3.put_object(Bucket=stack.bucket, Key=key, Body=picture.content)
    time.sleep(max(0.0, started + LATENCY_SECONDS + blind - time.time()))
    while not s3.get_object_tagging(Bucket=stack.bucket, Key=key)["TagSet"]:
        if time.time() - started > PATIENCE_SECONDS:
            raise TimeoutError(f"{stack.name}: no tags on {key}")
        time.sleep(LOOK_SECONDS)
    tagged = time.time()
    (call,) = stack.simulator.journal(seen)
    while stack.waiting():  # the message is deleted a moment later; the next image shall find nothing
        if time.time() - started > PATIENCE_SECONDS:
            raise TimeoutError(f"{stack.name}: {key} is tagged, but its message stays in the queue")
        time.sleep(LOOK_SECONDS)
    return tagged - started - (call.ended_at - call.started_at)


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    cuts = quantiles(seconds, n=100, method="inclusive")
    return cuts[49], cuts[98]
