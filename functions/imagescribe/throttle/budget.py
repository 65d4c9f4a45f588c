"""The budget: what was spent this UTC day. Pure; a call's price is reserved when it is permitted.

So the day's budget is never overspent, however many ask at once; what a call did not cost is released.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPSILON = 1e-9  # of a sum of prices: ten times 0.1 is a little less than 1
_DIGITS = 6  # of USD that are kept


@dataclass(frozen=True, slots=True)
class Budget:
    """What was spent, in USD, on the last UTC day that anything was."""

    day: str = ""
    spent_usd: float = 0.0

    def spent_on(self, day: str) -> float:
        """Return what was spent on a UTC day, in USD; days before the last one are forgotten."""
        return self.spent_usd if self.day == day else 0.0


def affordable(budget: Budget, now: float, price_usd: float, limit_usd: float) -> int | None:
    """Return how many calls there is money for today; None where there is no limit or a call costs nothing."""
    if not limit_usd or not price_usd:
        return None
    return max(0, int((limit_usd - budget.spent_on(_today(budget, now)) + _EPSILON) / price_usd))


def reserve(budget: Budget, now: float, usd: float) -> Budget:
    """Return the budget with so much more spent today."""
    today = _today(budget, now)
    return Budget(today, round(budget.spent_on(today) + usd, _DIGITS))


def settle(budget: Budget, day: str, usd: float) -> Budget:
    """Return the budget with what a call of that day cost more than was reserved (less, if negative)."""
    if budget.day != day:
        return budget
    return Budget(day, round(max(0.0, budget.spent_usd + usd), _DIGITS))


def _today(budget: Budget, now: float) -> str:
    """Return the day that is spent on: a clock that is behind others at midnight does not bring yesterday back."""
    return max(budget.day, utc_day(now))


def utc_day(epoch_seconds: float) -> str:
    """Return the UTC day of a time, such as ``2026-11-23``."""
    return datetime.fromtimestamp(epoch_seconds, UTC).date().isoformat()


def next_utc_day(epoch_seconds: float) -> float:
    """Return when the next UTC day begins, in epoch seconds."""
    day = datetime.fromtimestamp(epoch_seconds, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (day + timedelta(days=1)).timestamp()
