"""What calls bring, and what operators want: it holds for all processes there are."""

from __future__ import annotations

from typing import Any

import pytest

from imagescribe.model.answers import AccountFault, Description, Limited, Rejected, Transient
from imagescribe.throttle import RetryAt
from imagescribe.throttle.breaker import ACCOUNT_FACTOR, OpenedBy
from imagescribe.throttle.throttle import MAX_WAIT_SECONDS
from tests.factories import make_description
from tests.unit.throttle.processes import FIRST_OPEN, Processes

# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_429_tells_when_to_come_back_and_not_before_the_endpoint_said(processes: Processes) -> None:
    reset_at = processes.clock.now + 20
    retry = processes.one.record(processes.permit(), Limited("429: slow down", reset_at))
    assert retry is not None
    assert retry.why == "429: slow down"
    assert retry.time >= reset_at


@pytest.mark.parametrize("answer", [make_description(), Rejected("400"), Transient("503")], ids=type)
def test_where_the_image_is_to_blame_or_described_nobody_is_told_to_come_back(
    processes: Processes, answer: Description | Rejected | Transient
) -> None:
    assert processes.one.record(processes.permit(), answer) is None


def test_a_fault_of_the_account_stops_everyone_at_once_with_the_reason(processes: Processes) -> None:
    unaware = processes.another()
    processes.permit(unaware)
    told = processes.one.record(processes.permit(), AccountFault("402: no credits"))
    assert told is not None
    assert told.why == "402: no credits"
    opened_for = ACCOUNT_FACTOR * FIRST_OPEN
    for throttle in (processes.one, unaware, processes.another()):
        retry = processes.refused(throttle)
        assert retry.why == "paused by the account: 402: no credits"
        # Spread, so that a backlog does not come back in one second.
        assert opened_for <= retry.time - processes.clock.now <= 1.1 * opened_for


def test_whoever_asks_for_a_permit_with_a_copy_from_before_the_fault_is_refused_too(processes: Processes) -> None:
    unaware = processes.another()
    processes.permit(unaware)
    processes.one.record(processes.permit(), AccountFault("402: no credits"))
    [retry] = unaware.acquire()
    assert isinstance(retry, RetryAt)
    assert retry.why == "paused by the account: 402: no credits"


def test_a_reason_is_cut_to_what_a_person_reads(processes: Processes) -> None:
    processes.one.record(processes.permit(), AccountFault("why " * 1_000))
    assert len(processes.state().breaker.why) == 1_000
    processes.one.open("why " * 1_000)
    assert len(processes.state().breaker.why) == 1_000


@pytest.mark.parametrize("answer", [make_description(), Rejected("400"), Limited("429", None)], ids=type)
def test_any_answer_between_failures_of_whichever_processes_begins_their_count_anew(
    processes: Processes, answer: Any
) -> None:
    for _ in range(3):
        throttle = processes.another()
        throttle.record(processes.permit(throttle), Transient("503: down"))
    assert processes.state().breaker.failures == 3
    throttle = processes.another()
    throttle.record(processes.permit(throttle), answer)
    assert processes.state().breaker.failures == 0


# ── The operator ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_operators_opening_lasts_until_an_operator_closes_it(processes: Processes) -> None:
    in_flight = processes.permit()
    processes.one.open("maintenance")
    processes.another().record(in_flight, AccountFault("401: no such key"))
    processes.clock.sleep(30 * 86_400)
    retry = processes.refused()
    assert retry.why == "paused by the operator: maintenance"
    # Bounded, so that closing it reaches every message soon.
    assert retry.time - processes.clock.now <= 1.1 * MAX_WAIT_SECONDS
    processes.another().close()
    assert processes.permit().probe_until == 0  # whoever was refused looks again


def test_an_operators_opening_takes_the_place_of_any_other_and_closing_ends_any(processes: Processes) -> None:
    processes.one.record(processes.permit(), AccountFault("402: no credits"))
    processes.another().open("maintenance", 3_600)
    breaker = processes.one.state().breaker
    assert (breaker.opened_by, breaker.why) == (OpenedBy.OPERATOR, "maintenance")
    processes.one.close()
    breaker = processes.state().breaker
    assert (breaker.opened_by, breaker.open_until, breaker.openings, breaker.failures) == (OpenedBy.NOBODY, 0, 0, 0)


def test_a_timed_opening_by_hand_that_is_over_leaves_no_probe_and_no_operator(processes: Processes) -> None:
    processes.one.open("a moment", 5)
    end = processes.clock.now + 5
    refusal = processes.one.refusal()
    assert refusal == RetryAt(end, "paused by the operator: a moment")
    processes.clock.now = end
    assert processes.one.refusal() is None
    assert processes.one.state().breaker.opened_by is OpenedBy.NOBODY
    assert processes.permit().probe_until == 0


def test_a_wrong_key_after_a_timed_opening_by_hand_is_the_accounts_and_opens_ever_longer(processes: Processes) -> None:
    processes.one.open("a moment", 5)
    processes.clock.sleep(6)
    lasted = []
    for _ in range(3):
        processes.one.record(processes.permit(), AccountFault("401: no such key"))
        breaker = processes.state().breaker
        assert breaker.opened_by is OpenedBy.ACCOUNT
        lasted.append(breaker.open_until - processes.clock.now)
        processes.until_half_open()
    assert lasted == pytest.approx([ACCOUNT_FACTOR * FIRST_OPEN * factor for factor in (1, 2, 4)])
