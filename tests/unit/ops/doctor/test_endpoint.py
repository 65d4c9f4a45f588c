"""Key, balance, budget and breaker."""

from __future__ import annotations

from typing import Any

import pytest

from imagescribe.throttle.breaker import OpenedBy
from imagescribe_ops.account import NoAnswerError
from imagescribe_ops.doctor import endpoint, examination
from imagescribe_ops.doctor.findings import NotCheckedError, State
from imagescribe_ops.errors import OperationError
from tests.unit.ops.doctor.conftest import Make
from tests.unit.stack_in_moto import StackInMoto

URL = "https://endpoint.example/v1/describe"


def answering(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """Let the endpoint say what is left on the account, or raise."""

    def look_up(_operations: object) -> float | None:
        if isinstance(answer, Exception):
            raise answer
        left: float | None = answer
        return left

    monkeypatch.setattr(examination, "balance_usd", look_up)


def test_a_key_that_is_missing_is_broken_and_set(examined: Make) -> None:
    verdict = endpoint.api_key(examined(DescribeUrl=URL))
    assert verdict.state is State.BROKEN
    assert "`imagescribe key set`" in verdict.mend


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (12.5, "well"),
        (None, "well"),
        (OperationError("refused.", "Store another with `imagescribe key set`."), "broken"),
        (NoAnswerError("no network.", "Check it."), "warning"),
    ],
)
def test_what_the_endpoint_says_of_the_key(
    examined: Make, monkeypatch: pytest.MonkeyPatch, answer: Any, state: str
) -> None:
    answering(monkeypatch, answer)
    assert endpoint.api_key(examined(DescribeUrl=URL)).state == state


@pytest.mark.parametrize(
    ("left", "waiting", "state", "says"),
    [
        (None, 0, "well", "says nothing"),
        (30.0, 0, "well", "$30.00 are left: 2,000 calls at $0.015"),
        (1.4, 0, "warning", "93 calls"),
        (1.6, 3, "well", "106 calls"),
        (0.03, 3, "warning", "2 calls at $0.015, and 3 messages wait"),
        (0.01, 0, "broken", "not one call at $0.015"),
    ],
)
def test_a_balance_is_held_against_what_waits(
    examined: Make,
    made: StackInMoto,
    monkeypatch: pytest.MonkeyPatch,
    left: float | None,
    waiting: int,
    state: str,
    says: str,
) -> None:
    answering(monkeypatch, left)
    for _ in range(waiting):
        made.sqs.send_message(QueueUrl=made.outputs["UploadQueueUrl"], MessageBody="an upload")
    verdict = endpoint.balance(examined(DescribeUrl=URL))
    assert (verdict.state, says in verdict.found) == (state, True), verdict


def test_a_balance_is_enough_where_calls_are_free(examined: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, 0.0)
    assert endpoint.balance(examined(DescribeUrl=URL, PricePerCallUsd="0")).found == "calls are free (PricePerCallUsd)"


def test_a_balance_that_nobody_told_is_not_checked(examined: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, NoAnswerError("no network.", "Check it."))
    with pytest.raises(NotCheckedError, match="did not say what is left"):
        endpoint.balance(examined(DescribeUrl=URL))


@pytest.mark.parametrize(
    ("spent", "budget", "state"),
    [
        (3.0, "0", "well"),
        (3.0, "25", "well"),
        (22.5, "25", "warning"),
        (24.99, "25", "warning"),
        (25.0, "25", "warning"),
    ],
)
def test_a_budget_that_is_spent_is_a_warning(
    examined: Make, made: StackInMoto, spent: float, budget: str, state: str
) -> None:
    made.spend(spent)
    verdict = endpoint.budget(examined(DailyBudgetUsd=budget))
    assert verdict.state == state
    assert ("until midnight UTC" in verdict.found) is (spent > 24)


@pytest.mark.parametrize(
    ("by", "state"),
    [(OpenedBy.OPERATOR, "warning"), (OpenedBy.ACCOUNT, "broken"), (OpenedBy.ENDPOINT, "broken")],
)
def test_whoever_paused_calls_is_named_with_the_reason(
    examined: Make, made: StackInMoto, by: OpenedBy, state: str
) -> None:
    assert endpoint.breaker(examined()).state is State.WELL
    made.open(by, "the reason")
    verdict = endpoint.breaker(examined())
    assert verdict.state == state
    assert f"Paused by the {by}" in verdict.found
    assert "the reason" in verdict.found
    assert "`imagescribe resume`" in verdict.mend


def test_failures_in_a_row_are_a_warning(examined: Make, made: StackInMoto) -> None:
    made.fail(3)
    assert endpoint.breaker(examined()).found == "Calls go, but 3 in a row failed."
