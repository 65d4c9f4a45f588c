"""What hostile and large pictures cost the imaging function: `python -m tests.bench.imaging fuzz|large [--count N]`."""

from __future__ import annotations

import argparse
import sys
from time import perf_counter

from rich.progress import Progress

from tests.bench.imaging.fuzz import Tally, Verdict, fuzz
from tests.bench.imaging.large import ROWS, measure


def main() -> int:
    """Run what is asked for; 1 if a bent file did anything but become a picture or be refused."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", choices=("fuzz", "large"))
    options.add_argument("--count", type=int, default=10_000, help="files to bend")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    if given.what == "large":
        print("| 100 million pixels | seconds | memory | becomes |")
        print("|---|---|---|---|")
        for name in ROWS:
            print(measure(name), flush=True)
        return 0
    return _fuzz(given.count, given.seed)


def _fuzz(count: int, seed: int) -> int:
    begin = perf_counter()
    with Progress(transient=True) as progress:
        task = progress.add_task("bending files", total=count)
        tally: Tally = fuzz(count, seed, lambda _tally: progress.advance(task))
    for verdict, times in tally.verdicts.most_common():
        print(f"{times:6,}  {verdict}")
    print(f"{perf_counter() - begin:.0f} s; the slowest took {tally.slowest_seconds:.2f} s ({tally.slowest})")
    for reason, times in tally.reasons.most_common(12):
        print(f"{times:6,}  {reason}")
    return int(bool(tally.verdicts[Verdict.FAILED]))


if __name__ == "__main__":
    sys.exit(main())
