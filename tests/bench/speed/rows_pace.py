"""How much of the endpoint's limit is used."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Final

from imagescribe_ops.simulator import LimitKind, RateLimit
from tests.bench.speed.backlog import Run, work_off
from tests.bench.speed.calls import Limit
from tests.bench.speed.measures import Bench, Measure, Panel, load_note, told
from tests.bench.speed.stacks import LATENCY_SECONDS, Shape, Stack, deployed

FAST: Final = 600.0
IMAGES: Final = 600
LEARNING: Final = 300  # images of a run before the one that is measured
SAMPLE_IMAGES: Final = 100  # two rounds of five batches: its pace doesn't change after that
DIRECT_IMAGES: Final = 30  # each is a process of its own on this machine
CHANGES: Final = ((30.0, 300.0), (75.0, 600.0))  # s after the first answer, and calls a minute from then on
CHANGING_IMAGES: Final = 900
WORKERS: Final = 10
CAPACITY_IMAGES: Final = 1000
SLOW_PATIENCE: Final = 2.0  # times the time that the limit itself needs


def limited(per_minute: float) -> dict[str, Any]:
    """Return the simulator's settings for a limit."""
    return {"limit": RateLimit(LimitKind.TOKEN_BUCKET, per_minute)}


def backlog(bench: Bench) -> list[Measure]:
    """Work off a backlog at 600 a minute that nobody has been told of, then another one."""
    runs: dict[Shape, Run] = {}
    for shape, images in ((Shape.SAMPLE, SAMPLE_IMAGES), (Shape.DIRECT, DIRECT_IMAGES)):
        with deployed(bench.cloud, shape, limited(FAST)) as stack:
            runs[shape] = work_off(stack, shape, range(images), bench.seed, Limit.steady(FAST))
    with deployed(bench.cloud, Shape.OURS, limited(FAST)) as stack:
        unknown = work_off(stack, "ours", range(IMAGES), bench.seed, Limit.steady(FAST))
        known = work_off(stack, "ours", range(IMAGES, 2 * IMAGES), bench.seed, Limit.steady(FAST))
    sample, direct = runs[Shape.SAMPLE], runs[Shape.DIRECT]
    bench.panels.append(Panel("600 calls a minute, limit unknown", (unknown, sample, direct)))
    bench.panels.append(Panel("600 calls a minute, limit known", (known,)))
    ratio = known.billed_each / sample.billed_each
    return [
        _share(unknown, "limit unknown", (0.90, 0.97, 0.05), f"sample {told(sample)}; direct {told(direct)}"),
        _share(known, "limit known, processes started", (0.97, 0.0, 0.01), "don't learn"),
        Measure(
            "billed Lambda seconds for each image, backlog",
            f"600 a minute, limit known, {known.images} images (sample {sample.images}, direct {direct.images})",
            f"{known.billed_each:.2f} s, {ratio:.3f} of sample's",
            f"sample {sample.billed_each:.2f} s; direct {direct.billed_each:.2f} s",
            "≤ 0.6 s; ≤ 0.15 of sample's",
            known.billed_each <= 0.6 and ratio <= 0.15,
            {"ours": known.billed_each, "sample": sample.billed_each, "direct": direct.billed_each},
            (
                f"{unknown.billed_each:.2f} s while the limit was found, starts of processes included",
                "the emulator bills waiting for the processor too",
            ),
        ),
    ]


def _share(run: Run, what: str, least: tuple[float, float, float], baselines: str) -> Measure:
    share, second_half, refused = run.share, run.second_half, run.calls.refused
    return Measure(
        f"share of the limit used, {what}",
        f"{FAST:.0f} a minute, {run.images} images, {LATENCY_SECONDS} s a call",
        f"{share:.3f}; second half {second_half:.3f}; {100 * refused:.1f} % 429",
        baselines,
        "; ".join([*(f"≥ {each:.2f}" for each in least[:2] if each), f"≤ {100 * least[2]:.0f} % 429"]),
        share >= least[0] and second_half >= least[1] and refused <= least[2] and run.described == run.images,
        {"share": share, "second_half": second_half, "refused": refused, "billed_each": run.billed_each},
        (load_note(run), f"{run.billed_each:.2f} billed seconds for each image"),
    )


def slow(bench: Bench) -> list[Measure]:
    """Work off 60 images at 30 a minute."""
    return [_slow(bench, 30.0, 60)]


def slowest(bench: Bench) -> list[Measure]:
    """Work off 15 images at 5 a minute."""
    return [_slow(bench, 5.0, 15)]


def _slow(bench: Bench, per_minute: float, images: int) -> Measure:
    """Work off a backlog with each shape; ours and the sample's side by side, since neither is busy."""
    limit = Limit.steady(per_minute)
    patience = SLOW_PATIENCE * images / per_minute * 60

    def run(stack: Stack) -> Run:
        return work_off(stack, stack.shape, range(images), bench.seed, limit, patience=patience)

    with deployed(bench.cloud, Shape.DIRECT, limited(per_minute)) as stack:
        direct = run(stack)  # alone: it starts a process for each image at once
    with ExitStack() as exits, ThreadPoolExecutor() as pool:
        pair = (Shape.OURS, Shape.SAMPLE)
        stacks = [exits.enter_context(deployed(bench.cloud, shape, limited(per_minute))) for shape in pair]
        ours, sample = pool.map(run, stacks)
    bench.panels.append(Panel(f"{per_minute:.0f} calls a minute", (ours, sample, direct)))
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


def unlimited(bench: Bench) -> list[Measure]:
    """Work off a backlog without a limit."""
    with deployed(bench.cloud, Shape.OURS, {}) as stack:
        stack.warm(WORKERS)
        capacity = WORKERS * 10 / LATENCY_SECONDS * 60
        run = work_off(stack, "ours", range(CAPACITY_IMAGES), bench.seed, Limit.steady(capacity))
    bench.panels.append(Panel("no limit; the line is the capacity, 10 × 10 calls at once", (run,)))
    return [
        Measure(
            "share of capacity used (concurrency × batch ÷ latency)",
            f"no limit, {run.images} images, processes started",
            f"{run.share:.3f}; second half {run.second_half:.3f}",
            "",
            "≥ 0.90",
            run.share >= 0.90,
            {"share": run.share, "second_half": run.second_half, "billed_each": run.billed_each},
            (load_note(run), f"{run.billed_each:.2f} billed seconds for each image"),
        )
    ]


def changing(bench: Bench) -> list[Measure]:
    """Halve the limit in mid-run, and double it again."""
    with deployed(bench.cloud, Shape.OURS, limited(FAST)) as stack:
        changes = [(0.0, FAST)]
        first = 0.0

        def watch() -> Limit | None:
            nonlocal first
            if not first:
                first = time.time() if stack.simulator.counts().billed else 0.0
            elif len(changes) <= len(CHANGES) and time.time() >= first + CHANGES[len(changes) - 1][0]:
                per_minute = CHANGES[len(changes) - 1][1]
                stack.simulator.configure(limit=RateLimit(LimitKind.TOKEN_BUCKET, per_minute))
                changes.append((time.time(), per_minute))
                return Limit(tuple(changes))
            return None

        images = range(CHANGING_IMAGES)
        run = work_off(stack, "ours", images, bench.seed, Limit.steady(FAST), watch=watch)
    bench.panels.append(Panel("600 calls a minute, then 300, then 600", (run,)))
    back = [run.calls.recovered(since, per_minute) for since, per_minute in run.limit.changes[1:]]
    calm = [run.calls.calm(since) for since, _ in run.limit.changes[1:]]
    return [
        Measure(
            "a limit that halves, then doubles, in mid-run",
            f"600 → 300 → 600, {run.images} images",
            f"back at ≥ 0.95 after {' and '.join(f'{seconds:.1f} s' for seconds in back)}; {told(run)} over all",
            "",
            "≤ 30 s each",
            len(back) == len(CHANGES) and max(back) <= 30,
            {"down": back[0], "up": back[-1], "share": run.share, "refused": run.calls.refused},
            (
                load_note(run),
                f"at most 5 % of the calls refused after {' and '.join(f'{each:.1f} s' for each in calm)}",
            ),
        )
    ]
