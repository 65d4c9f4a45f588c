"""A day's money holds for all processes there are: it is spent before a call is made, and never overspent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from imagescribe.model.answers import PRICE_USD, AccountFault, Limited, Rejected, Transient
from imagescribe.throttle import Permit, RetryAt, Throttle, ThrottleBusyError
from imagescribe.throttle.budget import next_utc_day, utc_day
from imagescribe.throttle.item import ThrottleItem
from imagescribe.throttle.throttle import FREE_CALL_USD, MAX_WAIT_SECONDS
from tests.factories import make_description, stand_in
from tests.unit.in_memory.dynamodb import InMemoryDynamoDB
from tests.unit.stage import SharedClock, steady
from tests.unit.throttle.processes import Processes

MIDNIGHT = 1_793_664_000.0  # 2026-11-03T00:00Z


def test_a_budget_is_spent_and_not_overspent_whoever_asks(with_budget: Processes) -> None:
    for _ in range(3):
        with_budget.permit(with_budget.another())
    retry = with_budget.refused(with_budget.another())
    assert retry.why == "paused by the budget: $0.045 are spent today"
    now = with_budget.clock.now
    assert now + MAX_WAIT_SECONDS <= retry.time < next_utc_day(now)
    assert with_budget.state().budget.spent_usd == 3 * PRICE_USD


@pytest.mark.usefixtures("hasty_threads")
def test_a_budget_is_never_passed_however_many_ask_at_once() -> None:
    processes = Processes(SharedClock(), budget_usd=20 * PRICE_USD)

    def ask(throttle: Throttle) -> Permit | RetryAt:
        while True:
            try:
                return processes.ask(throttle)
            except ThrottleBusyError:
                continue

    with ThreadPoolExecutor(50) as pool:
        asked = list(pool.map(ask, [processes.another() for _ in range(50)]))
    assert sum(isinstance(each, Permit) for each in asked) == 20
    assert processes.state().budget.spent_usd == pytest.approx(20 * PRICE_USD)


def test_a_call_that_is_not_made_gives_back_its_price_and_its_start(with_budget: Processes) -> None:
    with_budget.permit()
    unused = with_budget.permit()
    before = with_budget.state()
    with_budget.one.release(unused)
    after = with_budget.state()
    assert after.budget.spent_usd == PRICE_USD
    assert after.rate.next_start <= before.rate.next_start


def test_what_is_released_is_not_lost_on_those_who_change_the_item_meanwhile(with_budget: Processes) -> None:
    mine = with_budget.permit()
    with_budget.permit(with_budget.another())
    with_budget.one.release(mine)
    assert with_budget.state().budget.spent_usd == PRICE_USD


@pytest.mark.parametrize(
    "answer", [Rejected("400"), Limited("429", None), Transient("503"), AccountFault("401")], ids=str
)
def test_what_was_not_billed_is_given_back(with_budget: Processes, answer: Any) -> None:
    with_budget.one.record(with_budget.permit(), answer)
    assert with_budget.state().budget.spent_usd == 0


def test_what_may_have_been_billed_is_not_given_back(with_budget: Processes) -> None:
    with_budget.one.record(with_budget.permit(), Transient("no answer within 60 s", may_be_billed=True))
    assert with_budget.state().budget.spent_usd == PRICE_USD


def test_what_the_endpoint_says_a_call_cost_is_what_counts(with_budget: Processes) -> None:
    with_budget.one.record(with_budget.permit(), make_description(cost_usd=0.04))
    assert with_budget.state().budget.spent_usd == pytest.approx(0.04)
    with_budget.refused()


def test_the_next_utc_day_has_its_own_budget(with_budget: Processes) -> None:
    clock = with_budget.clock
    clock.now = MIDNIGHT - 10
    for _ in range(3):
        with_budget.permit()
    retry = with_budget.refused()
    assert MIDNIGHT <= retry.time <= MIDNIGHT + 1
    clock.now = retry.time
    for _ in range(3):
        with_budget.permit()
    assert with_budget.state().budget.day == utc_day(MIDNIGHT)
    with_budget.refused()


def test_a_refund_that_comes_after_midnight_is_not_taken_from_the_new_day(with_budget: Processes) -> None:
    with_budget.clock.now = MIDNIGHT - 1
    yesterdays = with_budget.permit()
    with_budget.clock.now = MIDNIGHT + 1
    with_budget.permit()
    with_budget.one.record(yesterdays, Rejected("400"))
    assert with_budget.state().budget.spent_usd == PRICE_USD


def test_a_process_whose_clock_is_behind_neither_brings_yesterday_back_nor_loses_its_refund(
    with_budget: Processes,
) -> None:
    with_budget.clock.now = MIDNIGHT + 0.1
    with_budget.permit()
    with_budget.clock.now = MIDNIGHT - 0.1
    behind = with_budget.another()
    permit = with_budget.permit(behind)
    assert with_budget.state().budget.day == utc_day(MIDNIGHT)
    assert with_budget.state().budget.spent_usd == pytest.approx(2 * PRICE_USD)
    behind.record(permit, Rejected("400"))
    assert with_budget.state().budget.spent_usd == PRICE_USD


def test_calls_that_are_free_show_that_they_come_to_their_end() -> None:
    item = ThrottleItem(stand_in(InMemoryDynamoDB()), "ledger", lambda: steady(0.0, 10.0))
    throttle = Throttle(item, price_usd=0.0, clock=SharedClock())
    (permit,) = throttle.acquire()
    assert isinstance(permit, Permit)
    assert throttle.state().budget.spent_usd == 0
    throttle.record(permit, make_description(cost_usd=0.0))
    assert throttle.state().budget.spent_usd == FREE_CALL_USD
