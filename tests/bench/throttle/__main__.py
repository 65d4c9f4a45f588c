"""Print how the throttle does in each row: `python -m tests.bench.throttle [ROW …] [--seeds N] [--half …]`."""

from __future__ import annotations

import argparse

from tests.bench.throttle.scenarios import TUNED, UNSEEN, Figures, Scenario, median_of, run


def main() -> None:
    """Run the rows whose names contain what is given, or all, and print one line for each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("rows", nargs="*", help="words of names; a row is run where it has all the words of one")
    options.add_argument("--seeds", type=int, default=5, help="runs of each row; the table shows the medians")
    options.add_argument("--half", choices=("tuned", "unseen", "all"), default="tuned")
    given = options.parse_args()
    scenarios = TUNED if given.half == "tuned" else UNSEEN
    first, step = {"tuned": (0, 2), "unseen": (1, 2), "all": (0, 1)}[given.half]
    print(
        "| a minute, images | share (to reach) | 2nd half | 429 (at most) | recovers | receives | requests | billed | |"
    )
    print("|---" * 9 + "|")
    for scenario in scenarios:
        if given.rows and not any(all(word in scenario.name for word in row.split()) for row in given.rows):
            continue
        seeds = range(first, first + step * given.seeds, step)
        print(_line(scenario, median_of([run(scenario, seed) for seed in seeds])), flush=True)


def _line(scenario: Scenario, figures: Figures) -> str:
    to_reach = f" (≥ {scenario.min_share:.2f})" if scenario.min_share else ""
    at_most = f" (≤ {scenario.max_refused:.1%})" if scenario.max_refused < 1 else ""
    recovered = f"{figures.recovered:.0f} s (≤ {scenario.max_recovered:.0f})" if scenario.changes else ""
    is_met = round(figures.share, 2) >= scenario.min_share and round(figures.refused, 3) <= scenario.max_refused
    is_met = is_met and figures.recovered <= (scenario.max_recovered or 1e9)
    has_target = scenario.min_share or scenario.max_refused < 1
    cells = (
        scenario.name,
        f"{figures.share:.2f}{to_reach}",
        f"{figures.second_half:.2f}",
        f"{figures.refused:.1%}{at_most}",
        recovered,
        f"{figures.receives:.1f}",
        f"{figures.requests:.2f}",
        f"{figures.billed:.2f} s",
        ("met" if is_met else "**missed**") if has_target else "",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
