"""The throttle: what holds for all processes there are, asked before each paid call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from imagescribe.model.answers import PRICE_USD, AccountFault, Limited, Rejected
from imagescribe.settings import Settings
from imagescribe.throttle import Permit, RetryAt, Throttle, ThrottleBusyError
from imagescribe.throttle.breaker import ACCOUNT_FACTOR
from imagescribe.throttle.throttle import FIRST_OPEN_IN_RETRIES, MAX_ATTEMPTS
from tests.factories import Clock, make_description, stand_in
from tests.unit.in_memory.dynamodb import InMemoryDynamoDB
from tests.unit.stage import Service, throttled
from tests.unit.stages import ENVIRONMENT
from tests.unit.throttle.processes import Processes

# ── The item ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_call_ever_is_permitted_at_once(clock: Clock) -> None:
    processes = Processes(clock)
    started = clock.now
    assert processes.permit().start.at - started < 1
    assert clock.now == started


def test_the_throttle_of_a_stack_has_its_parameters(clock: Clock) -> None:
    parameters = {"DAILY_BUDGET_USD": "0.03", "PRICE_PER_CALL_USD": "0.01", "MAX_REQUESTS_PER_MINUTE": "60"}
    settings = Settings.from_environment(
        ENVIRONMENT | {f"IMAGESCRIBE_{name}": value for name, value in parameters.items()}
    )
    throttle = Throttle.of_stack(stand_in(InMemoryDynamoDB()), settings, clock)
    permit, second = throttle.acquire(2)
    assert isinstance(permit, Permit)
    assert isinstance(second, RetryAt)
    clock.now = max(second.time, clock.now)
    [second] = throttle.acquire()
    assert isinstance(second, Permit)
    assert second.start.at - permit.start.at == pytest.approx(1)
    assert throttle.state().budget.spent_usd == 0.02
    throttle.record(permit, AccountFault("402: no credits"))
    opened_for = ACCOUNT_FACTOR * FIRST_OPEN_IN_RETRIES * settings.retry_base_seconds
    assert throttle.state().breaker.open_until == clock.now + opened_for


def test_permits_for_a_whole_batch_are_one_request_once_the_item_is_known(processes: Processes) -> None:
    answers = processes.one.acquire(10)
    assert processes.requests() == ["get_item", "update_item"]
    assert len(answers) == 10
    processes.clock.sleep(60)
    processes.one.acquire(10)
    assert processes.requests() == ["update_item"]


def test_permits_come_first_and_then_when_to_come_back_for_the_rest(with_budget: Processes) -> None:
    with_budget.permit()
    first, second, *others = with_budget.one.acquire(10)
    assert isinstance(first, Permit)
    assert isinstance(second, Permit)
    assert len(others) == 8
    for each in others:
        assert isinstance(each, RetryAt)
        assert each.why.startswith("paused by the budget")


def test_a_process_whose_copy_is_stale_is_overtaken_and_computes_anew_from_the_newer_one(
    with_budget: Processes,
) -> None:
    stale = with_budget.another()
    stale.state()
    with_budget.permit()
    with_budget.permit()
    with_budget.requests()
    [permit, refusal] = stale.acquire(2)
    assert with_budget.requests() == ["update_item", "update_item"]
    assert isinstance(permit, Permit)
    assert isinstance(refusal, RetryAt)


def test_whoever_is_overtaken_again_and_again_is_told_so_after_a_bounded_number_of_requests(
    processes: Processes,
) -> None:
    class Restless:
        """Another process is always faster."""

        def __getattr__(self, name: str) -> Any:
            return getattr(processes.dynamodb, name)

        def update_item(self, **request: Any) -> Any:
            processes.one.record(processes.permit(), make_description(cost_usd=0.02))
            processes.clock.sleep(60)
            return processes.dynamodb.update_item(**request)

    permit = processes.permit()
    restless = Service(Restless())
    victim = processes.another(restless)
    for attempt in (victim.acquire, lambda: victim.release(permit), lambda: victim.record(permit, Rejected("400"))):
        restless.heard.clear()
        with pytest.raises(ThrottleBusyError, match=f"changed by others {MAX_ATTEMPTS} times"):
            attempt()
        assert restless.count("update_item") == MAX_ATTEMPTS
        assert restless.count("get_item") <= 1


def test_closed_is_one_read_while_no_call_would_be_permitted_and_none_where_calls_go(processes: Processes) -> None:
    processes.permit()
    processes.requests()
    assert processes.one.closed() is None
    assert processes.requests() == []
    processes.one.open("by hand", 3_600)
    processes.requests()
    assert processes.one.closed()
    assert processes.requests() == ["get_item"]
    processes.another().close()
    processes.requests()
    assert processes.one.closed() is None
    assert processes.requests() == ["get_item"]


def test_an_answer_that_changes_nothing_is_not_written(processes: Processes) -> None:
    permit = processes.permit()
    processes.requests()
    assert processes.one.record(permit, make_description(cost_usd=PRICE_USD)) is None
    assert processes.requests() == []


# ── A service that is slow or fails ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("request_name", ["get_item", "update_item"])
@pytest.mark.parametrize(
    "error", [throttled(), ReadTimeoutError(endpoint_url="https://dynamodb.invalid")], ids=["throttled", "silent"]
)
def test_in_a_brown_out_of_dynamodb_asking_fails_at_the_first_failed_request(
    processes: Processes, request_name: str, error: Exception
) -> None:
    processes.dynamodb.failing[request_name] = error
    with pytest.raises(type(error)):
        processes.one.acquire(10)
    assert processes.requests().count(request_name) == 1


def test_after_a_brown_out_calls_are_permitted_again(processes: Processes) -> None:
    processes.dynamodb.failing["update_item"] = throttled()
    with pytest.raises(ClientError):
        processes.one.acquire()
    processes.dynamodb.failing.clear()
    processes.permit()


def test_a_threads_slow_request_does_not_hold_the_others_for_long(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imagescribe.throttle.throttle.MAX_LOCK_SECONDS", 0.05)
    begun, goes_on = Event(), Event()

    def stall(_parameters: object) -> None:
        begun.set()
        assert goes_on.wait(60)

    processes.dynamodb.before["update_item"] = stall
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(processes.one.acquire)
        try:
            assert begun.wait(60)
            with pytest.raises(ThrottleBusyError, match="too slowly"):
                processes.one.acquire()
            assert not slow.done()
        finally:
            goes_on.set()
        [permit] = slow.result(60)
        assert isinstance(permit, Permit)
    processes.permit()


@pytest.mark.usefixtures("hasty_threads")
@pytest.mark.parametrize("how_many", [1, 3])
def test_threads_that_record_at_once_get_each_their_own_result(clock: Clock, how_many: int) -> None:
    processes = Processes(clock)
    throttles = [processes.another() for _ in range(how_many)]
    permits = [processes.permit() for _ in range(12)]
    together = Barrier(len(permits))

    def record(number: int) -> RetryAt | None:
        together.wait(60)
        answer = make_description(cost_usd=0.02) if number % 2 else Limited(f"429: {number}", None)
        return throttles[number % how_many].record(permits[number], answer)

    with ThreadPoolExecutor(len(permits)) as pool:
        results = list(pool.map(record, range(len(permits))))
    assert [retry.why if retry else None for retry in results] == [
        None if number % 2 else f"429: {number}" for number in range(len(permits))
    ]
    assert processes.state().budget.spent_usd == pytest.approx(6 * 0.02)
