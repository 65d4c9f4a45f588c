"""Calls accepted so far against what the limit allows by then, as SVG: one panel beside the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import pairwise

from tests.bench.speed.backlog import Run
from tests.bench.speed.measures import Panel

WIDTH, HEIGHT = 308, 262  # of a panel's plot
LEFT, TOP, GAP, RIGHT, BELOW = 52, 44, 60, 20, 54
PAPER, EDGE, INK, LIMIT, REFUSED = "#fcfcfa", "#d8d8d2", "#3a3a3a", "#111111", "#c81e1e"
COLOURS = {"ours": "#1f6fb4", "sample": "#c2571a", "direct": "#6b7f22"}
NAMES = {"ours": "ImageScribe"}
STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
MAX_POINTS = 240
LINE = 19  # from one line of the legend to the next


def draw(panels: Sequence[Panel]) -> str:
    """Return the picture. It brings its own light paper, so that it can be read on a dark page too."""
    width = LEFT + len(panels) * WIDTH + max(0, len(panels) - 1) * GAP + RIGHT
    height = TOP + HEIGHT + BELOW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="13">',
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" fill="{PAPER}" stroke="{EDGE}"/>',
    ]
    for index, panel in enumerate(panels):
        parts += _panel(panel, LEFT + index * (WIDTH + GAP))
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, left: float) -> Iterator[str]:
    runs = [run for run in panel.runs if run.calls.starts]
    if not runs:
        return
    ours = runs[0]
    begin = ours.calls.starts[0]
    longest = max(_length(run) for run in runs)
    most = 1.04 * max(ours.limit.allowed(begin, begin + longest), *(len(run.calls.starts) for run in runs))
    base = TOP + HEIGHT

    def at(seconds: float, calls: float) -> str:
        return f"{left + seconds * WIDTH / longest:.1f},{base - calls * HEIGHT / most:.1f}"

    yield f'<g fill="{INK}"><text x="{left}" y="26" font-size="15" font-weight="600">{escape(panel.title)}</text>'
    yield from _axes(longest, most, left)
    yield "</g>"
    for run in reversed(runs):  # ours on top
        colour = COLOURS.get(run.name, INK)
        yield f'<polyline points="{_joined(at, _accepted(run))}" fill="none" stroke="{colour}" stroke-width="3"/>'
    turns = [begin, *(since for since, _ in ours.limit.changes[1:]), begin + longest]
    allowed = [(turn - begin, ours.limit.allowed(begin, turn)) for turn in turns]
    yield f'<polyline points="{_joined(at, allowed)}" fill="none" stroke="{LIMIT}" stroke-dasharray="6 4"/>'
    yield from _changes(ours, longest, left)
    # Each run's refusals in a row of its own, right under the axis; ours first.
    for row, run in enumerate(runs):
        first = run.calls.starts[0]
        ticks = "".join(
            f"M{left + since * WIDTH / longest:.1f} {base + 2 + 5 * row}v4"
            for since in (refusal - first for refusal in run.calls.refusals)
            if 0 <= since <= longest
        )
        if ticks:
            yield f'<path d="{ticks}" stroke="{COLOURS.get(run.name, REFUSED) if row else REFUSED}"/>'
    yield from _legend(runs, left)


def _legend(runs: Sequence[Run], left: float) -> Iterator[str]:
    lines = [(LIMIT, ' stroke-dasharray="6 4"', "allowed by the limit")]
    lines += [
        (COLOURS.get(run.name, INK), ' stroke-width="3"', f"{NAMES.get(run.name, run.name)}: {run.share:.2f} of it")
        for run in runs
    ]
    for index, (colour, dashes, text) in enumerate(lines):
        y = TOP + 16 + LINE * index
        yield f'<path d="M{left + 8} {y - 4}h22" stroke="{colour}"{dashes}/>'
        yield f'<text x="{left + 36}" y="{y}" fill="{colour}">{escape(text)}</text>'


def _changes(run: Run, longest: float, left: float) -> Iterator[str]:
    """Mark where the limit changes, and say to what."""
    ends = [*(since - run.calls.starts[0] for since, _ in run.limit.changes[1:]), longest]
    for (since, until), (_, per_minute) in zip(pairwise(ends), run.limit.changes[1:], strict=True):
        x, end = (left + seconds * WIDTH / longest for seconds in (since, until))
        yield f'<path d="M{x:.1f} {TOP + HEIGHT}V{TOP + 90}" stroke="{INK}" opacity="0.4" stroke-dasharray="2 3"/>'
        yield (
            f'<text x="{(x + end) / 2:.1f}" y="{TOP + HEIGHT - 10}" text-anchor="middle" fill="{INK}">'
            f"{per_minute:.0f} a minute</text>"
        )


def _axes(longest: float, most: float, left: float) -> Iterator[str]:
    base = TOP + HEIGHT
    yield f'<path d="M{left} {TOP}V{base}H{left + WIDTH}" fill="none" stroke="{INK}"/>'
    step = _step(most / 5)
    for index in range(1, int(most / step) + 1):
        y = base - index * step * HEIGHT / most
        yield f'<text x="{left - 7}" y="{y + 4.5:.1f}" text-anchor="end">{index * step:,}</text>'
        yield f'<path d="M{left} {y:.1f}h{WIDTH}" stroke="{INK}" stroke-opacity="0.12"/>'
    step = _step(longest / 6)
    for index in range(int(longest / step) + 1):
        x = left + index * step * WIDTH / longest
        yield f'<text x="{x:.1f}" y="{base + 30}" text-anchor="middle">{index * step} s</text>'
    told = f'calls accepted; <tspan fill="{REFUSED}">ticks below: calls refused (429)</tspan>'
    yield f'<text x="{left}" y="{base + 47}" font-size="12">{told}</text>'


def _step(about: float) -> int:
    return next((step for step in STEPS if step >= about), STEPS[-1])


def _length(run: Run) -> float:
    return max(1.0, run.calls.starts[-1] - run.calls.starts[0])


def _joined(at: Callable[[float, float], str], points: Sequence[tuple[float, float]]) -> str:
    return " ".join(at(seconds, calls) for seconds, calls in points)


def _accepted(run: Run) -> list[tuple[float, float]]:
    """Return seconds since the first accepted call, and how many were accepted by then."""
    starts = run.calls.starts
    every = max(1, len(starts) // MAX_POINTS)
    points = [(start - starts[0], float(number)) for number, start in enumerate(starts)]
    return [*points[::every], points[-1]]
