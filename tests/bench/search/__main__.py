"""Search at scale: `uv run --group bench python -m tests.bench.search [--images N…] [--stack N]`.

Builds an index of synthetic prompts and asks it, beside a scan of a Parquet file of the same prompts by DuckDB; with
`--stack N` also the deployed functions in the emulator with N images, beside a `Scan` with `contains`. Milliseconds by
the clock depend on what else runs on the machine, those of the processor do not.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from tests.bench.search import engine, stack

DEFAULT: Final = [10_000, 100_000, 1_000_000]
_P50_MS: Final = 50
_P99_MS: Final = 250


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="*", default=DEFAULT, help="sizes of the index; none leaves it out")
    parser.add_argument(
        "--stack", type=int, default=0, metavar="N", help="images in the deployed stack; 0 leaves it out"
    )
    asked = parser.parse_args()
    holds = True
    with TemporaryDirectory(prefix="search-bench-") as place:
        for images in asked.images:
            told = _measure(Path(place), images)
            sys.stdout.write("\n".join(_table(images, told)) + "\n\n")
            sys.stdout.flush()
            *_, p50, p99 = told["queries"]["all"]
            holds = holds and 1e3 * p50 <= _P50_MS and 1e3 * p99 <= _P99_MS
    if asked.stack:
        lines = [f"| {asked.stack:,} images in the emulator | |", "|---|---|", *stack.rows(stack.measure(asked.stack))]
        sys.stdout.write("\n".join(lines) + "\n")
    sys.exit(0 if holds else 1)


def _measure(place: Path, images: int) -> dict[str, Any]:
    from tests.bench.search import parquet  # noqa: PLC0415 - DuckDB is in the bench's own group

    index = place / f"{images}.sqlite"
    built = engine.in_a_process("build", index, images)
    asked = engine.in_a_process("query", index, place / f"{images}")
    scanned = parquet.measure(place / f"{images}.parquet", images)
    index.unlink()
    return {"build": built, "queries": asked, "parquet": scanned}


def _table(images: int, told: dict[str, Any]) -> Iterator[str]:
    built, asked, scanned = told["build"], told["queries"], told["parquet"]
    yield f"| {images:,} images | p50 | p99 | processor, p50 | p99 |"
    yield "|---|---|---|---|---|"
    for kind, times in asked["kinds"].items():
        yield f"| {kind} | {' | '.join(f'{1e3 * each:.1f}' for each in times)} |"
    yield f"| **all of them** | {' | '.join(f'**{1e3 * each:.1f}**' for each in asked['all'])} |"
    yield f"| Parquet and DuckDB, words only | {1e3 * scanned['p50']:.0f} | {1e3 * scanned['p99']:.0f} | | |"
    yield ""
    yield (
        f"Built in {built['seconds']:.1f} s, {built['bytes'] / 1e6:.0f} MB (Parquet: {scanned['bytes'] / 1e6:.0f} MB), "
        f"peak memory {built['peak_mb']:.0f} MB; opening and a first query {1e3 * asked['first']:.0f} ms, peak memory "
        f"{asked['peak_mb']:.0f} MB, of which most is the file's own pages."
    )


if __name__ == "__main__":
    main()
