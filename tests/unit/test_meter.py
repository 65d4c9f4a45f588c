"""The meter: a pause, a probe and a budget that hold for all invocations there are, asked before each paid call."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from imagescribe.meter import (
    FAILURES_BEFORE_PAUSE,
    LONGEST_PAUSE_SECONDS,
    LONGEST_WAIT_SECONDS,
    PROBE_SECONDS,
    Grant,
    Meter,
    Wait,
    next_utc_day,
)
from imagescribe.meter_item import METER_KEY, PausedBy, utc_day
from imagescribe.model.answers import PRICE_USD, AccountFault, Limited, Rejected, Transient
from imagescribe.settings import Settings
from imagescribe.stores.dynamodb import get, update_if
from imagescribe.turns import Turn
from tests.factories import Clock, make_description, stand_in
from tests.unit.conftest import make_table
from tests.unit.in_memory.dynamodb import InMemoryDynamoDB
from tests.unit.stage import CALM, SharedClock
from tests.unit.stages import ENVIRONMENT

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FIRST_PAUSE = 16.0
MIDNIGHT = 1_793_664_000.0  # 2026-11-03T00:00Z
DOWN = Transient("503: down")


class Invocations:
    """The meter's item, and the processes that ask it."""

    def __init__(self, client: Any, table: str, clock: Clock, budget_usd: float = 0.0) -> None:
        self.client = client
        self.table = table
        self.clock = clock
        self.budget_usd = budget_usd
        self.meter = self.another()

    def another(self) -> Meter:
        """One more process, which has asked nothing yet."""
        return Meter(
            self.client,
            self.table,
            budget_usd=self.budget_usd,
            first_pause_seconds=FIRST_PAUSE,
            clock=self.clock,
            random=Random(1),
        )

    def find_the_limit(self) -> None:
        """Let the meter have found a limit far beyond what the test asks for."""
        self.meter.read()
        values = {name.removeprefix(":"): value for name, value in CALM.items()}
        update_if(self.client, self.table, METER_KEY, values=values, condition="phase >= :zero", operands={":zero": 0})

    def item(self) -> dict[str, Any]:
        return get(self.client, self.table, METER_KEY) or {}

    def ask(self, meter: Meter | None = None, patience: float = 4.0) -> Grant | Wait:
        """Ask as an image does that comes alone."""
        return Turn(meter or self.meter, None, self.clock, self.clock.sleep).come(self.clock.now + patience)

    def granted(self, meter: Meter | None = None) -> Grant:
        grant = self.ask(meter)
        assert isinstance(grant, Grant)
        return grant

    def refused(self, meter: Meter | None = None) -> Wait:
        wait = self.ask(meter)
        assert isinstance(wait, Wait)
        return wait

    def pause_over(self) -> None:
        self.clock.now = float(self.item()["paused_until"]) + 0.001


@pytest.fixture
def calls(clock: Clock) -> Invocations:
    calls = Invocations(InMemoryDynamoDB(), "ledger", clock)
    calls.find_the_limit()
    return calls


@pytest.fixture
def with_budget(clock: Clock) -> Invocations:
    """Money for three calls a day."""
    calls = Invocations(InMemoryDynamoDB(), "ledger", clock, budget_usd=3 * PRICE_USD)
    calls.find_the_limit()
    return calls


@pytest.fixture(params=["moto", "in memory"])
def either(request: pytest.FixtureRequest, dynamodb: DynamoDBClient, clock: Clock) -> Invocations:
    """The same on both, with money for three calls a day."""
    is_moto = request.param == "moto"
    client, table = (dynamodb, make_table(dynamodb, "LedgerTable")) if is_moto else (InMemoryDynamoDB(), "ledger")
    calls = Invocations(client, table, clock, budget_usd=3 * PRICE_USD)
    calls.find_the_limit()
    return calls


# ── The item ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_call_ever_is_granted_at_once(clock: Clock) -> None:
    calls = Invocations(InMemoryDynamoDB(), "ledger", clock)
    started = clock.now
    assert isinstance(calls.ask(), Grant)
    assert clock.now - started < 0.01


def test_two_processes_that_make_the_item_at_once_make_one(calls: Invocations) -> None:
    calls.granted()
    assert calls.another()._item._complete({}) == calls.item()


def test_the_meter_of_a_stack_has_its_parameters(dynamodb: DynamoDBClient) -> None:
    environment = ENVIRONMENT | {"IMAGESCRIBE_DAILY_BUDGET_USD": "1.5", "IMAGESCRIBE_MAX_REQUESTS_PER_MINUTE": "60"}
    meter = Meter.of_settings(dynamodb, Settings.from_environment(environment))
    assert (meter._budget_usd, meter._ceiling, meter._first_pause_seconds) == (1.5, 60.0, 16.0)


@pytest.mark.parametrize("missing", [["parked_to", "lap_at", "lap_granted"], ["phase", "version", "granted"]])
def test_an_item_of_an_older_version_still_grants_and_keeps_its_pause_and_its_money(
    calls: Invocations, missing: list[str]
) -> None:
    calls.granted()
    calls.meter.pause(PausedBy.OPERATOR, "maintenance", 60)
    update_if(
        calls.client,
        calls.table,
        METER_KEY,
        values={},
        condition="attribute_exists(content)",
        operands={},
        remove=tuple(missing),
    )
    upgraded = calls.another()
    reading = upgraded.read()
    assert (reading.paused_by, reading.spent_usd) == (PausedBy.OPERATOR, PRICE_USD)

    upgraded.resume()
    for _ in range(100):  # through steps and, where there is no demand, restarts
        calls.clock.sleep(1)
        calls.granted(upgraded)


# ── Money ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_budget_is_spent_and_not_overspent_whoever_asks(either: Invocations) -> None:
    calls = either
    for _ in range(3):
        calls.granted(calls.another())
    wait = calls.refused(calls.another())
    assert wait.why == "paused by the budget: $0.045 are spent today"
    assert calls.clock.now + LONGEST_WAIT_SECONDS <= wait.until < next_utc_day(calls.clock.now)
    assert float(calls.item()["spent_usd"]) == 3 * PRICE_USD


def test_a_process_that_does_not_know_of_the_others_spending_does_not_overspend(with_budget: Invocations) -> None:
    calls = with_budget
    calls.granted()
    stale = calls.another()
    stale.read()
    calls.granted()
    calls.granted()
    assert calls.refused(stale).why.startswith("paused by the budget")


def test_a_budget_is_never_passed_however_many_ask_at_once() -> None:
    clock = SharedClock()
    calls = Invocations(InMemoryDynamoDB(), "ledger", clock, budget_usd=20 * PRICE_USD)
    calls.find_the_limit()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(50) as pool:
            asked = list(pool.map(calls.ask, [calls.another() for _ in range(50)]))
    finally:
        sys.setswitchinterval(interval)
    assert sum(isinstance(each, Grant) for each in asked) == 20
    assert float(calls.item()["spent_usd"]) == pytest.approx(20 * PRICE_USD)


def test_a_call_that_is_not_made_gives_back_its_price_and_its_start(either: Invocations) -> None:
    calls = either
    calls.granted()
    before = calls.item()
    calls.meter.give_back(calls.granted())
    after = calls.item()
    assert float(after["spent_usd"]) == PRICE_USD
    assert float(after["next_start"]) == pytest.approx(float(before["next_start"]), abs=1e-5)
    assert after["granted"] == before["granted"]


def test_what_is_given_back_is_not_lost_on_those_who_change_the_item_meanwhile(with_budget: Invocations) -> None:
    calls = with_budget
    mine = calls.granted()
    other = calls.another()
    calls.granted(other)
    calls.meter.give_back(mine)
    assert calls.item()["granted"] == 1
    assert float(calls.item()["spent_usd"]) == PRICE_USD


def test_the_price_of_a_call_that_is_not_made_comes_back_after_a_cut_too(either: Invocations) -> None:
    calls = either
    unused, refused = calls.granted(), calls.granted()
    calls.meter.report(refused, Limited("429", calls.clock.now + 20))
    calls.meter.give_back(unused)
    assert float(calls.item()["spent_usd"]) == 0


def test_no_start_that_another_one_holds_is_given_to_a_third_where_an_operator_counts(clock: Clock) -> None:
    calls = Invocations(InMemoryDynamoDB(), "ledger", clock)
    meter = Meter(calls.client, calls.table, ceiling=60, clock=clock, random=Random(1))
    [unused] = meter.ask()
    assert isinstance(unused, Grant)
    clock.sleep(1.0)
    [kept] = meter.ask()
    assert isinstance(kept, Grant)
    meter.give_back(unused)
    clock.sleep(0.9)
    [third] = meter.ask()
    assert isinstance(third, Grant)
    assert third.paced.start_at - kept.paced.start_at >= 1 - 1e-5


def test_who_has_begun_waits_for_a_start_that_others_go_round_for(calls: Invocations) -> None:
    values = {"next_start": calls.clock.now + 1.5, "spacing": 0.1, "kept_rate": 10, "parked_to": calls.clock.now + 30}
    update_if(calls.client, calls.table, METER_KEY, values=values, condition="version >= :z", operands={":z": 0})
    meter = calls.another()
    assert isinstance(meter.ask()[0], Wait)
    assert isinstance(meter.ask(has_begun=True)[0], Grant)


def test_a_start_that_is_late_is_void(calls: Invocations) -> None:
    grant = calls.granted()
    calls.clock.sleep(0.5)
    assert not calls.meter.is_void(grant)
    calls.clock.sleep(1)
    assert calls.meter.is_void(grant)


def test_the_item_is_read_only_where_others_have_likely_changed_it(calls: Invocations) -> None:
    values = {"next_start": calls.clock.now, "spacing": 0.5, "kept_rate": 2}
    update_if(calls.client, calls.table, METER_KEY, values=values, condition="version >= :z", operands={":z": 0})
    requests: list[str] = []

    class Noting:
        def __getattr__(self, name: str) -> Any:
            requests.append(name)
            return getattr(calls.client, name)

    meter = Meter(stand_in(Noting()), calls.table, clock=calls.clock, random=Random(1))
    for case, seconds, expected in (
        ("the first", 0, ["get_item", "update_item"]),
        ("just seen", 0.1, ["update_item"]),
        ("starts are taken from now on", 0.3, ["get_item", "update_item"]),
        ("none is", 5, ["update_item"]),
    ):
        calls.clock.sleep(seconds)
        requests.clear()
        assert isinstance(meter.ask(has_begun=True)[0], Grant)
        assert requests == expected, case
    calls.clock.sleep(5)
    calls.granted()
    requests.clear()
    assert isinstance(meter.ask(has_begun=True)[0], Grant)
    assert requests == ["update_item"] * 2, "somebody has, and the failed update brought the item"


@pytest.mark.parametrize("answer", [Rejected("400"), Limited("429", None), DOWN, AccountFault("401")], ids=str)
def test_what_was_not_billed_is_given_back(either: Invocations, answer: Any) -> None:
    either.meter.report(either.granted(), answer)
    assert float(either.item()["spent_usd"]) == 0


def test_what_may_have_been_billed_is_not_given_back(with_budget: Invocations) -> None:
    with_budget.meter.report(with_budget.granted(), Transient("no answer within 60 s", may_be_billed=True))
    assert float(with_budget.item()["spent_usd"]) == PRICE_USD


def test_what_the_endpoint_says_a_call_cost_is_what_counts(with_budget: Invocations) -> None:
    with_budget.meter.report(with_budget.granted(), make_description(cost_usd=0.04))
    assert float(with_budget.item()["spent_usd"]) == pytest.approx(0.04)
    assert isinstance(with_budget.ask(), Wait)


def test_the_next_utc_day_has_its_own_budget(either: Invocations) -> None:
    calls = either
    calls.clock.now = MIDNIGHT - 10
    for _ in range(3):
        calls.granted()
    wait = calls.refused()
    assert MIDNIGHT <= wait.until <= MIDNIGHT + 1
    calls.clock.now = wait.until
    for _ in range(3):
        calls.granted()
    assert calls.item()["spent_day"] == utc_day(MIDNIGHT) == "2026-11-03"
    assert float(calls.item()["spent_usd"]) == 3 * PRICE_USD
    assert calls.refused().why.startswith("paused by the budget")


def test_a_refund_that_comes_after_midnight_is_not_taken_from_the_new_day(either: Invocations) -> None:
    calls = either
    calls.clock.now = MIDNIGHT - 1
    yesterdays = calls.granted()
    calls.clock.now = MIDNIGHT + 1
    calls.granted()
    calls.meter.report(yesterdays, Rejected("400"))
    assert float(calls.item()["spent_usd"]) == PRICE_USD


def test_a_process_whose_clock_is_behind_does_not_bring_yesterday_back(with_budget: Invocations) -> None:
    calls = with_budget
    calls.clock.now = MIDNIGHT + 0.1
    calls.granted()
    calls.clock.now = MIDNIGHT - 0.1
    behind = calls.another()
    assert isinstance(calls.ask(behind, 0.0), Wait)
    assert calls.item()["spent_day"] == utc_day(MIDNIGHT)


# ── A fault of the account ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_fault_of_the_account_pauses_at_once_for_everyone_with_the_reason(either: Invocations) -> None:
    calls = either
    unaware = calls.another()
    calls.granted(unaware)
    calls.meter.report(calls.granted(), AccountFault("402: no credits"))
    for meter in (calls.meter, unaware, calls.another()):
        wait = calls.refused(meter)
        assert wait.why == "paused by the account: 402: no credits"
        # Spread, so that a backlog does not come back in one second.
        assert 4 * FIRST_PAUSE <= wait.until - calls.clock.now <= 4.4 * FIRST_PAUSE


def test_a_batch_of_faults_side_by_side_is_one_pause(calls: Invocations) -> None:
    grants = [calls.granted() for _ in range(10)]
    for grant in grants:
        calls.meter.report(grant, AccountFault("401: no such key"))
    item = calls.item()
    assert item["pauses"] == 1
    assert float(item["paused_until"]) - calls.clock.now == pytest.approx(4 * FIRST_PAUSE, abs=1)


def test_a_reason_is_cut_to_what_a_person_reads(calls: Invocations) -> None:
    calls.meter.account_fault("why " * 1_000)
    assert len(calls.item()["paused_because"]) == 1_000


# ── Failures of the endpoint ─────────────────────────────────────────────────────────────────────────────────────────


def fail(calls: Invocations, times: int) -> None:
    """Failures in as many invocations."""
    for _ in range(times):
        meter = calls.another()
        meter.report(calls.granted(meter), DOWN)


def test_so_many_failures_in_a_row_in_whichever_invocations_pause(calls: Invocations) -> None:
    fail(calls, FAILURES_BEFORE_PAUSE - 1)
    assert calls.item()["paused_by"] == PausedBy.NOBODY
    fail(calls, 1)
    item = calls.item()
    assert (item["paused_by"], item["paused_because"]) == (PausedBy.ENDPOINT, "503: down")
    assert float(item["paused_until"]) - calls.clock.now == pytest.approx(FIRST_PAUSE)
    assert calls.refused(calls.another()).why == "paused by the endpoint: 503: down"


@pytest.mark.parametrize(
    "success", [make_description(), Rejected("400"), Limited("429", None)], ids=lambda each: type(each).__name__
)
def test_any_answer_between_failures_begins_their_count_anew(calls: Invocations, success: Any) -> None:
    fail(calls, FAILURES_BEFORE_PAUSE - 1)
    meter = calls.another()
    meter.report(calls.granted(meter), success)
    assert calls.item()["failures"] == 0
    calls.clock.sleep(60)
    fail(calls, FAILURES_BEFORE_PAUSE - 1)
    assert calls.item()["paused_by"] == PausedBy.NOBODY


def test_a_process_that_knows_nothing_of_failures_does_not_write_for_a_success(calls: Invocations) -> None:
    meter = calls.another()
    calls.granted(meter)
    before = calls.item()
    meter.report(calls.granted(meter), make_description())
    after = calls.item()
    assert {name for name in after if after[name] != before[name]} <= {"next_start", "granted", "spent_usd", "version"}


# ── After a pause: the probe ─────────────────────────────────────────────────────────────────────────────────────────


def test_when_a_pause_is_over_exactly_one_call_goes_first_and_the_others_wait_for_it(either: Invocations) -> None:
    calls = either
    calls.meter.account_fault("402: no credits")
    others = [calls.another() for _ in range(10)]
    for meter in others:
        meter.read()
    calls.pause_over()
    asked = [calls.ask(meter, 0) for meter in others]
    [probe] = [each for each in asked if isinstance(each, Grant)]
    assert probe.probe_until == pytest.approx(calls.clock.now + PROBE_SECONDS, abs=0.1)
    for each in asked:
        if isinstance(each, Wait):
            assert each.until - calls.clock.now <= 1.1 * PROBE_SECONDS
            assert each.why == "paused by the account: 402: no credits"


def test_a_probe_that_succeeds_ends_the_pause_for_everyone(either: Invocations) -> None:
    calls = either
    calls.meter.account_fault("402: no credits")
    calls.pause_over()
    probe = calls.granted()
    waiting = calls.another()
    calls.refused(waiting)
    calls.meter.report(probe, make_description())
    item = calls.item()
    assert (item["paused_by"], item["paused_because"], item["paused_until"], item["pauses"]) == ("", "", 0, 0)
    assert calls.granted(waiting).probe_until == 0


@pytest.mark.parametrize(
    ("fault", "by", "first_pause"),
    [(DOWN, PausedBy.ENDPOINT, FIRST_PAUSE), (AccountFault("402"), PausedBy.ACCOUNT, 4 * FIRST_PAUSE)],
)
def test_each_probe_that_fails_doubles_the_pause_up_to_a_quarter_of_an_hour(
    calls: Invocations, fault: Any, by: PausedBy, first_pause: float
) -> None:
    if by is PausedBy.ENDPOINT:
        fail(calls, FAILURES_BEFORE_PAUSE)
    else:
        calls.meter.account_fault("402")
    pauses = []
    for _ in range(9):
        calls.pause_over()
        meter = calls.another()
        meter.report(calls.granted(meter), fault)
        pauses.append(float(calls.item()["paused_until"]) - calls.clock.now)
        assert calls.item()["paused_by"] == by
    expected = [min(LONGEST_PAUSE_SECONDS, first_pause * 2.0**doubled) for doubled in range(1, 10)]
    assert pauses == pytest.approx(expected)
    assert pauses[-1] == LONGEST_PAUSE_SECONDS


def test_a_probe_that_never_comes_back_is_followed_by_another(calls: Invocations) -> None:
    calls.meter.account_fault("402: no credits")
    calls.pause_over()
    lost = calls.granted()
    calls.clock.sleep(PROBE_SECONDS + 1)
    calls.granted(calls.another())
    assert isinstance(calls.ask(calls.another(), 0), Wait)
    calls.meter.report(lost, make_description())  # it was only slow: another one decides by now
    assert calls.item()["paused_by"] == PausedBy.ACCOUNT


def test_a_probe_that_is_not_called_makes_way_for_another_at_once(either: Invocations) -> None:
    calls = either
    calls.meter.account_fault("402: no credits")
    calls.pause_over()
    calls.meter.give_back(calls.granted())
    assert calls.item()["paused_by"] == PausedBy.ACCOUNT
    calls.clock.sleep(0.01)
    assert calls.granted(calls.another()).probe_until > calls.clock.now


def test_a_straggler_from_before_the_pause_does_not_prolong_it_while_a_probe_is_under_way(calls: Invocations) -> None:
    straggler = calls.granted()
    calls.meter.account_fault("402: no credits")
    calls.pause_over()
    probe = calls.granted()
    calls.meter.report(straggler, AccountFault("402: no credits"))
    assert calls.item()["pauses"] == 1
    calls.meter.report(probe, make_description())
    assert calls.item()["paused_by"] == PausedBy.NOBODY


# ── The operator ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_operators_pause_lasts_until_an_operator_resumes(either: Invocations) -> None:
    calls = either
    in_flight = calls.granted()
    assert calls.meter.pause(PausedBy.OPERATOR, "maintenance", 1e12)
    assert calls.refused().why == "paused by the operator: maintenance"
    assert not calls.another().pause(PausedBy.ACCOUNT, "402: no credits", 60)
    calls.another().report(in_flight, AccountFault("401: no such key"))
    calls.clock.sleep(30 * 86_400)
    assert calls.refused().why == "paused by the operator: maintenance"

    calls.another().resume()
    assert calls.granted(calls.another()).probe_until == 0
    assert calls.granted().probe_until == 0  # who was told to wait looks again


def test_an_operators_pause_takes_the_place_of_any_other_and_resuming_ends_it_too(calls: Invocations) -> None:
    calls.meter.account_fault("402: no credits")
    assert calls.another().pause(PausedBy.OPERATOR, "maintenance", 3_600)
    assert calls.item()["paused_by"] == PausedBy.OPERATOR
    calls.meter.resume()
    item = calls.item()
    assert (item["paused_until"], item["pauses"], item["failures"]) == (0, 0, 0)


def test_a_probe_does_not_end_the_pause_that_an_operator_made_meanwhile(calls: Invocations) -> None:
    calls.meter.account_fault("402: no credits")
    calls.pause_over()
    probe = calls.granted()
    calls.another().pause(PausedBy.OPERATOR, "maintenance", 3_600)
    calls.meter.report(probe, make_description())
    assert calls.item()["paused_by"] == PausedBy.OPERATOR


def test_a_pause_before_anything_was_ever_asked_makes_the_item(clock: Clock) -> None:
    calls = Invocations(InMemoryDynamoDB(), "ledger", clock)
    assert calls.meter.pause(PausedBy.OPERATOR, "not yet", 60)
    assert calls.refused().why == "paused by the operator: not yet"


def test_whether_the_mappings_are_switched_off_is_kept(either: Invocations) -> None:
    calls = either
    calls.meter.switch(off=True)
    assert calls.another().read().is_switched_off
    calls.meter.switch(off=False)
    assert not calls.another().read().is_switched_off


# ── The rate, as far as the meter has to do with it ──────────────────────────────────────────────────────────────────


def test_a_429_that_names_a_time_holds_everyone_until_then_and_counts_once_for_its_overload(
    either: Invocations,
) -> None:
    calls = either
    grants = [calls.granted() for _ in range(2)]
    meters = [calls.another() for _ in grants]
    reset_at = calls.clock.now + 20
    for meter, grant in zip(meters, grants, strict=True):
        meter.report(grant, Limited("429", reset_at))
    assert calls.item()["overloads"] == 1
    wait = calls.refused(calls.another())
    assert wait.why == "the endpoint's rate limit"
    calls.clock.now = reset_at
    calls.granted(calls.another())


def test_a_429_finds_its_cut_taken_by_another_process_in_the_same_moment(calls: Invocations) -> None:
    mine, theirs = calls.granted(), calls.granted()
    stale = calls.another()
    stale.read()
    reset_at = calls.clock.now + 20
    calls.meter.report(theirs, Limited("429", reset_at))
    stale.report(mine, Limited("429", reset_at))
    assert calls.item()["overloads"] == 1


def test_who_has_patience_sleeps_until_the_start_and_who_has_none_is_told_when(
    clock: Clock,
) -> None:
    calls = Invocations(InMemoryDynamoDB(), "ledger", clock)
    calls.granted()
    calls.granted()
    started = clock.now
    wait = calls.ask(patience=0)
    assert isinstance(wait, Wait)
    assert wait.why == "the endpoint's rate limit"
    assert wait.until > started
    calls.granted()
    assert 0 < clock.now - started <= 4


def test_nobody_waits_for_ever_where_the_item_changes_under_each_request(calls: Invocations) -> None:
    class Restless:
        """Another process is always faster."""

        def __getattr__(self, name: str) -> Any:
            return getattr(calls.client, name)

        def update_item(self, **request: Any) -> Any:
            values = {"next_start": 0.0, "version": Random(1).randrange(10**9), "phase": 9}
            update_if(
                calls.client, calls.table, METER_KEY, values=values, condition="version >= :z", operands={":z": 0}
            )
            request["ConditionExpression"] += " AND attribute_exists(nothing)"
            return calls.client.update_item(**request)

    meter = Meter(stand_in(Restless()), calls.table, clock=calls.clock, random=Random(1))
    wait = calls.ask(meter, 1e9)
    assert isinstance(wait, Wait)
    assert wait.why == "the endpoint's rate limit"
    grant = Grant(calls.granted().paced, utc_day(calls.clock.now))
    meter.report(grant, Limited("429", None))  # gives up cutting, and does not fail
