"""The rate: when the next paid calls may start, found from what the endpoint refuses.

Pure arithmetic over one `Rate`, a part of the throttle's item; the clock, the chance and the writing are the caller's.

The law is TCP's congestion control, with a rate in place of a window, since a refusal comes back in a tenth of a
second and an answer in four.

- **Slow start.** Each call adds one call a second: the rate doubles in 0.7 s. The second refusal ends it.
- **Steady.** From its base the rate grows, slowly at first: it would double in `doubles_in` seconds. Half of these
  without a congestion: the limit has risen, slow start again.
- **Congestion.** A refusal. The rate decreases to what was accepted a second since the last decrease, less 3 %: a
  token bucket, a window and calls in flight all let through just their limit between two congestions. Few calls say
  little, so two at the old rate are counted along. Calls that were permitted before a decrease belong to the
  congestion that it answered. `doubles_in` is 10 s after a slow start that found more, and doubles up to 40.
- **Blocked.** Refused at once after a pause: nothing was accepted that could be measured. The rate stays; the pause
  doubles, up to 12 s or as long as the answer said. One call goes after it, the others if that is not refused.
- **Spurious refusals** come whatever the rate is. After four decreases in a row, each refused again within twenty
  calls, and for twenty calls after the schedule ran dry, a congestion is a fifth of the calls.

Who gets no start within a second comes back at a time of its own, in order, twice as often as there are starts, so
that none stays unused unless most images need no call. A batch gets a second's worth of starts or none: a single one
would hold its whole invocation. No start is nearer than an image's preparation takes, or the call would come late and
collide with the next one; a lone image has nothing to collide with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor

# Times in seconds, rates in calls a second. `python -m tests.bench.throttle` shows what changing one does.
FIRST_RATE = 2.0  # of a new deployment: two calls fit every published limit, 5 a minute among them
FASTEST = 200.0  # one DynamoDB item bears about 1,000 updates a second, and a contended one takes several
SLOWEST = 1 / 12  # the lowest limit published

PREPARATION = 0.1  # of an image before its call
AHEAD, BLOCK = 1.3, 1.0  # of now: the first start of a batch at most; and the last one of the first
AHEAD_WARY = 0.1  # of the preparation, where the next call may well be refused
STRIDE = 0.5  # of the time between two starts: how far apart those come back who wait
MAX_LINE = 900.0  # ahead that they come back in order: a limit that rises is followed within that

DOUBLES_IN, FIRST_DOUBLES_IN = 40.0, 10.0
CURVE = 1.5  # of the growth: 1 would be a line
MAX_STEP = 0.25  # by which one call ages the base, so that low rates grow by the call and not by the minute
FOUND = 1.25  # times the base that a slow start has to find to count as a new limit
MARGIN = 0.97  # lets a bucket fill a little, so that jitter alone does not empty it
OLD_CALLS = 2.0  # at the old rate, counted along in a measure
VERDICT, ALONE = 0.3, 0.6  # after a start: its refusal is back; nobody has a later start who could not know of it
MAX_PAUSE = 12.0  # at 5 calls a minute one is free by then
DRY = 1.0  # and a call missed: what went before says nothing of what comes
SOON, SUSPICIOUS, MANY = 20, 4, 0.2  # calls between two decreases, decreases in a row, share of the calls refused
RESET_TRUSTED = 90.0  # ahead that a reset time is believed: a minute's window, and some clock skew


@dataclass(frozen=True, slots=True)
class Rate:
    """The part of the throttle's item that paces: times in seconds since the epoch, rates in calls a second.

    Attributes
    ----------
    next_start, calls
        When the next call may start, and how many were started so far.
    base, age, doubles_in
        The rate after the last decrease, the seconds of the schedule since then, and how fast it grows.
    since, since_calls, refused
        Where the schedule and `calls` were at the last decrease, and how many calls were refused since.
    resumed_at, pause
        The first start after the last congestion, and for how long nothing started before it if that was to block.
    repeats
        Decreases in a row that were refused again soon.
    dry_calls
        Where `calls` was when the schedule last ran dry.
    line_end
        The time that the last of those who wait was given.
    """

    next_start: float
    per_second: float
    since: float
    slow_start: bool = True
    calls: int = 0
    base: float = 0.0
    age: float = 0.0
    doubles_in: float = FIRST_DOUBLES_IN
    since_calls: int = 0
    refused: int = 0
    resumed_at: float = 0.0
    pause: float = 0.0
    repeats: int = 0
    dry_calls: int = -SOON
    line_end: float = 0.0


@dataclass(frozen=True, slots=True)
class Start:
    """Permission for one call at `at`, the `number`-th."""

    at: float
    number: int


def fresh(now: float, *, ceiling: float = 0.0) -> Rate:
    """Return the state of a throttle that has never been asked; `ceiling` in calls a minute, 0 for none."""
    return Rate(next_start=now, per_second=min(FIRST_RATE, _fastest(ceiling)), since=now)


def acquire(
    rate: Rate, now: float, count: int, *, ceiling: float = 0.0, chance: float
) -> tuple[Rate, tuple[Start, ...], tuple[float, ...]]:
    """Grant starts for as many calls as are near, and say when each of the others comes back.

    Parameters
    ----------
    ceiling
        The operator's limit in calls a minute, 0 for none.
    chance
        A random number from 0 to 1 that spreads those who wait for one time.

    Returns
    -------
    Rate, tuple, tuple
        What the state becomes, the starts, and times to come back at (epoch seconds).
    """
    fastest = _fastest(ceiling)
    has_demand = rate.next_start >= now  # a schedule that ran dry says nothing of the limit, so nothing grows
    rate = _not_before(replace(rate, per_second=min(rate.per_second, fastest)), now + PREPARATION * (count > 1))
    is_wary = rate.slow_start or rate.pause > 0
    begins = now + PREPARATION + (AHEAD_WARY if is_wary else AHEAD)
    ends = begins if is_wary else rate.next_start + BLOCK
    starts: list[Start] = []
    while len(starts) < count and rate.next_start <= (ends if starts else begins):
        starts.append(Start(rate.next_start, rate.calls + 1))
        rate = _started(rate, fastest, grows=has_demand)
    rate, returns = _returns(rate, now, count - len(starts), chance, is_wary=is_wary)
    return rate, tuple(starts), returns


def refused(rate: Rate, start: Start, now: float, *, reset_at: float | None = None, ceiling: float = 0.0) -> Rate:
    """Return what the state becomes by a 429.

    `start` is what the call was permitted by, `reset_at` the time that the answer gave for the limit's reset, if any.
    """
    if start.number > rate.since_calls:
        rate = replace(rate, refused=rate.refused + 1)
    if start.at < rate.resumed_at:
        return rate
    reset = min(reset_at or now, now + RESET_TRUSTED)
    if start.at <= rate.resumed_at + VERDICT or rate.refused >= start.number - rate.since_calls:
        pause = min(MAX_PAUSE, max(2 * rate.pause, VERDICT, 1 / rate.per_second))
        resumed_at = max(rate.next_start, now + pause, reset)
        blocked = replace(rate, next_start=resumed_at, resumed_at=resumed_at, pause=pause)
        return replace(blocked, slow_start=False, base=rate.base or rate.per_second, age=0.0)
    needed = 2.0 if rate.slow_start and reset <= now else 1.0
    if rate.repeats >= SUSPICIOUS or (not rate.slow_start and start.number - rate.dry_calls <= SOON):
        needed = max(3.0, MANY * (start.number - rate.since_calls))
    if rate.refused >= needed:
        return _decreased(rate, start, now, reset, ceiling)
    return _not_before(rate, reset) if reset > now else rate


def release(rate: Rate, start: Start, *, ceiling: float = 0.0) -> Rate:
    """Return the state without a call that was not made: the next in line starts in its place.

    Where it is not the last start the schedule moves up by one instead, but not under a ceiling: a time that another
    one holds may so be given twice, and only a bucket has stored the call that was not made.
    """
    if start.at < rate.resumed_at:
        return rate
    spacing = 1 / rate.per_second
    is_last = start.at > rate.next_start - 1.5 * spacing
    next_start = start.at if is_last else rate.next_start - (0.0 if ceiling else spacing)
    return replace(rate, next_start=next_start, calls=rate.calls - 1)


def retry_at(rate: Rate, now: float, chance: float) -> float:
    """Return when an image whose call was refused comes back, in epoch seconds."""
    return max(now, rate.next_start - AHEAD) + chance


def _started(rate: Rate, fastest: float, *, grows: bool) -> Rate:
    """Return the state after one more start."""
    rate = replace(rate, calls=rate.calls + 1)
    spacing = 1 / rate.per_second
    if rate.pause and rate.next_start <= rate.resumed_at:
        return replace(rate, next_start=rate.next_start + max(spacing, ALONE))
    if rate.slow_start and grows:
        rate = replace(rate, per_second=min(fastest, rate.per_second + 1))
    elif grows:
        age = rate.age + min(spacing, MAX_STEP)
        per_second = min(fastest, rate.base * (1 + (age / rate.doubles_in) ** CURVE))
        rate = replace(rate, age=age, per_second=per_second)
        if age > rate.doubles_in / 2 and per_second < fastest:
            rate = replace(rate, slow_start=True, refused=0)
    return replace(rate, next_start=rate.next_start + 1 / rate.per_second, pause=0.0)


def _not_before(rate: Rate, soonest: float) -> Rate:
    """Return the state with its next start no sooner; what went by unused belongs to no measure."""
    gap = max(0.0, soonest - rate.next_start)
    resumed_at = rate.resumed_at if rate.next_start > rate.resumed_at else rate.resumed_at + gap
    dry_calls = rate.calls if gap > max(DRY, 1 / rate.per_second) else rate.dry_calls
    rate = replace(rate, resumed_at=resumed_at, dry_calls=dry_calls)
    return replace(rate, next_start=rate.next_start + gap, since=rate.since + gap)


def _returns(rate: Rate, now: float, count: int, chance: float, *, is_wary: bool) -> tuple[Rate, tuple[float, ...]]:
    """Return when those come back who got no start, and the line with them."""
    if is_wary:
        until = rate.next_start - PREPARATION - AHEAD_WARY * (1 - chance / 2)
        apart = 0.1 * max(0.0, until - now)
        return rate, tuple(until + apart * place / count for place in range(count))
    begins, stride = max(now, rate.next_start - AHEAD, rate.line_end), STRIDE / rate.per_second
    if begins > now + MAX_LINE:
        return rate, tuple(now + MAX_LINE * (1 + (place + chance) / count) / 2 for place in range(count))
    # Whole seconds apart, as queues count: whose turns are nearer come back together, and make one full invocation.
    returns = tuple(begins + floor(place * stride) for place in range(count))
    return (replace(rate, line_end=begins + count * stride) if count else rate), returns


def _decreased(rate: Rate, start: Start, now: float, reset: float, ceiling: float) -> Rate:
    """Return the state with the rate at which calls were accepted since the last decrease."""
    calls, repeats = start.number - rate.since_calls, rate.repeats
    accepted, seconds = calls - rate.refused, max(start.at - rate.since, VERDICT)
    if rate.slow_start:
        measured = max(rate.base, accepted / seconds)
    else:
        measured = (accepted + OLD_CALLS) / (seconds + OLD_CALLS / rate.base)
        repeats = min(SUSPICIOUS, repeats + 1) if calls <= SOON else max(0, repeats - 1)
    is_found = measured > FOUND * rate.base
    base = max(SLOWEST, min(MARGIN * measured, rate.per_second, _fastest(ceiling)))
    ends = max(now, rate.next_start)
    resumed_at = max(ends + 1 / base, reset)
    return Rate(
        next_start=resumed_at,
        per_second=base,
        since=max(ends, reset),
        slow_start=False,
        calls=rate.calls,
        base=base,
        doubles_in=FIRST_DOUBLES_IN if is_found else min(DOUBLES_IN, 2 * rate.doubles_in),
        since_calls=rate.calls,
        resumed_at=resumed_at,
        repeats=repeats,
        dry_calls=rate.dry_calls,
        line_end=rate.line_end,
    )


def _fastest(ceiling: float) -> float:
    return min(FASTEST, ceiling / 60) if ceiling > 0 else FASTEST
