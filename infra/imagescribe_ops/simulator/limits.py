"""Rate limits as arithmetic: a rule, a state and a time give a verdict and the next state. No clock, no lock.

The endpoint's published limits are so many calls a minute; how it counts them is published nowhere, so the
simulator offers the two usual ways, and a cap on calls in flight.
"""

import math
from dataclasses import dataclass
from enum import StrEnum, auto

_MINUTE_S = 60.0
# Epoch seconds as floats are a quarter of a microsecond apart: a token that is whole comes out a hair short.
_ROUNDING = 1e-4


class LimitKind(StrEnum):
    """How calls are counted against the limit."""

    NONE = auto()
    TOKEN_BUCKET = auto()
    FIXED_WINDOW = auto()
    IN_FLIGHT = auto()


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit.

    Attributes
    ----------
    kind
        How calls are counted.
    amount
        Calls a minute; for ``IN_FLIGHT``, calls at once. At least one.
    """

    kind: LimitKind = LimitKind.NONE
    amount: float = 60.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.amount) and self.amount >= 1):
            raise ValueError("a limit's amount is a number of at least 1")

    @property
    def burst(self) -> float:
        """Calls that a full token bucket lets through at once: one second's worth, and at least two."""
        return max(2.0, self.amount / _MINUTE_S)


@dataclass(frozen=True, slots=True)
class LimitState:
    """What a limit remembers: for a bucket its tokens at a time, for a window its start and the calls it let through.

    Attributes
    ----------
    level
        Tokens left (bucket) or calls let through (window).
    at
        The time of ``level`` (bucket) or the window's start, in epoch seconds.
    """

    level: float
    at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the limit says of one call.

    Attributes
    ----------
    allowed
        Whether the call may start.
    remaining
        Calls that would be allowed right after this one; None where nothing is limited.
    reset_at
        When a call is allowed next, in epoch seconds; None where nothing is limited.
    """

    allowed: bool
    remaining: int | None
    reset_at: float | None


def fresh_state(rule: RateLimit, now: float) -> LimitState:
    """Give the state of a limit that nobody has used: a full bucket, or a window without calls."""
    if rule.kind is LimitKind.TOKEN_BUCKET:
        return LimitState(level=rule.burst, at=now)
    return LimitState(level=0.0, at=now - now % _MINUTE_S)


def ask(rule: RateLimit, state: LimitState, now: float, in_flight: int) -> tuple[LimitState, Verdict]:
    """Ask the limit for one call.

    Parameters
    ----------
    rule, state
        The limit and what it remembers.
    now
        Epoch seconds. A clock that steps back counts as one that stands still.
    in_flight
        Calls that are being worked on, without this one.

    Returns
    -------
    The state after the call, and the verdict. A refused call uses nothing up.
    """
    match rule.kind:
        case LimitKind.NONE:
            return state, Verdict(allowed=True, remaining=None, reset_at=None)
        case LimitKind.TOKEN_BUCKET:
            return _ask_bucket(rule, state, now)
        case LimitKind.FIXED_WINDOW:
            return _ask_window(rule, state, now)
        case LimitKind.IN_FLIGHT:
            allowed = in_flight + 1 <= rule.amount
            remaining = max(0, math.floor(rule.amount) - in_flight - 1)
            # Nobody knows when a call in flight ends; a second is what such gateways tell.
            return state, Verdict(allowed=allowed, remaining=remaining, reset_at=now if remaining else now + 1.0)


def _ask_bucket(rule: RateLimit, state: LimitState, now: float) -> tuple[LimitState, Verdict]:
    per_second = rule.amount / _MINUTE_S
    now = max(now, state.at)
    tokens = min(rule.burst, state.level + (now - state.at) * per_second)
    allowed = tokens >= 1.0 - _ROUNDING
    if allowed:
        # It may fall a hair below zero: what was rounded in the caller's favour is paid back.
        tokens -= 1.0
    missing = max(0.0, 1.0 - tokens)
    verdict = Verdict(
        allowed=allowed, remaining=max(0, math.floor(tokens + _ROUNDING)), reset_at=now + missing / per_second
    )
    return LimitState(level=tokens, at=now), verdict


def _ask_window(rule: RateLimit, state: LimitState, now: float) -> tuple[LimitState, Verdict]:
    start = max(state.at, now - now % _MINUTE_S)
    used = state.level if start == state.at else 0.0
    allowed = used + 1.0 <= rule.amount
    if allowed:
        used += 1.0
    remaining = math.floor(rule.amount - used)
    verdict = Verdict(allowed=allowed, remaining=remaining, reset_at=now if remaining else start + _MINUTE_S)
    return LimitState(level=used, at=start), verdict
