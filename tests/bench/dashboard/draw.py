"""The dashboard's widgets as SVG, with the values that CloudWatch would show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from typing import Any

from tests.alarm_state import STATISTICS
from tests.emf import Point

CELL_WIDTH, CELL_HEIGHT, MARGIN = 44, 36, 12
PAPER, PANEL, EDGE, INK, FAINT = "#f2f3f3", "#ffffff", "#d5dbdb", "#16191f", "#687078"
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b")
RINGING, QUIET = "#d13212", "#1d8102"
LEGEND = 15  # from one row of it to the next


@dataclass(frozen=True, slots=True)
class Run:
    """What is drawn.

    Attributes
    ----------
    begin, end
        Epoch seconds.
    alarms
        Each alarm's name, and the minutes of the run in which it rang.
    """

    points: Sequence[Point]
    begin: float
    end: float
    alarms: Mapping[str, Sequence[int]]


def draw(widgets: Sequence[Mapping[str, Any]], run: Run) -> str:
    """Return the picture, on its own light paper."""
    width = 2 * MARGIN + CELL_WIDTH * max(each["x"] + each["width"] for each in widgets)
    height = 2 * MARGIN + CELL_HEIGHT * max(each["y"] + each["height"] for each in widgets)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
    ]
    for widget in widgets:
        x, y = MARGIN + widget["x"] * CELL_WIDTH, MARGIN + widget["y"] * CELL_HEIGHT
        parts.append(f'<g transform="translate({x} {y})" fill="{INK}">')
        size = widget["width"] * CELL_WIDTH, widget["height"] * CELL_HEIGHT
        parts += _WIDGETS[widget["type"]](widget["properties"], run, *size)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def values(line: Sequence[Any], properties: Mapping[str, Any], run: Run) -> list[tuple[float, float]]:
    """Return a metric's value in each of its periods, by the seconds since the begin at which that ends."""
    namespace, name, dimension, value, options = line
    settings = {**properties, **options}
    period, statistic = settings["period"], settings["stat"]
    key = (namespace, name, ((dimension, value),))
    by_period: dict[int, list[float]] = {}
    for point in run.points:
        if (point.namespace, point.name, point.dimensions) == key and run.begin <= point.at <= run.end:
            by_period.setdefault(int((point.at - run.begin) // period), []).extend(point.values)
    seconds = run.end - run.begin
    # A period that the run's end cuts short would look like a fall, unless the run is shorter than one.
    whole = [number for number in sorted(by_period) if (number + 1) * period <= seconds] or sorted(by_period)
    return [(min(seconds, (number + 1) * period), _measured(statistic, by_period[number])) for number in whole]


def _measured(statistic: str, found: Sequence[float]) -> float:
    if statistic == "Average":
        return sum(found) / len(found)
    if statistic.startswith("p"):
        ordered = sorted(found)
        return ordered[min(len(ordered) - 1, ceil(float(statistic[1:]) / 100 * len(ordered)) - 1)]
    return STATISTICS[statistic](found)


def _text(properties: Mapping[str, Any], _run: Run, _width: float, height: float) -> Iterator[str]:
    words = escape(properties["markdown"].lstrip("# "))
    yield f'<text x="4" y="{height - 10}" font-size="18" font-weight="600">{words}</text>'


def _alarm(properties: Mapping[str, Any], run: Run, width: float, height: float) -> Iterator[str]:
    yield from _panel(properties["title"], width, height)
    for row, (name, minutes) in enumerate(run.alarms.items()):
        y = 40 + row * (height - 48) / len(run.alarms)
        rings = bool(minutes) and minutes[-1] == int((run.end - run.begin) // 60)
        yield f'<rect x="14" y="{y - 9}" width="10" height="10" rx="2" fill="{RINGING if rings else QUIET}"/>'
        told = "quiet" if not minutes else f"rang at {minutes[0]} to {minutes[-1]} min"
        yield f'<text x="32" y="{y}">{escape(name)}</text>'
        yield f'<text x="{width - 18}" y="{y}" text-anchor="end" fill="{FAINT}">{told}</text>'


def _metric(properties: Mapping[str, Any], run: Run, width: float, height: float) -> Iterator[str]:
    yield from _panel(properties["title"], width, height)
    lines = [(line, values(line, properties, run)) for line in properties["metrics"]]
    labels = [line[4]["label"] + ("" if found else " (none)") for line, found in lines]
    places = list(_places(labels, width - 14))
    left, right, top = 46.0, width - (46.0 if _has_right(properties) else 18.0), 36.0
    base = height - 38 - LEGEND * places[-1][1]
    most = {
        side: _nice(max((value for line, found in lines if _side(line) == side for _, value in found), default=1.0))
        for side in ("left", "right")
    }
    if "max" in properties["yAxis"]["left"]:
        most["left"] = properties["yAxis"]["left"]["max"]
    yield f'<path d="M{left} {base}H{right}" stroke="{EDGE}"/>'
    for share in (0.5, 1.0):
        y = base - share * (base - top)
        yield f'<path d="M{left} {y}H{right}" stroke="{EDGE}" stroke-dasharray="2 3"/>'
        yield f'<text x="{left - 5}" y="{y + 4}" text-anchor="end" fill="{FAINT}">{share * most["left"]:g}</text>'
        if _has_right(properties):
            yield f'<text x="{right + 5}" y="{y + 4}" fill="{FAINT}">{share * most["right"]:g}</text>'
    seconds = run.end - run.begin
    for minute in range(0, int(seconds // 60) + 1, 2):
        x = left + 60 * minute / seconds * (right - left)
        yield f'<text x="{x}" y="{base + 13}" text-anchor="middle" fill="{FAINT}">{minute} min</text>'
    for (line, found), colour, label, (at, row) in zip(lines, COLOURS, labels, places, strict=False):
        scale = (base - top) / most[_side(line)]
        path = " ".join(
            f"{left + since / seconds * (right - left):.1f},{base - value * scale:.1f}" for since, value in found
        )
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>'
        if len(found) == 1:
            yield f'<circle cx="{path.partition(",")[0]}" cy="{path.partition(",")[2]}" r="3.5" fill="{colour}"/>'
        y = height - 10 - LEGEND * (places[-1][1] - row)
        yield f'<rect x="{at}" y="{y - 8}" width="9" height="9" fill="{colour}"/>'
        yield f'<text x="{at + 13}" y="{y}">{escape(label)}</text>'


def _places(labels: Sequence[str], width: float) -> Iterator[tuple[float, int]]:
    """Yield where each label of a legend begins, and in which of its rows."""
    at, row = 14.0, 0
    for label in labels:
        needed = 24 + 6.2 * len(label)
        if at + needed > width:
            at, row = 14.0, row + 1
        yield at, row
        at += needed


def _panel(title: str, width: float, height: float) -> Iterator[str]:
    yield (
        f'<rect x="3" y="3" width="{width - 6}" height="{height - 6}" rx="4" fill="{PANEL}" stroke="{EDGE}"/>'
        f'<text x="14" y="22" font-size="13" font-weight="600">{escape(title)}</text>'
    )


def _side(line: Sequence[Any]) -> str:
    return str(line[4].get("yAxis", "left"))


def _has_right(properties: Mapping[str, Any]) -> bool:
    return any(_side(line) == "right" for line in properties["metrics"])


def _nice(value: float) -> float:
    """Return the next 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    ten = 10.0 ** floor(log10(value))
    return next(step * ten for step in (1, 2, 5, 10) if step * ten >= value * 0.999)


_WIDGETS = {"text": _text, "alarm": _alarm, "metric": _metric}
