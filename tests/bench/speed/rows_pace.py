"""How much of the endpoint's limit is used."""

from __future__ import annotations

import time
from typing import Any, Final

from imagescribe_ops.simulator import LimitKind, RateLimit
from tests.bench.speed.backlog import Run, work_off
from tests.bench.speed.calls import Limit
from tests.bench.speed.measures import Bench, Measure, Panel, load_note, told
from tests.bench.speed.stacks import LATENCY_SECONDS, Shape

FAST: Final = 600.0
IMAGES: Final = 600
KNOWN_IMAGES: Final = 400
LEARNING: Final = 200  # images of a run before the one that is measured
SAMPLE_IMAGES: Final = 50  # five batches side by side: its pace doesn't change after that
DIRECT_IMAGES: Final = 30  # each is a process of its own on this machine
CHANGES: Final = ((20.0, 300.0), (60.0, 600.0))  # s after the first answer, and calls a minute from then on
CHANGING_IMAGES: Final = 750
WORKERS: Final = 10
CAPACITY_IMAGES: Final = 1000


def limited(per_minute: float) -> dict[str, Any]:
    """Return the simulator's settings for a limit."""
    return {"limit": RateLimit(LimitKind.TOKEN_BUCKET, per_minute)}


def backlog(bench: Bench) -> list[Measure]:
    """Work off a backlog at 600 a minute that nobody has been told of, then another one."""
    sample, direct = (
        work_off(bench.stack(shape, **limited(FAST)), shape, images, bench.seed, Limit.steady(FAST))
        for shape, images in ((Shape.SAMPLE, SAMPLE_IMAGES), (Shape.DIRECT, DIRECT_IMAGES))
    )
    stack = bench.stack(Shape.OURS, **limited(FAST))
    unknown = work_off(stack, "ours", IMAGES, bench.seed, Limit.steady(FAST))
    known = work_off(stack, "ours", KNOWN_IMAGES, bench.seed, Limit.steady(FAST))
    bench.panels.append(Panel(f"Limit of {FAST:.0f} a minute, unknown", (unknown, sample, direct)))
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


def unlimited(bench: Bench) -> list[Measure]:
    """Work off a backlog without a limit."""
    stack = bench.stack(Shape.OURS)
    stack.warm(WORKERS)
    capacity = WORKERS * 10 / LATENCY_SECONDS * 60
    run = work_off(stack, "ours", CAPACITY_IMAGES, bench.seed, Limit.steady(capacity))
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
    stack = bench.stack(Shape.OURS, **limited(FAST))
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

    run = work_off(stack, "ours", CHANGING_IMAGES, bench.seed, Limit.steady(FAST), watch=watch)
    bench.panels.append(Panel("A limit that halves, then doubles", (run,)))
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
