"""The table: for a terminal, for the README, and for other programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.bench.speed.measures import Measure

HEADINGS = ("measure", "at", "ours", "baselines", "to reach", "met")

DEFINITIONS = (
    "share: answers after the first, ÷ what the limit allows from the first answer to the last",
    "429: part of the calls that was refused",
    "baselines: direct is S3 → function; sample is S3 → queue → function, one record after the other. For a queue the "
    "emulator runs five invocations at once; Lambda begins with five too, but would add more by the minute",
)


def as_markdown(measures: Sequence[Measure]) -> str:
    """Return the table for the README, without notes."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *map(_cells, measures)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '\\|') for cell in line)} |" for line in lines)


def as_json(measures: Sequence[Measure], seed: int) -> str:
    """Return everything as one JSON object."""
    return json.dumps({"seed": seed, "rows": [asdict(measure) for measure in measures]}, indent=2, ensure_ascii=False)


def print_table(console: Console, measures: Sequence[Measure]) -> None:
    """Print the table, then what else was seen."""
    table = Table(*HEADINGS, show_lines=True)
    for measure in measures:
        table.add_row(*_cells(measure))
    console.print(table)
    for definition in DEFINITIONS:
        console.print(definition, highlight=False, markup=False)
    for measure in measures:
        for note in measure.notes:
            console.print(f"{measure.name}, {measure.at}: {note}", highlight=False, markup=False)


def _cells(measure: Measure) -> tuple[str, ...]:
    met = {None: "", True: "yes", False: "NO"}[measure.is_met]
    return (measure.name, measure.at, measure.ours, measure.baselines or "–", measure.target, met)
