"""The budget: what was spent this UTC day, in plain arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescribe.throttle.budget import Budget, affordable, next_utc_day, reserve, settle, utc_day

PRICE = 0.015
MIDNIGHT = 1_793_664_000.0  # 2026-11-03T00:00Z
DAY = 86_400.0


@pytest.mark.parametrize(
    ("spent", "limit", "price", "calls"),
    [
        (0.0, 0.0, PRICE, None),  # no budget
        (5.0, 1.0, 0.0, None),  # calls that cost nothing
        (0.0, 3 * PRICE, PRICE, 3),
        (0.030, 3 * PRICE, PRICE, 1),
        (0.045, 3 * PRICE, PRICE, 0),
        (0.031, 3 * PRICE, PRICE, 0),
        (9.0, 3 * PRICE, PRICE, 0),
        (0.0, 1.0, 0.1, 10),
        (0.0, PRICE / 2, PRICE, 0),
    ],
)
def test_so_many_calls_there_is_money_for(spent: float, limit: float, price: float, calls: int | None) -> None:
    assert affordable(Budget("2026-11-03", spent), MIDNIGHT, price, limit) == calls


def test_the_next_utc_day_begins_with_nothing_spent() -> None:
    spent = reserve(Budget(), MIDNIGHT - 1, 3 * PRICE)
    assert affordable(spent, MIDNIGHT - 1, PRICE, 3 * PRICE) == 0
    assert affordable(spent, MIDNIGHT, PRICE, 3 * PRICE) == 3
    assert reserve(spent, MIDNIGHT, PRICE) == Budget("2026-11-03", PRICE)


def test_what_a_call_of_yesterday_did_not_cost_is_not_taken_from_today() -> None:
    today = reserve(Budget(), MIDNIGHT, PRICE)
    assert settle(today, utc_day(MIDNIGHT - 1), -PRICE) == today


def test_a_clock_that_is_behind_spends_todays_money_and_not_yesterdays() -> None:
    today = reserve(Budget(), MIDNIGHT + 0.1, 2 * PRICE)
    assert affordable(today, MIDNIGHT - 0.1, PRICE, 3 * PRICE) == 1
    assert reserve(today, MIDNIGHT - 0.1, PRICE) == Budget("2026-11-03", 3 * PRICE)


@given(st.floats(min_value=0, max_value=4e9))
def test_the_next_day_begins_within_a_day_and_is_another_one(now: float) -> None:
    assert 0 < next_utc_day(now) - now <= DAY
    assert utc_day(next_utc_day(now)) > utc_day(now)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(1, 10), st.floats(-0.5, 0.5)),  # how many, how wrong the clock is
        st.tuples(st.just("refund"), st.integers(0, 100), st.just(0.0)),
        st.tuples(st.just("cheaper"), st.integers(0, 100), st.floats(0, 1)),  # and for which share of the price
        st.tuples(st.just("wait"), st.just(0), st.sampled_from([0.2, 3_600.0, DAY / 2])),
    ),
    max_size=60,
)


@given(ACTIONS, st.integers(1, 40_000), st.integers(0, 300_000))
def test_a_budget_is_never_overspent_in_whatever_order_calls_are_reserved_and_settled(
    actions: list[tuple[str, int, float]], price_micros: int, limit_micros: int
) -> None:
    price, limit = price_micros / 1e6, limit_micros / 1e6
    budget, now = Budget(), MIDNIGHT - 0.3
    reserved: list[str] = []  # the day of each call that is under way
    spent: dict[str, float] = {}  # on each day, by calls under way and calls that are over
    for action, number, extra in actions:
        match action:
            case "wait":
                now += extra
            case "ask":
                calls = affordable(budget, now + extra, price, limit)
                calls = number if calls is None else min(number, calls)
                if calls:
                    budget = reserve(budget, now + extra, calls * price)
                    reserved += [budget.day] * calls
                    spent[budget.day] = spent.get(budget.day, 0.0) + calls * price
            case _ if reserved:
                day = reserved.pop(number % len(reserved))
                saved = round(price * (extra if action == "cheaper" else 1.0), 6)
                budget = settle(budget, day, -saved)
                spent[day] -= saved
        if limit:
            assert all(usd <= limit + 1e-6 for usd in spent.values())
        assert budget.spent_usd == pytest.approx(spent.get(budget.day, 0.0), abs=1e-5)
