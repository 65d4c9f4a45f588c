"""Measure speed and cost beside two baselines, and print one table: `uv run python -m tests.bench.speed`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from imagescribe_ops.local.processes import Interrupted, interruptible
from imagescribe_ops.local.stack import LocalCloud
from tests.bench.speed import rows_init, rows_pace, rows_requests, rows_single
from tests.bench.speed.measures import Bench, Measure
from tests.bench.speed.picture import draw
from tests.bench.speed.table import as_json, as_markdown, print_table
from tests.certificates import CERTIFICATES

type Row = Callable[[Bench], list[Measure]]

ROWS: Mapping[str, Row] = {
    "init": rows_init.init,
    "single": rows_single.single,
    "backlog": rows_pace.backlog,
    "slow": rows_pace.slow,
    "slowest": rows_pace.slowest,
    "unlimited": rows_pace.unlimited,
    "changing": rows_pace.changing,
    "requests": rows_requests.requests,
    "waiting": rows_requests.waiting,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows asked for; 1 if one of them misses its target."""
    parser = argparse.ArgumentParser(prog="tests.bench.speed", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ROWS, metavar="ROW", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--seed", type=int, default=1, help="of the pictures")
    parser.add_argument("--many", type=int, default=9_500, help="images of the large backlog in `requests`")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--markdown", action="store_true", help="the table for the README")
    parser.add_argument("--picture", type=Path, metavar="FILE.svg", help="calls a second over time, as SVG")
    given = parser.parse_args(arguments)
    try:
        with interruptible():
            measures, picture = _run([ROWS[name] for name in given.only or ROWS], given.seed, given.many)
    except Interrupted as interruption:
        return 128 + interruption.signal_number
    if given.picture:
        given.picture.write_text(picture, encoding="utf-8")
    if given.json:
        print(as_json(measures, given.seed))
    elif given.markdown:
        print(as_markdown(measures))
    else:
        print_table(Console(width=None if sys.stdout.isatty() else 200), measures)
    return 0 if all(measure.is_met is not False for measure in measures) else 1


def _run(rows: Sequence[Row], seed: int, many: int) -> tuple[list[Measure], str]:
    progress = Console(stderr=True, highlight=False)
    measures: list[Measure] = []
    with LocalCloud(authority=CERTIFICATES.authority) as cloud:
        bench = Bench(cloud, seed, many)
        for row in rows:
            progress.print(
                f"{time.strftime('%H:%M:%S')} {row.__doc__} load {os.getloadavg()[0]:.1f}", markup=False, soft_wrap=True
            )
            for measure in row(bench):
                measures.append(measure)
                line = f"{measure.ours} | {measure.baselines or '–'} | {measure.target}"
                progress.print(f"{time.strftime('%H:%M:%S')}   {line}", markup=False, soft_wrap=True)
                for note in measure.notes:
                    progress.print(f"           {note}", markup=False, soft_wrap=True)
    return measures, draw(bench.panels)


if __name__ == "__main__":
    sys.exit(main())
