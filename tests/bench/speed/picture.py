"""Calls a second over time against the limit, as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil

from tests.bench.speed.backlog import Run
from tests.bench.speed.measures import Panel, told

WIDTH, HEIGHT = 760, 200  # of a panel's plot
LEFT, TOP, GAP = 56, 44, 62
COLOURS = {"ours": "#1f6fb4", "sample": "#c2571a", "direct": "#6b7f22"}
REFUSED, LIMIT, INK = "#c81e1e", "#111111", "#444444"
WINDOWS = 60  # of a panel; none is shorter than SHORTEST
SHORTEST = 2.0  # s
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)


def draw(panels: Sequence[Panel]) -> str:
    """Return the picture."""
    height = TOP + len(panels) * (HEIGHT + GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 24} {height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="100%" height="100%" fill="#ffffff"/><g fill="{INK}">',
        f'<text x="{LEFT}" y="20" font-size="14">Calls taken a second, over time; refused calls (429) as red ticks'
        "</text></g>",
    ]
    for index, panel in enumerate(panels):
        parts += _panel(panel, TOP + index * (HEIGHT + GAP))
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, top: float) -> Iterator[str]:
    runs = [run for run in panel.runs if run.calls.starts]
    if not runs:
        return
    longest = max(_length(run) for run in runs)
    window = max(SHORTEST, longest / WINDOWS)
    series = {run.name: _rates(run, window) for run in runs}
    highest = [per_minute / 60 for run in runs for _, per_minute in run.limit.changes]
    most = 1.15 * max(rate for rates in (highest, *series.values()) for rate in rates)
    across, up = WIDTH / longest, HEIGHT / most
    base = top + 16 + HEIGHT

    def x(seconds: float) -> str:
        return f"{LEFT + max(0.0, min(seconds, longest)) * across:.1f}"

    def y(rate: float) -> str:
        return f"{base - rate * up:.1f}"

    yield f'<g fill="{INK}"><text x="{LEFT}" y="{top + 8}">{escape(panel.title)}</text>'
    yield from _axes(longest, most, base)
    yield "</g>"
    steps = _limit_steps(runs[0], longest)
    path = " ".join(f"{x(at)},{y(rate)}" for at, rate in steps)
    yield f'<polyline points="{path}" fill="none" stroke="{LIMIT}" stroke-dasharray="6 4"/>'
    for index, run in enumerate(runs):
        colour = COLOURS.get(run.name, INK)
        points = " ".join(f"{x((at + 0.5) * window)},{y(rate)}" for at, rate in enumerate(series[run.name]))
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
        begin = run.calls.starts[0]
        # Each run's refusals on a line of its own, above the plot.
        ticks = "".join(f"M{x(at - begin)} {top + 12 + 5 * index}v4" for at in run.calls.refusals)
        if ticks:
            yield f'<path d="{ticks}" stroke="{REFUSED}"/>'
        label = f"{run.name}: {told(run)}"
        yield (
            f'<text x="{LEFT + WIDTH}" y="{top + 8 + (0 if index == 0 else 14 * index)}" text-anchor="end" '
            f'fill="{colour}">{escape(label)}</text>'
        )


def _axes(longest: float, most: float, base: float) -> Iterator[str]:
    yield f'<path d="M{LEFT} {base - HEIGHT}V{base}H{LEFT + WIDTH}" fill="none" stroke="{INK}"/>'
    step = _step(most / 4)
    for index in range(1, int(most / step) + 1):
        at = base - index * step * HEIGHT / most
        yield f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{index * step:g}</text>'
        yield f'<path d="M{LEFT} {at:.1f}H{LEFT + WIDTH}" stroke="{INK}" stroke-opacity="0.12"/>'
    step = _step(longest / 8)
    for index in range(int(longest / step) + 1):
        at = LEFT + index * step * WIDTH / longest
        yield f'<text x="{at:.1f}" y="{base + 16:.1f}" text-anchor="middle">{index * step:g} s</text>'


def _step(about: float) -> float:
    return next((step for step in STEPS if step >= about), STEPS[-1])


def _length(run: Run) -> float:
    return run.calls.starts[-1] - run.calls.starts[0] + SHORTEST


def _rates(run: Run, window: float) -> list[float]:
    """Return the calls taken a second in each window; the last one only as far as it goes."""
    begin, length = run.calls.starts[0], _length(run)
    counts = [0] * ceil(length / window)
    for start in run.calls.starts:
        counts[int((start - begin) / window)] += 1
    return [count / min(window, max(SHORTEST / 2, length - index * window)) for index, count in enumerate(counts)]


def _limit_steps(run: Run, longest: float) -> list[tuple[float, float]]:
    begin = run.calls.starts[0]
    steps: list[tuple[float, float]] = []
    for since, per_minute in run.limit.changes:
        at = max(0.0, since - begin)
        if steps:
            steps.append((at, steps[-1][1]))
        steps.append((at, per_minute / 60))
    return [*steps, (longest, steps[-1][1])]
