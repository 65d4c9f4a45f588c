"""Processes that share one throttle."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from imagescribe.model.answers import PRICE_USD
from tests.factories import Clock
from tests.unit.throttle.processes import Processes


@pytest.fixture
def processes(clock: Clock) -> Processes:
    return Processes(clock)


@pytest.fixture
def with_budget(clock: Clock) -> Processes:
    """Money for three calls a day."""
    return Processes(clock, budget_usd=3 * PRICE_USD)


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that interrupt each other as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)
