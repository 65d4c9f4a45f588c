"""Inject each fault into the deployed stack, and print one table: `uv run python -m tests.bench.faults [ROW…]`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from rich.console import Console

from imagescribe_ops.local.processes import Interrupted, interruptible
from imagescribe_ops.local.stack import LocalCloud
from tests.bench.faults.figures import Figures
from tests.bench.faults.rows import MANY, ROWS, Row
from tests.bench.faults.scale import Scale
from tests.bench.faults.table import as_json, as_markdown, print_table
from tests.bench.rows import add_names, chosen, first_line

IMAGES, MANY_IMAGES = 200, 10_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows asked for; 1 if one of them does not hold."""
    parser = argparse.ArgumentParser(prog="tests.bench.faults", description=__doc__)
    add_names(parser, f"all but `many`, which is {MANY_IMAGES:,} uploads at once")
    parser.add_argument("--images", type=int, help=f"in each row (default {IMAGES}; {MANY_IMAGES:,} in `many`)")
    parser.add_argument("--seed", type=int, default=1, help="of pictures, faults and orders")
    parser.add_argument("--many", action="store_true", help="the row `many`, and nothing else")
    parser.add_argument("--small", action="store_true", help="faults that last no longer than a test may take")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--markdown", action="store_true", help="the table for the README")
    given = parser.parse_args(arguments)
    default = ["many"] if given.many else list(ROWS)
    rows = chosen(parser, given, {**ROWS, "many": MANY}, lambda row: first_line(row.run), default)
    try:
        with interruptible():
            figures = _run(rows, given)
    except Interrupted as interruption:
        return 128 + interruption.signal_number
    if given.json:
        print(as_json(figures, given.seed))
    elif given.markdown:
        print(as_markdown(figures))
    else:
        print_table(Console(width=None if sys.stdout.isatty() else 180), figures)
    return 0 if all(row.holds for row in figures) else 1


def _run(rows: Mapping[str, Row], given: argparse.Namespace) -> list[Figures]:
    with ExitStack() as exits:
        cloud = exits.enter_context(LocalCloud())
        pool = ThreadPoolExecutor()
        # Where one of them fails or is interrupted, the others end with the cloud.
        exits.callback(pool.shutdown, wait=False, cancel_futures=True)
        beside = {name: pool.submit(_inject, name, row, cloud, given) for name, row in rows.items() if row.is_slow}
        alone = {name: _inject(name, row, cloud, given) for name, row in rows.items() if not row.is_slow}
        return [beside[name].result() if name in beside else alone[name] for name in rows]


def _inject(name: str, row: Row, cloud: LocalCloud, given: argparse.Namespace) -> Figures:
    progress = Console(stderr=True, highlight=False)
    progress.print(f"{time.strftime('%H:%M:%S')} {name} …", markup=False)
    images = given.images or (MANY_IMAGES if row is MANY else IMAGES)
    figures = row.run(cloud, Scale(images, given.seed, given.small))
    _report(progress, name, figures)
    return figures


def _report(progress: Console, name: str, row: Figures) -> None:
    verdict = "holds" if row.holds else "DOES NOT HOLD: " + "; ".join(row.broken)
    told = f"{row.described}/{row.images} described, {row.paid} paid for {row.distinct}, {row.seconds:.0f} s: {verdict}"
    progress.print(f"{time.strftime('%H:%M:%S')}   {name}: {told}", markup=False, soft_wrap=True)
    for note in row.notes:
        progress.print(f"           {note}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
