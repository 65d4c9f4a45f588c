"""After the breaker was open: one call goes first, whoever makes it and however long its answer takes."""

from __future__ import annotations

import pytest

from imagescribe.model.answers import AccountFault, Answer, Transient
from imagescribe.settings import Settings
from imagescribe.throttle import Permit, RetryAt, Throttle
from imagescribe.throttle.breaker import PROBE_POLL_SECONDS, OpenedBy
from tests.factories import Clock, make_description, stand_in
from tests.unit.in_memory.dynamodb import InMemoryDynamoDB
from tests.unit.stages import ENVIRONMENT
from tests.unit.throttle.processes import LEASE, Processes


@pytest.fixture
def half_open(clock: Clock) -> Processes:
    """Processes whose breaker was opened for the account, and whose time is over."""
    processes = Processes(clock)
    processes.one.record(processes.permit(), AccountFault("402: no credits"))
    processes.until_half_open()
    return processes


def test_exactly_one_call_goes_first_and_the_others_look_again_soon(half_open: Processes) -> None:
    others = [half_open.another() for _ in range(10)]
    for throttle in others:
        throttle.state()
    asked = [half_open.ask(throttle) for throttle in others]
    [probe] = [each for each in asked if isinstance(each, Permit)]
    assert probe.probe_until == half_open.clock.now + LEASE
    for each in asked:
        if isinstance(each, RetryAt):
            assert PROBE_POLL_SECONDS <= each.time - half_open.clock.now <= 1.1 * PROBE_POLL_SECONDS


def test_of_a_batch_one_image_is_the_probe_and_the_rest_waits_for_it(half_open: Processes) -> None:
    first, *others = half_open.one.acquire(10)
    assert isinstance(first, Permit)
    for each in others:
        assert isinstance(each, RetryAt)
        assert each.why == "a probe goes first"


def test_a_probe_that_succeeds_closes_the_breaker_for_everyone(half_open: Processes) -> None:
    probe = half_open.permit()
    waiting = half_open.another()
    half_open.refused(waiting)
    half_open.one.record(probe, make_description())
    breaker = half_open.state().breaker
    assert (breaker.opened_by, breaker.why, breaker.open_until, breaker.openings) == (OpenedBy.NOBODY, "", 0, 0)
    assert half_open.permit(waiting).probe_until == 0


def test_an_answer_that_takes_as_long_as_it_may_comes_within_its_probes_lease(clock: Clock) -> None:
    settings = Settings.from_environment(ENVIRONMENT)
    client = stand_in(InMemoryDynamoDB())
    one, other = (Throttle.of_stack(client, settings, clock) for _ in range(2))
    [permit] = one.acquire()
    assert isinstance(permit, Permit)
    one.record(permit, AccountFault("402: no credits"))
    clock.now = one.state().breaker.open_until
    [probe] = one.acquire()
    assert isinstance(probe, Permit)
    clock.now = probe.start.at + settings.answer_timeout_seconds
    assert isinstance(other.acquire()[0], RetryAt)
    one.record(probe, make_description())
    assert other.closed() is None
    assert other.state().breaker.opened_by is OpenedBy.NOBODY


def test_a_success_after_its_lease_closes_the_breaker_though_another_probe_is_out(half_open: Processes) -> None:
    late = half_open.permit()
    half_open.clock.sleep(LEASE)
    half_open.permit(half_open.another())
    half_open.one.record(late, make_description())
    assert half_open.state().breaker.opened_by is OpenedBy.NOBODY


def test_probes_that_hang_are_no_more_than_one_for_each_lease(half_open: Processes) -> None:
    started, probes = half_open.clock.now, 0
    pollers = [half_open.another() for _ in range(3)]
    while half_open.clock.now < started + 10 * LEASE:
        probes += sum(isinstance(half_open.ask(each), Permit) for each in pollers)
        half_open.clock.sleep(5)
    assert probes == 10


def test_a_probe_that_makes_no_call_makes_way_for_another_at_once(half_open: Processes) -> None:
    half_open.one.release(half_open.permit())
    assert half_open.state().breaker.opened_by is OpenedBy.ACCOUNT
    assert half_open.permit(half_open.another()).probe_until > 0


def test_a_probe_that_is_released_after_its_lease_lets_no_third_one_go(half_open: Processes) -> None:
    late = half_open.permit()
    half_open.clock.sleep(LEASE)
    half_open.permit(half_open.another())
    half_open.one.release(late)
    half_open.refused(half_open.another())


def test_what_was_permitted_before_the_breaker_opened_says_nothing_of_the_probe(clock: Clock) -> None:
    processes = Processes(clock)
    stragglers = [processes.permit() for _ in range(3)]
    processes.one.record(processes.permit(), AccountFault("402: no credits"))
    processes.until_half_open()
    probe = processes.permit()
    before = processes.state().breaker
    answers: list[Answer] = [AccountFault("402"), Transient("503"), make_description(cost_usd=0.02)]
    for straggler, answer in zip(stragglers, answers, strict=True):
        processes.one.record(straggler, answer)
    assert processes.state().breaker == before
    processes.one.record(probe, make_description())
    assert processes.state().breaker.opened_by is OpenedBy.NOBODY
