"""The throttle: permission to make paid calls, one item of DynamoDB behind one door.

`acquire` returns for each call a permit or when to come back, `release` returns a permit that was not used, `record`
tells what a call brought. Each computes from the last known copy of the item what it becomes, purely, and writes that
on condition that the item is still that copy; otherwise once more from what it is. So rate, breaker and budget are
asked for a whole batch with one update, and a call's price is spent before the call is made.

Powertools' circuit breaker was weighed. Its state is an item of its own, so each call would cost a second request, and
the breaker and the rate could disagree on who may go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random, SystemRandom
from threading import Lock
from typing import TYPE_CHECKING, Final, Self

from imagescribe.errors import ImageScribeError
from imagescribe.model.answers import AccountFault, Answer, Description, Limited, Rejected, Transient
from imagescribe.throttle import breaker as breakers
from imagescribe.throttle import budget as budgets
from imagescribe.throttle import rate as rates
from imagescribe.throttle.breaker import OpenedBy
from imagescribe.throttle.item import OvertakenError, State, ThrottleItem

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from imagescribe.settings import Settings

RATE_LIMIT: Final = "the endpoint's rate limit"
FIRST_OPEN_IN_RETRIES: Final = 4.0  # times RetryBaseSeconds
MAX_WAIT_SECONDS: Final = 120.0  # of a message while no calls are made, so that a resume reaches it soon
RESET_SPREAD_SECONDS: Final = 4.0  # after the time at which an answer says that the limit is reset
UPLOADS_FIRST: Final = "uploads go first"
UPLOADS_GRACE_SECONDS: Final = 2.0
"""How much later than its time a message may be received: the queue counts in seconds, and its poller takes some."""

FREE_CALL_USD: Final = 1e-6
"""Spent by a call that cost nothing, so that the sum shows that calls come to their end."""

MAX_ATTEMPTS: Final = 16  # at writing the item, before whoever asks is told to come back
MAX_LOCK_SECONDS: Final = 10.0  # that a thread waits for another's request
MAX_WHY_LENGTH: Final = 1000


class ThrottleBusyError(ImageScribeError):
    """The throttle's item could not be reached or written in time."""


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission for one paid call, at `start.at`.

    Attributes
    ----------
    day
        The UTC day that its price is counted on.
    generation
        The breaker's last opening, by which the call's verdict is told from those of before.
    probe_until
        When its lease ends, for the one call that goes first while the breaker is half-open; 0 otherwise.
    """

    start: rates.Start
    day: str
    generation: int = 0
    probe_until: float = 0.0


@dataclass(frozen=True, slots=True)
class RetryAt:
    """No call is made now: come back then (epoch seconds)."""

    time: float
    why: str = RATE_LIMIT


class Throttle:
    """The throttle.

    Parameters
    ----------
    ceiling
        MaxRequestsPerMinute, or 0.
    budget_usd, price_usd
        DailyBudgetUsd (0 for none), and what is reserved for a call.
    probe_seconds
        The lease of a probe: no answer comes later.
    first_open_seconds
        How long the breaker opens at first.
    clock
        Epoch seconds.
    """

    def __init__(
        self,
        item: ThrottleItem,
        *,
        ceiling: float = 0.0,
        budget_usd: float = 0.0,
        price_usd: float = 0.015,
        probe_seconds: float = 90.0,
        first_open_seconds: float = 15.0,
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        self._item = item
        self._ceiling = ceiling
        self._budget_usd = budget_usd
        self._price_usd = price_usd
        self._probe_seconds = probe_seconds
        self._first_open_seconds = first_open_seconds
        self._clock = clock
        self._random = random or SystemRandom()
        self._one_at_a_time = Lock()  # or a process's threads would only overtake each other's copies of the item
        self._known: State | None = None

    @classmethod
    def of_stack(cls, client: DynamoDBClient, settings: Settings, clock: Callable[[], float] = time.time) -> Self:
        """Return the throttle of a stack."""
        ceiling = settings.max_requests_per_minute
        return cls(
            ThrottleItem(client, settings.ledger_table, lambda: rates.fresh(clock(), ceiling=ceiling)),
            ceiling=ceiling,
            budget_usd=settings.daily_budget_usd,
            price_usd=settings.price_per_call_usd,
            probe_seconds=settings.call_seconds,
            first_open_seconds=FIRST_OPEN_IN_RETRIES * settings.retry_base_seconds,
            clock=clock,
        )

    # ── For whoever calls ────────────────────────────────────────────────────────────────────────────────────────────

    def closed(self) -> RetryAt | None:
        """Return when to come back while no call would be permitted at all; one read, and none where calls go."""
        known = self._known or self.state()
        if self._refusal(known) is not None:
            known = self.state()  # it may be over
        refusal = self._refusal(known)
        return refusal and self._spread(refusal)

    def acquire(self, count: int = 1, *, yields: bool = False) -> Sequence[Permit | RetryAt]:
        """Ask for permission for so many calls: permits first, then when to come back for each of the rest.

        Parameters
        ----------
        yields
            Whether it is for images that wait while an upload does: those of a backfill.

        Raises
        ------
        ThrottleBusyError, ClientError, BotoCoreError
            Nothing is permitted.
        """
        return self._change(lambda state: self._acquired(state, count, yields=yields))

    def release(self, permit: Permit) -> None:
        """Return a permit whose call was not made: the next in line takes its start, and its price is not spent."""
        self._change(lambda state: (self._released(state, permit), None))

    def record(self, permit: Permit, answer: Answer) -> RetryAt | None:
        """Take note of what a permitted call brought. Return when to come back where the image was not to blame."""
        return self._change(lambda state: self._recorded(state, permit, answer))

    # ── For whoever operates ─────────────────────────────────────────────────────────────────────────────────────────

    def state(self) -> State:
        """Return the item as it is."""
        state = self._known = self._item.read()
        return replace(state, breaker=breakers.at(state.breaker, self._clock()))

    def refusal(self, state: State | None = None) -> RetryAt | None:
        """Return until when no call is permitted, and why: by the breaker or the budget. None where calls go."""
        return self._refusal(state or self.state())

    def open(self, why: str, seconds: float = breakers.UNTIL_CLOSED) -> None:
        """Open the breaker by an operator's hand."""
        self._change(lambda state: (self._opened(state, why, seconds), None))

    def close(self) -> None:
        """Close the breaker, whoever opened it, without a probe."""
        self._change(lambda state: (replace(state, breaker=breakers.closed(state.breaker)), None))

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _change[T](self, transition: Callable[[State], tuple[State, T]]) -> T:
        """Write what a transition makes of the item, once more from the newer one where somebody was faster."""
        if not self._one_at_a_time.acquire(timeout=MAX_LOCK_SECONDS):
            raise ThrottleBusyError("the throttle's item answers too slowly")
        try:
            state = self._known or self._item.read()
            for _ in range(MAX_ATTEMPTS):
                becomes, result = transition(state)
                try:
                    self._known = state if becomes == state else self._item.replace(state, becomes)
                except OvertakenError as overtaken:
                    state = self._known = overtaken.state
                else:
                    return result
        finally:
            self._one_at_a_time.release()
        raise ThrottleBusyError(f"the throttle's item was changed by others {MAX_ATTEMPTS} times meanwhile")

    def _acquired(self, state: State, count: int, *, yields: bool) -> tuple[State, Sequence[Permit | RetryAt]]:
        now = self._clock()
        if (refusal := self._refusal(state)) is not None:
            return state, [self._spread(refusal) for _ in range(count)]
        if yields and state.uploads_until > now:
            until = state.uploads_until
            return state, [RetryAt(until + self._random.uniform(0, UPLOADS_GRACE_SECONDS), UPLOADS_FIRST)] * count
        breaker = breakers.at(state.breaker, now)
        rest = RetryAt(now + breakers.PROBE_POLL_SECONDS, "a probe goes first")
        most = 1 if breaker.open_until else count
        affordable = budgets.affordable(state.budget, now, self._price_usd, self._budget_usd)
        if affordable is not None and affordable < most:
            most, rest = affordable, self._out_of_budget(now)
        # A backfill has a line of its own: an upload that finds no start near does not stand behind it.
        lined = replace(state.rate, line_end=state.backfill_line_end) if yields else state.rate
        rate, starts, retries = rates.acquire(lined, now, most, ceiling=self._ceiling, chance=self._random.random())
        line_end = state.backfill_line_end
        if yields:
            rate, line_end = replace(rate, line_end=state.rate.line_end), rate.line_end
        budget = state.budget
        if starts:
            breaker = breakers.probing(breaker, now, self._probe_seconds)
            budget = budgets.reserve(budget, now, len(starts) * self._price_usd)
        permits = [Permit(start, budget.day, breaker.generation, breaker.probe_until) for start in starts]
        others = [RetryAt(time) for time in retries] + [self._spread(rest) for _ in range(count - most)]
        uploads_until = state.uploads_until
        if retries and not yields:
            uploads_until = max(uploads_until, max(retries) + UPLOADS_GRACE_SECONDS)
        state = replace(state, uploads_until=uploads_until, backfill_line_end=line_end)
        return replace(state, rate=rate, breaker=breaker, budget=budget), [*permits, *others]

    def _released(self, state: State, permit: Permit) -> State:
        return replace(
            state,
            rate=rates.release(state.rate, permit.start, ceiling=self._ceiling),
            breaker=breakers.probe_released(state.breaker, permit.generation, permit.probe_until),
            budget=budgets.settle(state.budget, permit.day, -self._price_usd),
        )

    def _recorded(self, state: State, permit: Permit, answer: Answer) -> tuple[State, RetryAt | None]:
        now, spent_usd = self._clock(), 0.0
        rate, breaker, first = state.rate, breakers.at(state.breaker, now), self._first_open_seconds
        retry: RetryAt | None = None
        match answer:
            case Description(cost_usd=cost):
                breaker, spent_usd = breakers.succeeded(breaker, permit.generation), cost or FREE_CALL_USD
            case Limited(detail, reset_at):  # it answers, so the breaker closes; the rate is what falls
                breaker = breakers.succeeded(breaker, permit.generation)
                rate = rates.refused(rate, permit.start, now, reset_at=reset_at, ceiling=self._ceiling)
                retry = RetryAt(rates.retry_at(rate, now, self._random.random()), detail)
                if reset_at is not None and reset_at > retry.time:  # everyone is told the same time
                    retry = RetryAt(reset_at + self._random.uniform(0, RESET_SPREAD_SECONDS), detail)
            case Rejected():
                breaker = breakers.succeeded(breaker, permit.generation)
            case AccountFault(detail):
                breaker = breakers.account_fault(breaker, permit.generation, now, detail[:MAX_WHY_LENGTH], first)
                retry = self._spread(RetryAt(max(now, breaker.open_until), detail))
            case Transient(detail, may_be_billed):
                breaker = breakers.failed(breaker, permit.generation, now, detail[:MAX_WHY_LENGTH], first)
                spent_usd = self._price_usd if may_be_billed else 0.0
        budget = budgets.settle(state.budget, permit.day, spent_usd - self._price_usd)
        return replace(state, rate=rate, breaker=breaker, budget=budget), retry

    def _opened(self, state: State, why: str, seconds: float) -> State:
        opened = breakers.opened(state.breaker, self._clock(), OpenedBy.OPERATOR, why[:MAX_WHY_LENGTH], seconds)
        return replace(state, breaker=opened)

    def _refusal(self, state: State) -> RetryAt | None:
        """Return until when nothing is permitted, if so, and why."""
        now = self._clock()
        breaker = breakers.at(state.breaker, now)
        if (until := breakers.retry_at(breaker, now)) is not None:
            return RetryAt(until, f"paused by the {breaker.opened_by}: {breaker.why}")
        if budgets.affordable(state.budget, now, self._price_usd, self._budget_usd) == 0:
            return self._out_of_budget(now)
        return None

    def _out_of_budget(self, now: float) -> RetryAt:
        why = f"paused by the {OpenedBy.BUDGET}: ${self._budget_usd:g} are spent today"
        return RetryAt(budgets.next_utc_day(now), why)

    def _spread(self, retry: RetryAt) -> RetryAt:
        """Bound a wait, so that a resume reaches everyone soon, and spread it, so that not all come at once."""
        now = self._clock()
        seconds = min(max(0.0, retry.time - now), MAX_WAIT_SECONDS)
        return RetryAt(now + seconds + self._random.uniform(0, 0.1 * seconds), retry.why)
