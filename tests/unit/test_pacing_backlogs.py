"""Simulated backlogs use what the endpoint allows, whatever it counts and however it changes."""

from __future__ import annotations

from functools import cache

import pytest

from tests.bench.pacing.candidates import Chosen
from tests.bench.pacing.endpoint import LATENCY
from tests.bench.pacing.scenarios import Figures, Kind, Scenario, Stray, run

SEEDS = range(3)
KNOWN = Scenario(Kind.BUCKET, 600, 600, known=True)
CHANGING = Scenario(Kind.BUCKET, 600, 1500, changes=True, invocations=20)


@cache
def figures_of(scenario: Scenario, seed: int) -> Figures:
    return run(scenario, Chosen, seed)


def name(value: object) -> str:
    return value.name if isinstance(value, Scenario) else ""


@pytest.mark.parametrize(
    ("scenario", "share", "refused", "billed"),
    [
        (Scenario(Kind.BUCKET, 600, 600), 0.92, 0.03, 0.8),
        (KNOWN, 0.97, 0.025, 0.7),
        (Scenario(Kind.BUCKET, 5, 15), 0.9, 0.65, 7.0),
        (Scenario(Kind.BUCKET, 3000, 3000, invocations=40), 0.92, 0.035, 0.75),
        (Scenario(Kind.FLIGHT, 600, 600), 0.8, 0.09, 0.85),
        (Scenario(Kind.TOLD, 600, 1200, invocations=20), 1.2, 0.04, 0.65),
        (Scenario(Kind.WINDOW, 600, 1200, invocations=20), 1.0, 0.2, 0.75),
        (CHANGING, 0.8, 0.065, 0.8),
        (Scenario(Kind.BUCKET, 600, 600, known=True, copies=0.33), 0.6, 0.025, 1.2),
        (Scenario(Kind.NONE, 100 / LATENCY * 60, 1000), 0.85, 0.0, 0.55),
    ],
    ids=name,
)
@pytest.mark.parametrize("seed", SEEDS)
def test_simulated_backlogs_use_what_the_endpoint_allows(
    scenario: Scenario, share: float, refused: float, billed: float, seed: int
) -> None:
    figures = figures_of(scenario, seed)
    assert figures.share >= share
    assert figures.refused <= refused
    assert figures.billed <= billed  # s an image


@pytest.mark.parametrize("seed", SEEDS)
def test_a_simulated_backlog_takes_less_than_an_update_a_call(seed: int) -> None:
    assert figures_of(KNOWN, seed).updates <= 0.6


@pytest.mark.parametrize("seed", SEEDS)
def test_a_limit_that_changes_is_followed_within_a_minute(seed: int) -> None:
    assert 0 < figures_of(CHANGING, seed).recovered <= 50


@pytest.mark.parametrize(
    ("scenario", "seconds"),
    [
        (Scenario(Kind.BUCKET, 180, 30, stray=Stray.FIRST), 40),
        (Scenario(Kind.BUCKET, 180, 30, stray=Stray.TENTH), 30),
        (Scenario(Kind.BUCKET, 180, 100, stray=Stray.QUIET), 65),
        (Scenario(Kind.BUCKET, 600, 1000, stray=Stray.TENTH), 300),
    ],
    ids=name,
)
@pytest.mark.parametrize("seed", SEEDS)
def test_refusals_that_no_limit_explains_do_not_hold_a_backlog_for_long(
    scenario: Scenario, seconds: float, seed: int
) -> None:
    assert figures_of(scenario, seed).lasted <= seconds
