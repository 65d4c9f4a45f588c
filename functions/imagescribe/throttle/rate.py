"""The rate: when the next paid calls may start."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor

FIRST_RATE = 2.0
SLOWEST, FASTEST = 1 / 12, 200.0
PREPARATION = 0.1
AHEAD = 1.3
BLOCK = 1.0
AHEAD_IN_SLOW_START = 0.05
BURST = 0.25
PATIENCE, FIRST_PATIENCE = 40.0, 10.0
POWER = 1.5
SLOW_START_AGAIN = 0.5
PRIOR = 2.0
MAX_PAUSE = 12.0
VERDICT = 0.3
SOON, STRIKES = 20, 3
ALONE = 0.6
FOUND = 1.25


RESET_TRUSTED = 90.0
IDLE = 60.0
STRIDE = 0.55
FARTHEST = 900.0


@dataclass(frozen=True, slots=True)
class Rate:
    next_start: float
    per_second: float
    since: float
    slow_start: int = 1
    base: float = 0.0
    age: float = 0.0
    patience: float = FIRST_PATIENCE
    calls: int = 0
    mark: int = 0
    refused: int = 0
    begins: float = 0.0
    strikes: int = 0
    pause: float = 0.0
    line_end: float = 0.0


@dataclass(frozen=True, slots=True)
class Start:
    at: float
    number: int


def fresh(now: float, *, ceiling: float = 0.0) -> Rate:
    return Rate(next_start=now, per_second=min(FIRST_RATE, _fastest(ceiling)), since=now, begins=now - 9)


def acquire(
    rate: Rate, now: float, count: int, *, ceiling: float = 0.0, chance: float
) -> tuple[Rate, tuple[Start, ...], tuple[float, ...]]:
    soonest = now + (PREPARATION if count > 1 else 0.0)
    is_dry = rate.next_start < now
    if rate.next_start < soonest:
        rate = _restarted(rate, soonest)
    starts: list[Start] = []
    is_slow = rate.slow_start or rate.pause
    ahead = AHEAD_IN_SLOW_START if is_slow else AHEAD
    until = now + ahead + PREPARATION
    if rate.next_start <= until:
        until = until if is_slow else rate.next_start + BLOCK
        while len(starts) < count and rate.next_start <= until:
            starts.append(Start(rate.next_start, rate.calls + 1))
            rate = _taken(rate, _fastest(ceiling), grows=not is_dry)
    left = count - len(starts)
    if not left:
        return rate, tuple(starts), ()
    if is_slow:
        until = rate.next_start - PREPARATION - AHEAD_IN_SLOW_START * (1 - chance / 2)
        apart = min(3.0, 0.1 * max(0.0, until - now))
        return rate, tuple(starts), tuple(until + apart * place / left for place in range(left))
    begins, stride = max(now, rate.next_start - AHEAD, rate.line_end), STRIDE / rate.per_second
    if begins > now + FARTHEST:
        return rate, tuple(starts), tuple(now + FARTHEST * (1 + (place + chance) / left) / 2 for place in range(left))
    returns = tuple(begins + floor(place * stride) for place in range(left))
    return replace(rate, line_end=begins + left * stride), tuple(starts), returns


def _taken(rate: Rate, fastest: float, *, grows: bool) -> Rate:
    per_second, spacing, age = rate.per_second, 1 / rate.per_second, rate.age
    if rate.pause and rate.next_start <= rate.begins:
        # The first call after a pause goes alone, until its refusal would be back.
        return replace(rate, next_start=rate.next_start + max(spacing, ALONE), calls=rate.calls + 1)
    slow_start, refused = rate.slow_start, rate.refused
    if grows and rate.slow_start:
        per_second = min(fastest, per_second + 1)
    elif grows:
        age += min(spacing, BURST)
        per_second = min(fastest, rate.base * (1 + (age / rate.patience) ** POWER))
        if age > SLOW_START_AGAIN * rate.patience and per_second < fastest:
            slow_start, refused = 1, 0
    return replace(rate, next_start=rate.next_start + spacing, per_second=per_second, age=age, calls=rate.calls + 1,
        slow_start=slow_start, refused=refused, pause=0.0)


def _restarted(rate: Rate, soonest: float) -> Rate:
    gap = soonest - rate.next_start
    begins = soonest if rate.next_start <= rate.begins else rate.begins
    return replace(rate, next_start=soonest, since=rate.since + gap, begins=begins)


def refused(rate: Rate, start: Start, now: float, *, reset_at: float | None = None, ceiling: float = 0.0) -> Rate:
    if start.at < rate.begins:
        return replace(rate, refused=rate.refused + 1) if start.number > rate.mark else rate
    until = min(reset_at, now + RESET_TRUSTED) if reset_at is not None else now
    calls = start.number - rate.mark
    accepted = calls - 1 - rate.refused
    if start.at - rate.begins <= VERDICT:
        return _blocked(rate, now, until)
    rate = replace(rate, refused=rate.refused + 1)
    if rate.slow_start and rate.refused < 2 and until <= now:
        return rate
    if rate.strikes >= STRIKES and (rate.refused < 3 or 5 * rate.refused < calls) and until <= now:
        return rate
    elapsed = start.at - rate.since
    if rate.slow_start:
        base = max(rate.base, accepted / elapsed)
    else:
        base = (accepted + PRIOR) / (elapsed + PRIOR / rate.base)
    is_new = base > FOUND * rate.base
    base = max(SLOWEST, min(base, rate.per_second, _fastest(ceiling)))
    ends = max(now, rate.next_start)
    begins = max(ends + 1 / base, until)
    return Rate(
        next_start=begins, begins=begins, since=max(ends, until), per_second=base, base=base, slow_start=0,
        patience=FIRST_PATIENCE if is_new else min(PATIENCE, 2 * rate.patience), calls=rate.calls, mark=rate.calls,
        strikes=rate.strikes if rate.slow_start else min(STRIKES, rate.strikes + 1) if calls <= SOON else max(0, rate.strikes - 1), line_end=rate.line_end)


def _blocked(rate: Rate, now: float, until: float) -> Rate:
    pause = min(MAX_PAUSE, max(2 * rate.pause, VERDICT, 1 / rate.per_second))
    begins = max(rate.next_start, now + pause, until)
    if rate.pause:
        begins = max(now + pause, until)
    return replace(rate, refused=rate.refused + 1, pause=pause, begins=begins,
        next_start=begins, slow_start=0, base=rate.base or rate.per_second, age=0.0)


def release(rate: Rate, start: Start, *, ceiling: float = 0.0) -> Rate:
    if start.at < rate.begins:
        return rate
    spacing = 1 / rate.per_second
    is_last = start.at > rate.next_start - 1.5 * spacing
    back = rate.next_start - start.at if is_last else 0.0 if ceiling else spacing
    return replace(rate, next_start=rate.next_start - back, calls=rate.calls - 1)


def retry_at(rate: Rate, now: float, chance: float) -> float:
    return max(now, rate.next_start - AHEAD) + chance


def _fastest(ceiling: float) -> float:
    return min(FASTEST, ceiling / 60) if ceiling > 0 else FASTEST
