"""How all stands, measured each minute: pauses, the budget, what waits, and whether it moves at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imagescribe.observer import STALLED_SECONDS, after, is_stalled
from imagescribe.stores.notebook import Standstill
from imagescribe.throttle.breaker import OpenedBy
from imagescribe.throttle.budget import Budget
from tests.emf import points
from tests.factories import make_picture
from tests.unit.minutes import Minutes, bury
from tests.unit.stage import Stage

type Run = Callable[[], dict[str, float]]


@pytest.fixture
def minutes(stage: Stage) -> Minutes:
    return Minutes(stage)


@pytest.fixture
def run(minutes: Minutes, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Let a minute pass, and return what the recover function measured in it."""
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "my-stack")

    def run_once() -> dict[str, float]:
        minutes.run()
        return {point.name: point.values[0] for point in points(capfd.readouterr().out.splitlines())}

    return run_once


def test_a_minute_in_which_all_is_well(run: Run) -> None:
    measured = run()
    assert measured.pop("PermittedPerMinute") > 0
    assert set(measured.values()) == {0.0}
    assert set(measured) == {
        "PausedByOperator",
        "PausedByAccount",
        "PausedByEndpoint",
        "BudgetSpent",
        "WaitingUploads",
        "WaitingBackfill",
        "OldestWaitingSeconds",
        "DeadLetters",
        "Stalled",
    }


@pytest.mark.parametrize("by", [OpenedBy.OPERATOR, OpenedBy.ACCOUNT, OpenedBy.ENDPOINT])
def test_a_pause_is_told_by_who_made_it(minutes: Minutes, run: Run, by: OpenedBy) -> None:
    minutes.pause(600, by)
    measured = run()
    paused = {name for name, value in measured.items() if name.startswith("Paused") and value}
    assert paused == {f"PausedBy{by.capitalize()}"}


def test_a_pause_of_the_account_lasts_until_a_call_was_answered(minutes: Minutes, run: Run) -> None:
    minutes.pause(90)
    assert [run()["PausedByAccount"] for _ in range(4)] == [1.0] * 4  # for two of them, it waits for a probe
    minutes.stage.upload(make_picture("red"))
    assert run()["PausedByAccount"] == 0.0


def test_the_budget_left_and_spent(minutes: Minutes, run: Run) -> None:
    stage = minutes.stage
    stage.cold_start(daily_budget_usd=0.03)
    stage.upload(make_picture("red"))
    measured = run()
    assert (measured["BudgetLeftUsd"], measured["BudgetSpent"]) == (0.015, 0.0)
    stage.upload(make_picture("green"))
    stage.upload(make_picture("blue"))
    measured = run()
    assert (measured["BudgetLeftUsd"], measured["BudgetSpent"], measured["WaitingUploads"]) == (0.0, 1.0, 1.0)


def test_what_waits_is_counted_and_the_oldest_told_since_its_upload(minutes: Minutes, run: Run) -> None:
    minutes.stage.pipeline.throttle.open("maintenance")
    minutes.stage.upload(make_picture("red"))
    minutes.stage.upload(make_picture("green"))
    run()
    measured = run()
    assert measured["WaitingUploads"] == 2.0
    assert 60 <= measured["OldestWaitingSeconds"] < 90


def test_dead_letters_that_go_back_at_once_are_none(minutes: Minutes, run: Run) -> None:
    bury(minutes.stage, "malformed", "malformed")
    bury(minutes.stage, "transient", "transient")
    assert run()["DeadLetters"] == 1.0


# ── Stalled ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_is_stalled_where_images_wait_and_nothing_is_received(minutes: Minutes, run: Run) -> None:
    run()
    minutes.lambda_.enabled["mapping-1"] = False  # by somebody else's hand
    minutes.stage.upload(make_picture("red"))
    assert [run()["Stalled"] for _ in range(17)] == [0.0] * 15 + [1.0] * 2
    minutes.lambda_.enabled["mapping-1"] = True
    assert run()["Stalled"] == 0.0


def test_it_is_stalled_where_every_call_is_refused(minutes: Minutes, run: Run) -> None:
    minutes.stage.endpoint.always_says(429)
    minutes.stage.upload(make_picture("red"))
    assert 1.0 in [run()["Stalled"] for _ in range(40)]


def test_a_pause_is_no_standstill(minutes: Minutes, run: Run) -> None:
    minutes.stage.pipeline.throttle.open("maintenance")
    minutes.stage.upload(make_picture("red"))
    assert {run()["Stalled"] for _ in range(40)} == {0.0}


NOW = 1_793_610_900.0
STANDSTILL = Standstill(NOW - 100, 5, "2026-11-02", 1.0)
SPENT = Budget("2026-11-02", 1.0)


def test_a_standstill_lasts_while_no_fewer_wait_and_no_more_is_spent() -> None:
    assert after(STANDSTILL, NOW, 5, SPENT, is_open=True) == STANDSTILL
    assert after(STANDSTILL, NOW, 9, Budget("2026-11-02", 0.5), is_open=True) == STANDSTILL


@pytest.mark.parametrize(
    ("waiting", "budget"),
    [(4, SPENT), (6, Budget("2026-11-02", 1.015)), (6, Budget("2026-11-03", 0.015))],
    ids=["fewer-wait", "more-is-spent", "something-is-spent-on-a-new-day"],
)
def test_a_standstill_begins_anew_where_something_came_to_its_end(waiting: int, budget: Budget) -> None:
    begun = Standstill(NOW, waiting, budget.day, budget.spent_usd)
    assert after(STANDSTILL, NOW, waiting, budget, is_open=True) == begun


def test_there_is_no_standstill_where_nothing_waits_or_no_call_may_be_made() -> None:
    assert after(STANDSTILL, NOW, 0, SPENT, is_open=True) == Standstill()
    assert after(STANDSTILL, NOW, 5, SPENT, is_open=False) == Standstill()
    assert not is_stalled(Standstill(), NOW)


def test_a_standstill_of_fifteen_minutes_is_told() -> None:
    assert not is_stalled(STANDSTILL, STANDSTILL.since + STALLED_SECONDS - 1)
    assert is_stalled(STANDSTILL, STANDSTILL.since + STALLED_SECONDS)
