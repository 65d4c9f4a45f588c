"""How much of a low limit is used. These rows wait most of the time, so they may run beside one another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

from tests.bench.speed.backlog import Run, work_off
from tests.bench.speed.calls import Limit
from tests.bench.speed.measures import Bench, Measure, load_note, told
from tests.bench.speed.rows_pace import limited
from tests.bench.speed.stacks import Shape, Stack, deployed

PATIENCE: Final = 1.3  # times the time that the limit itself needs


def slow(bench: Bench) -> list[Measure]:
    """Work off 60 images at 30 a minute."""
    return [_slow(bench, 30.0, 60)]


def slowest(bench: Bench) -> list[Measure]:
    """Work off 12 images at 5 a minute."""
    return [_slow(bench, 5.0, 12)]


def _slow(bench: Bench, per_minute: float, images: int) -> Measure:
    """Work off a backlog with each shape; ours and the sample's side by side, since neither is busy."""
    limit = Limit.steady(per_minute)
    patience = PATIENCE * images / per_minute * 60

    def run(stack: Stack) -> Run:
        return work_off(stack, stack.shape, images, bench.seed, limit, patience=patience)

    with deployed(bench.cloud, Shape.DIRECT, limited(per_minute)) as stack:
        direct = run(stack)  # alone: it starts a process for each image at once
    with ExitStack() as exits, ThreadPoolExecutor() as pool:
        pair = (Shape.OURS, Shape.SAMPLE)
        stacks = [exits.enter_context(deployed(bench.cloud, shape, limited(per_minute))) for shape in pair]
        ours, sample = pool.map(run, stacks)
    return Measure(
        "share of the limit used; dead letters",
        f"{per_minute:.0f} a minute, {images} images",
        f"{told(ours)}; {ours.dead or 'no'} dead letters",
        f"sample {told(sample)}; direct {told(direct)}",
        "≥ 0.90; 0",
        ours.share >= 0.90 and ours.dead == 0 and ours.described == images,
        {"share": ours.share, "refused": ours.calls.refused, "sample": sample.share, "direct": direct.share},
        (
            load_note(ours, sample, direct),
            f"of at most {(images - 1) / (images - max(2.0, per_minute / 60)):.2f}, with the bucket's burst",
            f"{ours.billed_each:.2f} billed seconds for each image (sample {sample.billed_each:.2f})",
        ),
    )
