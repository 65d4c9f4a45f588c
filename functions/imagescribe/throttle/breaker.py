"""The circuit breaker: whether calls may be made at all. Pure; the clock is the caller's.

Closed, calls go. Open, none do until `open_until`. Half-open (that time is over), one call goes first, the probe: its
success closes the breaker, its failure opens it again for twice as long. An operator's opening ends by its time alone.

An opening is told from the ones before it by its `generation`, which permits carry: what became of a call that was
permitted before the breaker opened says nothing of it, and a probe's late success counts however late it is.
https://martinfowler.com/bliki/CircuitBreaker.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

FAILURES_TO_OPEN = 20
"""Failed calls without a success between, in whichever invocations."""

MAX_OPEN_SECONDS = 900.0
ACCOUNT_FACTOR = 4.0
"""A fault of the account opens for so many times as long at first: a person has to mend it."""

UNTIL_CLOSED = 253_402_300_799.0
"""9999-12-31, in epoch seconds: an operator's opening without an end of its own."""

PROBE_POLL_SECONDS = 15.0
"""How soon others look again while a probe is out: its lease is far longer than most answers take."""


class OpenedBy(StrEnum):
    """Who or what stopped the calls."""

    NOBODY = ""
    OPERATOR = "operator"
    ACCOUNT = "account"
    ENDPOINT = "endpoint"
    BUDGET = "budget"  # never in the breaker: it follows from what was spent


@dataclass(frozen=True, slots=True)
class Breaker:
    """The breaker's state. Times in epoch seconds.

    Attributes
    ----------
    open_until
        0 where it is closed; half-open from then on.
    generation
        How many openings there were.
    openings
        How many of them in a row, without a success between.
    failures
        Failed calls since the last success.
    probe_until
        When the lease of the probe that is out ends; 0 where none is.
    """

    opened_by: OpenedBy = OpenedBy.NOBODY
    why: str = ""
    open_until: float = 0.0
    generation: int = 0
    openings: int = 0
    failures: int = 0
    probe_until: float = 0.0


def at(breaker: Breaker, now: float) -> Breaker:
    """Return the breaker as it is now: an operator's opening that is over is closed."""
    if breaker.opened_by is OpenedBy.OPERATOR and breaker.open_until <= now:
        return closed(breaker)
    return breaker


def retry_at(breaker: Breaker, now: float) -> float | None:
    """Return when to come back, or None where a call may be made (half-open: one, as the probe)."""
    if breaker.open_until > now:
        return breaker.open_until
    if breaker.probe_until > now:
        return min(breaker.probe_until, now + PROBE_POLL_SECONDS)
    return None


def probing(breaker: Breaker, now: float, lease_seconds: float) -> Breaker:
    """Return the breaker with its probe out, where it is half-open."""
    return replace(breaker, probe_until=now + lease_seconds) if breaker.open_until else breaker


def probe_released(breaker: Breaker, generation: int, probe_until: float) -> Breaker:
    """Return the breaker without the probe of this lease, which made no call: the next caller is the probe."""
    is_out = (breaker.generation, breaker.probe_until) == (generation, probe_until)
    return replace(breaker, probe_until=0.0) if is_out else breaker


def succeeded(breaker: Breaker, generation: int) -> Breaker:
    """Return what a call that was answered makes of the breaker."""
    return closed(breaker) if breaker.generation == generation else breaker


def failed(breaker: Breaker, generation: int, now: float, why: str, first_seconds: float) -> Breaker:
    """Return what a failed call makes of the breaker: it opens at FAILURES_TO_OPEN, or by the probe's failure."""
    if breaker.generation != generation:
        return breaker
    counted = replace(breaker, failures=breaker.failures + 1)
    if breaker.open_until or counted.failures >= FAILURES_TO_OPEN:
        return opened(counted, now, OpenedBy.ENDPOINT, why, _growing(counted, first_seconds))
    return counted


def account_fault(breaker: Breaker, generation: int, now: float, why: str, first_seconds: float) -> Breaker:
    """Return what a call refused for the account's sake makes of the breaker: it opens at once."""
    if breaker.generation != generation:
        return breaker
    return opened(breaker, now, OpenedBy.ACCOUNT, why, _growing(breaker, ACCOUNT_FACTOR * first_seconds))


def opened(breaker: Breaker, now: float, by: OpenedBy, why: str, seconds: float) -> Breaker:
    """Return the breaker, opened for so many seconds."""
    return replace(
        breaker,
        opened_by=by,
        why=why,
        open_until=min(now + seconds, UNTIL_CLOSED),
        generation=breaker.generation + 1,
        openings=breaker.openings + 1,
        probe_until=0.0,
    )


def closed(breaker: Breaker) -> Breaker:
    """Return the breaker, closed. Calls of before are told apart by its next opening."""
    return Breaker(generation=breaker.generation)


def _growing(breaker: Breaker, first_seconds: float) -> float:
    return min(MAX_OPEN_SECONDS, first_seconds * 2.0 ** min(breaker.openings, 10))
