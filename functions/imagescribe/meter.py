"""The meter: permission to make paid calls. One item of DynamoDB, asked with one update before each block of calls.

It holds the three things that decide whether a call may start: the rate (`pacing.py`), a pause with its reason, and
what was spent today. They are one item (`meter_item.py`) so that one atomic update asks for all three, for all images
of an invocation and for every invocation there is.

- A call's **price** is spent when it is granted, and given back if it was not billed: a budget is never overspent.
- A **pause** ends by its time, but then one call goes first, the *probe*. It keeps everyone else waiting for
  PROBE_SECONDS; if it succeeds the pause is over, if it fails the pause begins again, twice as long.
- A fault of the account pauses at once; failures of the endpoint do when FAILURES_BEFORE_PAUSE of them came without a
  success between, in whichever invocations.

Powertools' circuit breaker was weighed for the pause. Its state is an item of its own, so each call would cost a second
request, and the breaker and the rate could disagree on who may go.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random, SystemRandom
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, Self

from imagescribe import pacing
from imagescribe.meter_item import MeterItem, PausedBy, Reading, utc_day
from imagescribe.model.answers import PRICE_USD, AccountFault, Answer, Description, Limited, Rejected, Transient
from imagescribe.stores.dynamodb import ConditionFailedError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from imagescribe.settings import Settings

FAILURES_BEFORE_PAUSE: Final = 20
PROBE_SECONDS: Final = 15.0
FIRST_PAUSE_IN_RETRIES: Final = 4.0  # times RetryBaseSeconds
LONGEST_PAUSE_SECONDS: Final = 900.0
MOST_APART_SECONDS: Final = 3.0
FRESH_SECONDS: Final = 0.25  # that a copy of the item is worth trying by
LONGEST_WAIT_SECONDS: Final = 120.0  # of a message, in a pause: a longer one disables the mappings
OPERATORS_PAUSE_ENDS_AT: Final = 253_402_300_799.0  # 9999-12-31: until an operator resumes
MOST_TRIES: Final = 16
RATE_LIMIT: Final = "the endpoint's rate limit"

_NO_PAUSE: Final[Mapping[str, Any]] = {
    "paused_until": 0.0,
    "paused_by": PausedBy.NOBODY,
    "paused_because": "",
    "pauses": 0,
    "failures": 0,
}


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission for one paid call, at `paced.start_at`.

    Attributes
    ----------
    day
        The UTC day that its price is counted on.
    probe_until
        Where the call is the probe: until when everyone else waits for it. Otherwise 0.
    """

    paced: pacing.Grant
    day: str
    probe_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Wait:
    """No call starts now. Ask again at `until` (epoch seconds).

    Attributes
    ----------
    is_turn
        Whether it is for its turn that the call waits, and not for the end of a pause.
    is_soon
        Whether nobody is before it in a line, so that the turn may be waited for where one is.
    """

    until: float
    why: str = RATE_LIMIT
    is_turn: bool = True
    is_soon: bool = False


class Meter:
    """The meter.

    Parameters
    ----------
    ceiling
        MaxRequestsPerMinute, or 0.
    budget_usd
        DailyBudgetUsd, or 0.
    first_pause_seconds
        For failures of the endpoint; four times as long for a fault of the account, which a person has to mend.
    clock
        Epoch seconds.
    """

    def __init__(
        self,
        client: DynamoDBClient,
        table: str,
        *,
        ceiling: float = 0.0,
        budget_usd: float = 0.0,
        first_pause_seconds: float = 15.0,
        clock: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        self._item = MeterItem(client, table, ceiling, clock)
        self._ceiling = ceiling
        self._budget_usd = budget_usd
        self._first_pause_seconds = first_pause_seconds
        self._clock = clock
        self._random = random or SystemRandom()
        self._one_at_a_time = Lock()  # or a process's threads would only overtake each other's copies of the item

    @classmethod
    def of_settings(cls, client: DynamoDBClient, settings: Settings) -> Self:
        """Return the meter of a stack."""
        return cls(
            client,
            settings.ledger_table,
            ceiling=settings.max_requests_per_minute,
            budget_usd=settings.daily_budget_usd,
            first_pause_seconds=FIRST_PAUSE_IN_RETRIES * settings.retry_base_seconds,
        )

    def ask(self, count: int = 1, *, has_begun: bool = False) -> Sequence[Grant] | Sequence[Wait]:
        """Ask for permission for so many calls.

        Parameters
        ----------
        has_begun
            Whether going round would cost the requests of a beginning, so that a later start is worth waiting for.

        Returns
        -------
        Sequence[Grant] or Sequence[Wait]
            One grant or more (whoever is left asks again), or for each when to come back.
        """
        with self._one_at_a_time:
            for _ in range(MOST_TRIES):
                with suppress(ConditionFailedError):  # other processes' updates came between
                    return self._ask(count, has_begun)
        return [Wait(self._clock() + self._random.uniform(0.1, 0.5), is_soon=True) for _ in range(count)]

    def _ask(self, count: int, has_begun: bool) -> Sequence[Grant] | Sequence[Wait]:
        reading = self._recent()
        if (pause := self.paused(reading)) is not None:
            return [self._spread(pause) for _ in range(count)]
        now, chance = self._clock(), self._random.random()
        most = self._most(count, reading)
        match pacing.ask(reading.paced, now, most, has_begun=has_begun, ceiling=self._ceiling, chance=chance):
            case pacing.Block() as block:
                return self._take(block, reading, now)
            case pacing.Park() as park:
                return self._park(replace(park, count=count), reading)
            case pacing.Wait(until, is_soon):
                # While everything is refused, all wait for the same time.
                apart = min(MOST_APART_SECONDS, 0.1 * max(0.0, until - now))
                return [Wait(until + self._random.uniform(0, apart), is_soon=is_soon) for _ in range(count)]

    def is_void(self, grant: Grant) -> bool:
        """Whether a grant is no longer worth using, as far as this process knows."""
        known = self._item.known
        return known is not None and pacing.is_void(known.paced, grant.paced, self._clock())

    def report(self, grant: Grant, answer: Answer) -> None:
        """Tell what came of a granted call, so that the next ones are paced, paused and paid for accordingly."""
        match answer:
            case Description(cost_usd=cost):
                self._spend(grant, cost - PRICE_USD)
                self._succeeded(grant)
            case Limited(until=reset_at):
                self._cut(grant, reset_at)
                self._spend(grant, -PRICE_USD)
                self._succeeded(grant)  # it answers
            case Rejected():
                self._spend(grant, -PRICE_USD)
                self._succeeded(grant)
            case Transient(detail, may_be_billed):
                self._spend(grant, 0.0 if may_be_billed else -PRICE_USD)
                self._failed(grant, detail)
            case AccountFault(detail):
                self._spend(grant, -PRICE_USD)
                self.account_fault(detail, grant)

    def give_back(self, grant: Grant) -> None:
        """Take note that a granted call was not made, so that another one starts in its place."""
        if not self._give_back(grant):
            self._spend(grant, -PRICE_USD)
        if grant.probe_until:  # the next one that asks is the probe
            self._end_probe(grant, {"paused_until": self._clock()})

    def _give_back(self, grant: Grant) -> bool:
        """Try to return the start and its price with one update."""
        with self._one_at_a_time:
            for _ in range(MOST_TRIES):
                reading = self._recent()
                becomes = pacing.give_back(reading.paced, grant.paced, ceiling=self._ceiling)
                if becomes is None or reading.spent_day != grant.day:
                    return False
                refund = {":usd": -PRICE_USD, ":day": grant.day}
                with suppress(ConditionFailedError):
                    self._item.pace(reading.paced, becomes, "spent_usd = spent_usd + :usd", "spent_day = :day", refund)
                    return True
        return False

    def account_fault(self, detail: str, grant: Grant | None = None) -> None:
        """Pause intake because no call would be taken: the key, the balance, the model or the URL."""
        self.pause(PausedBy.ACCOUNT, detail, self._growing(4 * self._first_pause_seconds), grant)

    def pause(self, by: PausedBy, because: str, seconds: float, grant: Grant | None = None) -> bool:
        """Pause intake. False where it is paused already, for longer or by the operator.

        Parameters
        ----------
        grant
            The call that showed the need for it. Calls granted side by side with it make one pause, not several.
        """
        now = self._clock()
        if self._item.known is None:
            self.read()  # makes the item where there is none
        condition, operands = "attribute_exists(content)", {}
        if by is not PausedBy.OPERATOR:
            condition = "paused_by <> :operator AND (paused_until < :now OR paused_until = :probe)"
            own_probe = grant.probe_until if grant and grant.probe_until else -1.0
            operands = {":operator": PausedBy.OPERATOR, ":now": now, ":probe": own_probe}
        values = {
            "paused_until": min(now + seconds, OPERATORS_PAUSE_ENDS_AT),
            "paused_by": by,
            "paused_because": because[:1000],
            "failures": 0,
        }
        try:
            self._item.set(values, condition, operands, add={"pauses": 1})
        except ConditionFailedError:
            return False
        return True

    def resume(self) -> None:
        """End whatever pause there is, without a probe."""
        self.read()
        self._item.set(_NO_PAUSE)

    def switch(self, *, off: bool) -> None:
        """Note whether the event source mappings are disabled."""
        self._item.set({"is_switched_off": off})

    def note_letters(self, left: int) -> None:
        """Note that the dead letters were looked through just now, and how many stayed."""
        self._item.set({"letters_left": left, "letters_looked_at": self._clock()})

    def read(self) -> Reading:
        """Return the item as it is."""
        return self._item.read()

    def paused(self, reading: Reading) -> Wait | None:
        """Return the pause that holds now, the budget's included; None where calls may be asked for."""
        now = self._clock()
        if reading.paused_until > now:
            why = f"paused by the {reading.paused_by}: {reading.paused_because}"
            return Wait(reading.paused_until, why, is_turn=False)
        if self._budget_usd and reading.spent_on(utc_day(now)) + PRICE_USD > self._budget_usd + 1e-9:
            why = f"paused by the {PausedBy.BUDGET}: ${self._budget_usd:g} are spent today"
            return Wait(next_utc_day(now), why, is_turn=False)
        return None

    def wait_of_pause(self) -> Wait | None:
        """Return how long to wait for the pause that holds now, if one does."""
        pause = self.paused(self.read())
        return pause and self._spread(pause)

    def _recent(self) -> Reading:
        """Return this process's copy of the item, read afresh where it says to wait or others have likely changed it.

        Whether they have shows when it is changed by the copy: then that fails, and brings the item as it is.
        """
        known, now = self._item.known, self._clock()
        if known is None or self.paused(known):
            return self.read()
        is_idle = max(known.paced.next_start, known.paced.parked_to) <= now  # no start is taken, and nobody waits
        return known if is_idle or now - self._item.known_at <= FRESH_SECONDS else self.read()

    def _spread(self, wait: Wait) -> Wait:
        """Bound a wait, so that a resume reaches everyone soon, and spread it, so that not all come at once."""
        now = self._clock()
        seconds = min(max(0.0, wait.until - now), LONGEST_WAIT_SECONDS)
        return Wait(now + seconds + self._random.uniform(0, 0.1 * seconds), wait.why, is_turn=False)

    def _most(self, count: int, reading: Reading) -> int:
        """Return how many calls may be asked for: one where it is a probe, and no more than there is money for."""
        if reading.paused_until:
            return 1
        if self._budget_usd:
            left = self._budget_usd - reading.spent_on(utc_day(self._clock()))
            return max(1, min(count, int(left / PRICE_USD + 1e-6)))
        return count

    def _take(self, block: pacing.Block, reading: Reading, now: float) -> Sequence[Grant]:
        """Try to take a block, together with the pause and the price."""
        today = utc_day(now)
        price = round(len(block.grants) * PRICE_USD, 6)
        values: dict[str, Any] = {":seen_pause": reading.paused_until, ":today": today, ":price": price}
        condition = "paused_until = :seen_pause"
        if reading.spent_day == today:
            update = "spent_usd = spent_usd + :price"
            condition += " AND spent_day = :today"
            if self._budget_usd:
                condition += " AND spent_usd <= :left"
                values[":left"] = self._budget_usd - price + 1e-9
        else:
            update = "spent_usd = :price, spent_day = :today"
            condition += " AND spent_day < :today"
        probe_until = 0.0
        if reading.paused_until:  # its time is over: the one whose update succeeds is the probe
            probe_until = values[":probe_until"] = now + PROBE_SECONDS
            update += ", paused_until = :probe_until"
        self._item.pace(reading.paced, block.state, update, condition, values)
        return [Grant(grant, today, probe_until) for grant in block.grants]

    def _park(self, park: pacing.Park, reading: Reading) -> Sequence[Wait]:
        """Try to join the line of those who wait for their turn."""
        length = park.count * park.stride
        if reading.paced.parked_to < park.first:
            update, condition = "SET parked_to = :to", "parked_to < :first"
            values = {":to": park.first + length, ":first": park.first}
        else:
            update, condition = "SET parked_to = parked_to + :length", "parked_to >= :first AND parked_to <= :far"
            values = {":length": length, ":first": park.first, ":far": park.far}
        return [Wait(wait.until) for wait in park.waits(self._item.run(update, condition, values).paced.parked_to)]

    def _spend(self, grant: Grant, usd: float) -> None:
        """Correct what a grant has counted as spent. What was granted yesterday no longer matters."""
        if abs(usd) < 1e-9:
            return
        with suppress(ConditionFailedError):
            values = {":usd": round(usd, 6), ":day": grant.day}
            self._item.run("SET spent_usd = spent_usd + :usd", "spent_day = :day", values)

    def _cut(self, grant: Grant, reset_at: float | None) -> None:
        """Lower the rate for a 429, once for each overload."""
        for _ in range(MOST_TRIES):
            reading = self._item.known or self.read()
            cut = pacing.refused(reading.paced, grant.paced, self._clock(), reset_at=reset_at, ceiling=self._ceiling)
            if cut is None:
                return
            with suppress(ConditionFailedError):
                self._item.pace(reading.paced, cut)
                return

    def _succeeded(self, grant: Grant) -> None:
        """End a run of failures, and the pause that the call was the probe of."""
        known = self._item.known
        if grant.probe_until:
            self._end_probe(grant, _NO_PAUSE)
        elif known is None or known.failures:
            with suppress(ConditionFailedError):
                self._item.set({"failures": 0}, "failures > :none", {":none": 0})

    def _end_probe(self, grant: Grant, values: Mapping[str, Any]) -> None:
        """Set what becomes of a pause, unless it is another one by now."""
        with suppress(ConditionFailedError):
            self._item.set(values, "paused_until = :probe", {":probe": grant.probe_until})

    def _failed(self, grant: Grant, detail: str) -> None:
        """Count a failure, and pause when there were too many or when it was the probe's."""
        try:
            reading = self._item.set({}, add={"failures": 1})
        except ConditionFailedError:
            return  # somebody deleted the item, and its pauses with it
        if grant.probe_until or reading.failures >= FAILURES_BEFORE_PAUSE:
            self.pause(PausedBy.ENDPOINT, detail, self._growing(self._first_pause_seconds), grant)

    def _growing(self, first_seconds: float) -> float:
        pauses = self._item.known.pauses if self._item.known else 0
        return min(LONGEST_PAUSE_SECONDS, first_seconds * float(2 ** min(pauses, 10)))


def next_utc_day(epoch_seconds: float) -> float:
    """Return when the next UTC day begins, in epoch seconds."""
    day = datetime.fromtimestamp(epoch_seconds, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (day + timedelta(days=1)).timestamp()
