"""Uploads go first: a backfill gets a start only where no upload waits for one."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest

from imagescribe.throttle import Permit, RetryAt, Throttle
from imagescribe.throttle.item import ThrottleItem
from imagescribe.throttle.throttle import UPLOADS_FIRST, UPLOADS_GRACE_SECONDS
from tests.factories import Clock, stand_in
from tests.unit.in_memory.dynamodb import InMemoryDynamoDB
from tests.unit.stage import steady


@pytest.fixture
def throttles(clock: Clock) -> Sequence[Throttle]:
    """The same throttle as two processes see it."""
    dynamodb = InMemoryDynamoDB()

    def throttle() -> Throttle:
        item = ThrottleItem(stand_in(dynamodb), "ledger", lambda: steady(clock(), 2.0))
        return Throttle(item, ceiling=120, clock=clock, random=Random(1))

    return throttle(), throttle()


def permits(answers: Sequence[Permit | RetryAt]) -> int:
    return sum(isinstance(answer, Permit) for answer in answers)


def test_a_backfill_takes_what_no_upload_waits_for(throttles: Sequence[Throttle]) -> None:
    assert permits(throttles[0].acquire(1, yields=True)) == 1
    assert permits(throttles[0].acquire(1)) == 1
    assert permits(throttles[1].acquire(1, yields=True)) == 1


def test_while_an_upload_waits_a_backfill_waits_longer(throttles: Sequence[Throttle], clock: Clock) -> None:
    uploads, backfill = throttles
    waits = [answer.time for answer in uploads.acquire(20) if isinstance(answer, RetryAt)]
    assert waits
    answers = backfill.acquire(5, yields=True)
    assert permits(answers) == 0
    assert all(isinstance(answer, RetryAt) and answer.why == UPLOADS_FIRST for answer in answers)
    assert min(answer.time for answer in answers if isinstance(answer, RetryAt)) > max(waits)
    assert permits(uploads.acquire(1)) == 0
    clock.now = max(waits) + 10 * UPLOADS_GRACE_SECONDS
    assert permits(backfill.acquire(5, yields=True)) > 0


def test_a_backfill_that_waits_holds_no_upload_back(throttles: Sequence[Throttle], clock: Clock) -> None:
    uploads, backfill = throttles
    assert permits(backfill.acquire(200, yields=True)) < 200
    clock.now += 5
    assert permits(uploads.acquire(1)) == 1
