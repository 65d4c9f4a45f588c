"""Inject each fault into the deployed stack, and print one table: `uv run python -m tests.bench.faults`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence

from rich.console import Console

from imagescribe_ops.local.processes import Interrupted, interruptible
from imagescribe_ops.local.stack import LocalCloud
from tests.bench.faults.figures import Figures
from tests.bench.faults.rows import MANY, ROWS, Row
from tests.bench.faults.scale import Scale
from tests.bench.faults.table import as_json, as_markdown, print_table

MANY_IMAGES = 10_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows asked for; 1 if one of them does not hold."""
    parser = argparse.ArgumentParser(prog="tests.bench.faults", description=__doc__)
    parser.add_argument("--images", type=int, default=200, help="in each row (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="of pictures, faults and orders")
    parser.add_argument("--only", nargs="+", choices=sorted(ROWS), metavar="NAME", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--many", action="store_true", help=f"{MANY_IMAGES:,} uploads at once, and nothing else")
    parser.add_argument("--small", action="store_true", help="faults that last no longer than a test may take")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--markdown", action="store_true", help="the table for the README")
    given = parser.parse_args(arguments)
    rows = {"many": MANY} if given.many else {name: ROWS[name] for name in given.only or ROWS}
    images = MANY_IMAGES if given.many and given.images == parser.get_default("images") else given.images
    try:
        with interruptible():
            figures = _run(rows, Scale(images, given.seed, given.small))
    except Interrupted as interruption:
        return 128 + interruption.signal_number
    if given.json:
        print(as_json(figures, given.seed))
    elif given.markdown:
        print(as_markdown(figures))
    else:
        print_table(Console(width=None if sys.stdout.isatty() else 180), figures)
    return 0 if all(row.holds for row in figures) else 1


def _run(rows: Mapping[str, Row], scale: Scale) -> list[Figures]:
    progress = Console(stderr=True, highlight=False)
    figures = []
    with LocalCloud() as cloud:
        for name, row in rows.items():
            progress.print(f"{time.strftime('%H:%M:%S')} {name} …", markup=False)
            figures.append(row.run(cloud, scale))
            _report(progress, figures[-1])
    return figures


def _report(progress: Console, row: Figures) -> None:
    verdict = "holds" if row.holds else "DOES NOT HOLD: " + "; ".join(row.broken)
    told = f"{row.described}/{row.images} described, {row.paid} paid for {row.distinct}, {row.seconds:.0f} s: {verdict}"
    progress.print(f"{time.strftime('%H:%M:%S')}   {told}", markup=False, soft_wrap=True)
    for note in row.notes:
        progress.print(f"           {note}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
