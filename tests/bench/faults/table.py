"""The table of figures: for a terminal, for the README, and for other programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.bench.faults.figures import Figures

HEADINGS = (
    "fault",
    "images",
    "described",
    "distinct contents",
    "paid calls",
    "paid twice",
    "dead letters",
    "seconds",
    "holds",
)


def as_markdown(rows: Sequence[Figures]) -> str:
    """Return the table for the README, without notes."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *map(_cells, rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', '\\|') for cell in line)} |" for line in lines)


def as_json(rows: Sequence[Figures], seed: int) -> str:
    """Return the figures as one JSON object."""
    figures = []
    for row in rows:
        twice = row.paid_twice
        figures.append(
            asdict(row)
            | {
                "holds": row.holds,
                "paid_twice": {"by_cause": dict(twice.by_cause), "unexplained": len(twice.unexplained)},
            }
        )
    return json.dumps({"seed": seed, "rows": figures}, indent=2)


def print_table(console: Console, rows: Sequence[Figures]) -> None:
    """Print the table, then what else was measured and what does not hold."""
    table = Table(*HEADINGS)
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)
    for row in rows:
        for note in row.notes:
            console.print(f"{row.fault}: {note}", highlight=False, markup=False)
    for row in rows:
        for broken in row.broken:
            console.print(f"DOES NOT HOLD: {row.fault}: {broken}", style="red", highlight=False, markup=False)


def _cells(row: Figures) -> tuple[str, ...]:
    dead_letters = f"{row.dead_letters}, {row.dead_letters_left} left" if row.dead_letters else "0"
    return (
        row.fault,
        f"{row.images:,}",
        f"{100 * row.share:.4g} %",
        f"{row.distinct:,}",
        f"{row.paid:,}",
        str(row.paid_twice),
        dead_letters,
        f"{row.seconds:.0f}",
        "yes" if row.holds else "NO",
    )
