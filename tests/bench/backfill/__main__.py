"""Backfill and audit at scale: `uv run python -m tests.bench.backfill [--only model|merge|stack] [--objects N]`.

`model` prints cost and time for 10 thousand, 10 million and a billion objects; `merge` runs the audit's merge over stub
streams; `stack` runs a backfill of N objects on the deployed stack in the emulator.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack

from imagescribe_ops.local.stack import LocalCloud
from tests.bench.backfill import merge, model, scenario
from tests.certificates import CERTIFICATES
from tests.stack.conftest import Stacks


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["model", "merge", "stack"])
    parser.add_argument("--objects", type=int, default=3_000, help="of `stack`")
    parser.add_argument("--per-minute", type=float, default=1_200, help="the endpoint's limit, of `stack`")
    parser.add_argument("--disturbed", action="store_true", help="kill the lister and purge the queue, in `stack`")
    parser.add_argument("--seconds", type=float, default=240, help="at most so long, of `stack`")
    asked = parser.parse_args()
    if asked.only in (None, "model"):
        sys.stdout.write("\n".join(model.table()) + "\n\n")
    if asked.only in (None, "merge"):
        sys.stdout.write("| objects | seconds | peak memory | wrong |\n|---|---|---|---|\n")
        for objects in merge.SIZES:
            seen = merge.measure(objects)
            sys.stdout.write(
                f"| {seen.objects:,} | {seen.seconds:.2f} | {seen.peak_bytes / 1e6:.2f} MB | {seen.wrong:,} |\n"
            )
    if asked.only in (None, "stack"):
        with (
            LocalCloud(latency_s=scenario.LATENCY_SECONDS, authority=CERTIFICATES.authority) as cloud,
            ExitStack() as exits,
        ):
            stacks = Stacks(cloud, exits)
            scenario.say(
                scenario.run(stacks, asked.objects, asked.per_minute, asked.seconds, disturbed=asked.disturbed)
            )


if __name__ == "__main__":
    main()
