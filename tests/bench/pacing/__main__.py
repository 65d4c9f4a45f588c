"""Print how each controller does in each scenario: `python -m tests.bench.pacing [--seeds N] [--only-chosen]`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from statistics import median

from rich.console import Console
from rich.table import Table

from tests.bench.pacing.candidates import Aimd, Chosen, Cubic, DeliveryRate
from tests.bench.pacing.scenarios import SCENARIOS, Figures, run
from tests.bench.pacing.simulation import Meter

CANDIDATES: tuple[tuple[str, Callable[[], Meter]], ...] = (
    ("AIMD", Aimd),
    ("CUBIC", Cubic),
    ("delivery rate", DeliveryRate),
    ("chosen", Chosen),
)


def main() -> None:
    """Run every scenario and print one table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=1, help="runs of each; the table shows the median and the worst")
    options.add_argument("--only-chosen", action="store_true")
    options.add_argument(
        "--only-stray", action="store_true", help="just the scenarios with a 429 that no limit explains"
    )
    given = options.parse_args()
    table = Table("limit a minute, images", "controller", title="Shares of the limit: median (worst)")
    for heading in (
        "share",
        "second half",
        "429",
        "highest rate",
        "updates a call",
        "receives",
        "billed s",
        "s",
        "s to recover",
    ):
        table.add_column(heading, justify="right")
    for scenario in SCENARIOS:
        if given.only_stray and not scenario.stray.value:
            continue
        for name, make in CANDIDATES[-1:] if given.only_chosen else CANDIDATES:
            runs = [run(scenario, make, seed) for seed in range(given.seeds)]
            table.add_row(scenario.name, name, *_cells(runs), end_section=name == "chosen")
    Console(width=180).print(table)


def _cells(runs: list[Figures]) -> list[str]:
    def cell(values: list[float], worst: Callable[[list[float]], float], digits: int) -> str:
        return f"{median(values):.{digits}f} ({worst(values):.{digits}f})"

    recovered = [figures.recovered for figures in runs]
    return [
        cell([figures.share for figures in runs], min, 3),
        cell([figures.second_half for figures in runs], min, 3),
        cell([figures.refused for figures in runs], max, 3),
        cell([figures.highest_rate for figures in runs], max, 1),
        cell([figures.updates for figures in runs], max, 1),
        cell([figures.receives for figures in runs], max, 1),
        cell([figures.billed for figures in runs], max, 2),
        cell([figures.lasted for figures in runs], max, 0),
        cell(recovered, max, 0) if any(recovered) else "",
    ]


if __name__ == "__main__":
    main()
