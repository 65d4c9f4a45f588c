"""The circuit breaker: one state and a few functions of it, without a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from imagescribe.throttle import breaker as breakers
from imagescribe.throttle.breaker import (
    ACCOUNT_FACTOR,
    FAILURES_TO_OPEN,
    MAX_OPEN_SECONDS,
    PROBE_POLL_SECONDS,
    UNTIL_CLOSED,
    Breaker,
    OpenedBy,
)

NOW = 1_793_610_900.0
FIRST = 16.0
LEASE = 80.0
CLOSED = Breaker()


def account_fault(breaker: Breaker, now: float = NOW) -> Breaker:
    return breakers.account_fault(breaker, breaker.generation, now, "402: no credits", FIRST)


def failed(breaker: Breaker, now: float = NOW, times: int = 1) -> Breaker:
    for _ in range(times):
        breaker = breakers.failed(breaker, breaker.generation, now, "503: down", FIRST)
    return breaker


def half_open() -> tuple[Breaker, float]:
    """A breaker whose time is over, and the time."""
    opened = account_fault(CLOSED)
    return opened, opened.open_until


# ── Opening ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_closed_calls_go() -> None:
    assert breakers.retry_at(CLOSED, NOW) is None


def test_a_fault_of_the_account_opens_at_once() -> None:
    breaker = account_fault(CLOSED)
    assert (breaker.opened_by, breaker.why) == (OpenedBy.ACCOUNT, "402: no credits")
    assert breakers.retry_at(breaker, NOW) == NOW + ACCOUNT_FACTOR * FIRST


def test_so_many_failures_in_a_row_open_and_no_fewer() -> None:
    breaker = failed(CLOSED, times=FAILURES_TO_OPEN - 1)
    assert breakers.retry_at(breaker, NOW) is None
    breaker = failed(breaker)
    assert (breaker.opened_by, breaker.why, breaker.open_until) == (OpenedBy.ENDPOINT, "503: down", NOW + FIRST)


def test_a_success_between_failures_begins_their_count_anew() -> None:
    breaker = breakers.succeeded(failed(CLOSED, times=FAILURES_TO_OPEN - 1), 0)
    assert breaker == CLOSED
    assert failed(breaker, times=FAILURES_TO_OPEN - 1).open_until == 0


def test_faults_of_calls_side_by_side_are_one_opening() -> None:
    opened = account_fault(CLOSED)
    for _ in range(9):
        opened = breakers.account_fault(opened, CLOSED.generation, NOW + 1, "402", FIRST)
    assert (opened.openings, opened.open_until) == (1, NOW + ACCOUNT_FACTOR * FIRST)


@pytest.mark.parametrize(("fail", "first"), [(failed, FIRST), (account_fault, ACCOUNT_FACTOR * FIRST)])
def test_each_probe_that_fails_doubles_the_time_up_to_a_quarter_of_an_hour(fail: Any, first: float) -> None:
    breaker = failed(CLOSED, times=FAILURES_TO_OPEN) if fail is failed else account_fault(CLOSED)
    lasted = [breaker.open_until - NOW]
    for _ in range(9):
        now = breaker.open_until
        breaker = fail(breakers.probing(breaker, now, LEASE), now)
        lasted.append(breaker.open_until - now)
    assert lasted == [min(MAX_OPEN_SECONDS, first * 2.0**doubled) for doubled in range(10)]
    assert lasted[-1] == MAX_OPEN_SECONDS


# ── The probe ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_half_open_one_call_goes_and_the_others_look_again_soon() -> None:
    breaker, now = half_open()
    assert breakers.retry_at(breaker, now) is None
    breaker = breakers.probing(breaker, now, LEASE)
    assert breakers.retry_at(breaker, now) == now + PROBE_POLL_SECONDS
    assert breakers.retry_at(breaker, now + LEASE - 1) == now + LEASE


def test_closed_there_is_no_probe() -> None:
    assert breakers.probing(CLOSED, NOW, LEASE) == CLOSED


def test_a_probe_that_is_never_heard_of_is_followed_by_another_when_its_lease_is_over() -> None:
    breaker, now = half_open()
    breaker = breakers.probing(breaker, now, LEASE)
    assert breakers.retry_at(breaker, now + LEASE) is None


def test_a_probes_success_closes_the_breaker_however_late_it_is() -> None:
    breaker, now = half_open()
    second = breakers.probing(breakers.probing(breaker, now, LEASE), now + LEASE, LEASE)
    closed = breakers.succeeded(second, breaker.generation)
    assert closed == Breaker(generation=breaker.generation)
    assert breakers.retry_at(closed, now + LEASE) is None


def test_a_probe_that_makes_no_call_makes_way_for_another_at_once() -> None:
    breaker, now = half_open()
    out = breakers.probing(breaker, now, LEASE)
    released = breakers.probe_released(out, out.generation, out.probe_until)
    assert released == breaker


def test_a_probe_released_after_its_lease_does_not_make_way_beside_the_one_that_is_out() -> None:
    breaker, now = half_open()
    first = breakers.probing(breaker, now, LEASE)
    second = breakers.probing(first, now + LEASE, LEASE)
    assert breakers.probe_released(second, first.generation, first.probe_until) == second


# ── Verdicts of before ───────────────────────────────────────────────────────────────────────────────────────────────

ANY = st.builds(
    Breaker,
    opened_by=st.sampled_from([OpenedBy.NOBODY, OpenedBy.OPERATOR, OpenedBy.ACCOUNT, OpenedBy.ENDPOINT]),
    why=st.just("why"),
    open_until=st.sampled_from([0.0, NOW - 1, NOW, NOW + 60, UNTIL_CLOSED]),
    generation=st.integers(1, 5),
    openings=st.integers(0, 20),
    failures=st.integers(0, 2 * FAILURES_TO_OPEN),
    probe_until=st.sampled_from([0.0, NOW - 1, NOW + 30]),
)


@given(ANY, st.integers(1, 5))
def test_a_verdict_of_an_older_generation_changes_nothing(breaker: Breaker, older: int) -> None:
    generation = breaker.generation - older
    assert breakers.succeeded(breaker, generation) == breaker
    assert breakers.failed(breaker, generation, NOW, "503", FIRST) == breaker
    assert breakers.account_fault(breaker, generation, NOW, "402", FIRST) == breaker
    assert breakers.probe_released(breaker, generation, breaker.probe_until) == breaker


@given(ANY)
def test_no_breaker_opens_for_longer_than_a_quarter_of_an_hour_but_by_hand(breaker: Breaker) -> None:
    for opened in (account_fault(breaker), failed(breaker, times=FAILURES_TO_OPEN)):
        assert opened.open_until > NOW
        assert opened.opened_by is not OpenedBy.OPERATOR
        assert opened.open_until <= NOW + MAX_OPEN_SECONDS
        assert opened.generation > breaker.generation


# ── The operator ─────────────────────────────────────────────────────────────────────────────────────────────────────


@given(ANY, st.sampled_from([0.0, 5.0, 3_600.0, UNTIL_CLOSED]), st.floats(0, 1e6))
def test_an_operators_opening_that_is_over_is_nobodys(breaker: Breaker, seconds: float, later: float) -> None:
    opened = breakers.opened(breaker, NOW, OpenedBy.OPERATOR, "by hand", seconds)
    seen = breakers.at(opened, NOW + later)
    if later < opened.open_until - NOW:
        assert seen == opened
        assert breakers.retry_at(seen, NOW + later) == opened.open_until
    else:
        assert seen == Breaker(generation=opened.generation)


def test_a_wrong_key_after_an_operators_opening_is_the_accounts_and_opens_ever_longer() -> None:
    breaker, now = breakers.opened(CLOSED, NOW, OpenedBy.OPERATOR, "by hand", 5.0), NOW + 6
    lasted = []
    for _ in range(3):
        breaker = account_fault(breakers.probing(breakers.at(breaker, now), now, LEASE), now)
        assert breaker.opened_by is OpenedBy.ACCOUNT
        lasted.append(breaker.open_until - now)
        now = breaker.open_until
    assert lasted == [FIRST * ACCOUNT_FACTOR * factor for factor in (1, 2, 4)]


def test_an_operators_opening_without_an_end_has_none() -> None:
    breaker = breakers.opened(account_fault(CLOSED), NOW, OpenedBy.OPERATOR, "by hand", UNTIL_CLOSED)
    assert breaker.open_until == UNTIL_CLOSED
    assert breakers.at(breaker, NOW + 1e9) == breaker


def test_closing_leaves_only_the_generation_by_which_calls_of_before_are_told_apart() -> None:
    breaker = replace(account_fault(CLOSED), failures=7)
    assert breakers.closed(breaker) == Breaker(generation=1)


# ── In any order ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Call:
    """A call that was permitted and has not been heard of; `probe_until` is 0 unless it is a probe."""

    generation: int
    probe_until: float


class AnyOrder(RuleBasedStateMachine):
    """Calls are permitted, made or not, answered in any order or never, while operators interfere."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = CLOSED
        self.now = NOW
        self.calls: list[Call] = []

    @rule(seconds=st.sampled_from([0.1, 5.0, 30.0, LEASE, MAX_OPEN_SECONDS]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def pass_until_it_is_half_open(self) -> None:
        if self.breaker.open_until < UNTIL_CLOSED:
            self.now = max(self.now, self.breaker.open_until)

    @rule()
    def ask(self) -> None:
        self.breaker = breakers.at(self.breaker, self.now)
        if breakers.retry_at(self.breaker, self.now) is None:
            self.breaker = breakers.probing(self.breaker, self.now, LEASE)
            self.calls.append(Call(self.breaker.generation, self.breaker.probe_until))

    @precondition(lambda self: self.calls)
    @rule(number=st.integers(0, 100), verdict=st.sampled_from(["released", "succeeded", "failed", "account fault"]))
    def hear(self, number: int, verdict: str) -> None:
        call = self.calls.pop(number % len(self.calls))
        breaker = breakers.at(self.breaker, self.now)
        match verdict:
            case "released":
                self.breaker = breakers.probe_released(breaker, call.generation, call.probe_until)
            case "succeeded":
                self.breaker = breakers.succeeded(breaker, call.generation)
            case "failed":
                self.breaker = breakers.failed(breaker, call.generation, self.now, "503", FIRST)
            case "account fault":
                self.breaker = breakers.account_fault(breaker, call.generation, self.now, "402", FIRST)

    @rule(seconds=st.sampled_from([5.0, 60.0, UNTIL_CLOSED]))
    def open_by_hand(self, seconds: float) -> None:
        self.breaker = breakers.opened(self.breaker, self.now, OpenedBy.OPERATOR, "by hand", seconds)

    @rule()
    def close_by_hand(self) -> None:
        self.breaker = breakers.closed(self.breaker)

    @invariant()
    def no_more_than_one_probe_is_out(self) -> None:
        if self.breaker.open_until:
            leases = [each.probe_until for each in self.calls if each.generation == self.breaker.generation]
            assert sum(until > self.now for until in leases) <= 1

    @invariant()
    def whoever_opened_it_is_named_as_long_as_it_is_open(self) -> None:
        assert bool(self.breaker.opened_by) == bool(self.breaker.open_until)


TestAnyOrder = AnyOrder.TestCase
