"""What is seen each minute: whether calls may be made, what waits and for how long, and whether it moves at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imagescribe.aws.sqs import depth
from imagescribe.metrics import Metric, Metrics
from imagescribe.model.times import milliseconds
from imagescribe.stores.notebook import Notebook, Notes, Standstill
from imagescribe.throttle import budget as budgets
from imagescribe.throttle.breaker import OpenedBy
from imagescribe.throttle.budget import Budget
from imagescribe.throttle.item import State

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from imagescribe.settings import Settings
    from imagescribe.stores.catalog import Catalog

STALLED_SECONDS: Final = 900.0
"""A message that a crashed function had comes back after twelve minutes: that is no standstill yet."""

RETENTION_SECONDS: Final = 14 * 86_400.0
"""How long a queue keeps a message. What was uploaded earlier and waits is a backfill's."""

PAUSED: Final = {
    OpenedBy.OPERATOR: Metric.PAUSED_BY_OPERATOR,
    OpenedBy.ACCOUNT: Metric.PAUSED_BY_ACCOUNT,
    OpenedBy.ENDPOINT: Metric.PAUSED_BY_ENDPOINT,
}


@dataclass(frozen=True, slots=True)
class Observer:
    """Whom a look meets."""

    sqs: SQSClient
    catalog: Catalog
    notebook: Notebook
    settings: Settings
    backfill_queue_url: str
    metrics: Metrics
    clock: Callable[[], float] = time.time

    def look(self, state: State, notes: Notes, dead_letters: int, *, is_open: bool) -> None:
        """Measure how all stands, and write it down.

        Parameters
        ----------
        dead_letters
            How many stay.
        is_open
            Whether calls may be made now.
        """
        now = self.clock()
        uploads = depth(self.sqs, self.settings.upload_queue_url)
        backfill = depth(self.sqs, self.backfill_queue_url)
        standstill = after(notes.standstill, now, uploads + backfill, state.budget, is_open=is_open)
        if standstill != notes.standstill:
            self.notebook.note_standstill(standstill)
        measured: dict[Metric, float] = {
            **dict(self._throttle(state, now)),
            Metric.WAITING_UPLOADS: uploads,
            Metric.WAITING_BACKFILL: backfill,
            Metric.OLDEST_WAITING_SECONDS: self._oldest_waiting_seconds(now),
            Metric.DEAD_LETTERS: dead_letters,
            Metric.STALLED: is_stalled(standstill, now),
        }
        for metric, value in measured.items():
            self.metrics.add(metric, value)
        self.metrics.flush()

    def _throttle(self, state: State, now: float) -> Iterator[tuple[Metric, float]]:
        yield Metric.PERMITTED_PER_MINUTE, 60 * state.rate.per_second
        for by, metric in PAUSED.items():
            # Half-open counts as well: until the probe is answered, nobody knows that it is over.
            yield metric, state.breaker.opened_by is by
        limit, price = self.settings.daily_budget_usd, self.settings.price_per_call_usd
        yield Metric.BUDGET_SPENT, budgets.affordable(state.budget, now, price, limit) == 0
        if limit:
            yield Metric.BUDGET_LEFT_USD, max(0.0, limit - state.budget.spent_on(budgets.utc_day(now)))

    def _oldest_waiting_seconds(self, now: float) -> float:
        oldest = self.catalog.oldest_waiting(now - RETENTION_SECONDS)
        return max(0.0, now - milliseconds(oldest) / 1000) if oldest else 0.0


def after(before: Standstill, now: float, waiting: int, budget: Budget, *, is_open: bool) -> Standstill:
    """Return the standstill that a look finds: the one before, or a new one where something came to its end.

    That shows in two ways, neither of which costs an image a request: fewer wait than ever in it before, or more is
    spent. (A call's price is reserved when it is permitted, and given back where it brought nothing.)
    """
    if not waiting or not is_open:
        return Standstill()
    spent = (budget.day, budget.spent_usd)
    if not before.since or waiting < before.least_waiting or spent > (before.day, before.most_spent_usd):
        return Standstill(now, waiting, *spent)
    return before


def is_stalled(standstill: Standstill, now: float) -> bool:
    """Whether something has waited for long, calls may be made, and nothing has come to its end."""
    return bool(standstill.since) and now - standstill.since >= STALLED_SECONDS
