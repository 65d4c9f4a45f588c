"""Measure speed and cost beside two baselines, and print one table: `uv run python -m tests.bench.speed [ROW…]`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from imagescribe_ops.local.processes import Interrupted, interruptible
from imagescribe_ops.local.stack import LocalCloud
from tests.bench.rows import add_names, chosen, first_line
from tests.bench.speed import rows_init, rows_pace, rows_requests, rows_single, rows_slow
from tests.bench.speed.measures import Bench, Measure
from tests.bench.speed.picture import draw
from tests.bench.speed.table import as_json, as_markdown, print_table
from tests.certificates import CERTIFICATES


@dataclass(frozen=True, slots=True)
class Row:
    """What is measured.

    Attributes
    ----------
    is_slow
        Whether it waits most of the time, so that others like it may run beside it.
    """

    run: Callable[[Bench], list[Measure]]
    is_slow: bool = False


ROWS: Mapping[str, Row] = {
    "init": Row(rows_init.init),
    "single": Row(rows_single.single),
    "backlog": Row(rows_pace.backlog),
    "unlimited": Row(rows_pace.unlimited),
    "changing": Row(rows_pace.changing),
    "requests": Row(rows_requests.requests),
    "slow": Row(rows_slow.slow, is_slow=True),
    "slowest": Row(rows_slow.slowest, is_slow=True),
    "waiting": Row(rows_requests.waiting, is_slow=True),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rows asked for; 1 if one of them misses its target."""
    parser = argparse.ArgumentParser(prog="tests.bench.speed", description=__doc__)
    add_names(parser)
    parser.add_argument("--seed", type=int, default=1, help="of the pictures")
    parser.add_argument("--many", type=int, default=900, help="images of the large backlog in `requests` (default 900)")
    parser.add_argument("--json", action="store_true", help="figures as JSON")
    parser.add_argument("--markdown", action="store_true", help="the table for the README")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.svg", help="calls accepted over time, of `backlog` and `changing`, as SVG"
    )
    given = parser.parse_args(arguments)
    rows = chosen(parser, given, ROWS, lambda row: first_line(row.run), list(ROWS))
    try:
        with interruptible():
            measures, picture = _run(rows, given.seed, given.many)
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


def _run(rows: Mapping[str, Row], seed: int, many: int) -> tuple[list[Measure], str]:
    measures: list[Measure] = []
    with ExitStack() as exits:
        cloud = exits.enter_context(LocalCloud(authority=CERTIFICATES.authority))
        with Bench(cloud, seed, many) as bench:
            for row in rows.values():
                if not row.is_slow:
                    measures += _measure(row, bench)
        pool = ThreadPoolExecutor()
        # Where one of them fails or is interrupted, the others end with the cloud.
        exits.callback(pool.shutdown, wait=False, cancel_futures=True)
        for found in [pool.submit(_measure, row, bench) for row in rows.values() if row.is_slow]:
            measures += found.result()
    return measures, draw(bench.panels)


def _measure(row: Row, bench: Bench) -> list[Measure]:
    progress = Console(stderr=True, highlight=False)

    def say(text: str) -> None:
        progress.print(text, markup=False, soft_wrap=True)

    say(f"{time.strftime('%H:%M:%S')} {first_line(row.run)} load {os.getloadavg()[0]:.1f}")
    measures = row.run(bench)
    for measure in measures:
        say(f"{time.strftime('%H:%M:%S')}   {measure.ours} | {measure.baselines or '–'} | {measure.target}")
        for note in measure.notes:
            say(f"           {note}")
    return measures


if __name__ == "__main__":
    sys.exit(main())
