"""The rate: when the next paid calls may start, found from what the endpoint refuses.

Pure arithmetic over one `Rate`, a part of the throttle's item; the clock, the chance and the writing are the caller's.

How the limit is found and kept
-------------------------------
- **Burst** is the unit of time: a second, or two calls where those take longer. Limits that are counted as a token
  bucket store about that much, so nothing is lost or refused by being off for less than it.
- **Finding** (no limit known): the rate doubles in less than a second *of the schedule*, without waiting for answers,
  since a refusal comes back in a tenth of a second. A block begins a quarter of a second ahead, no more, and what is
  left of it when an overload is met is void. It ends at an overload, or at the fastest rate that is allowed.
- **One cut for one overload**: those of calls that were granted before a cut belong to it.
- **Not every refusal is an overload**: the calls beside one that is are mostly refused too. While finding, and after
  two cuts in a row that didn't help, it takes two refusals side by side, or more than a third of the calls; where
  refusals are rare, the first one cuts. A share that stays whatever the rate is stray: the rate grows in spite of it.
- **Confirming**: the first estimate, from how far the doubling got, is raised slowly until the second overload. What
  was accepted between two overloads, divided by the time between, is the limit itself, since the endpoint had nothing
  left at both ends, whether it counts tokens, windows or (nearly) calls in flight.
- **Keeping**: from just under the limit the rate grows along a cubic, flat at first, through the limit after 6
  bursts (of 4 s at most), and is a quarter over it after 29. Nothing refused by then: it has risen, find it again.
- **Shut**: refused without a call accepted since the cut, as in a window that is used up: one call after another is
  tried, at most 12 s apart or when the answer said, until one is taken.
- **The line**: who finds no start near goes round, and comes back at a time of its own, in order and nearly twice as
  often as there are starts, so that none stays unused unless most images need no call. A batch comes back together, so
  that one invocation has a whole block.
- **Only demand raises the rate**: a step needs a schedule without gaps since the step before. Where concurrency is the
  bottleneck the schedule runs dry, and the rate comes down to twice the demand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from math import floor

# Times in seconds, rates in calls a second. `python -m tests.bench.pacing` shows what changing one does.
HORIZON = 2.0  # ahead that a block begins at most: further ahead a grant would be stale by the time it starts
NEAR = 1.0  # the same where others come for the start before it: less waiting is billed
WARY_HORIZON = 0.25  # the same while the next call may well be refused
BLOCK = 1.0  # from the latest begin of a block to its last start: an invocation of ten images is full at 600 a minute
FIRST_RATE = 2.0  # of a new deployment: two calls fit every published limit, 5 a minute among them
FASTEST = 200.0  # one DynamoDB item bears about 1,000 updates a second, and a contended ask takes several
SLOWEST = 1 / 12  # the lowest limit published
LONGEST_BURST = 4.0  # that the cubic counts by, so that a low rate doesn't stay for many minutes
BURST_SECONDS, BURST_CALLS = 1.0, 2.0  # what a token bucket of unknown size can be expected to store

DOUBLING = 0.7  # of schedule in which the rate doubles while finding
OVERSHOOT = 3.2  # times the limit at which such a rate is refused: 3.0 by a full bucket, 3.5 by calls in flight of 4 s
FINDING_STEP = 0.25  # of schedule between two steps while finding: small, so that the last one overshoots little
CONFIRMING_DOUBLING = 32.0  # s: slow enough that the second overload costs few refusals
GUESSED_LOW = 1.5  # times the first estimate without a second overload: it was far too low, or the limit has risen
STRAY_DOUBLING = 16.0  # the same where refusals come whatever the rate
FLAT_AT, CUBE = 6.0, 36.0  # bursts: the cubic crosses the kept limit at the first, doubles it this much later
RISEN = 1.25  # times the kept limit without a refusal: more than a bucket could have stored, were the kept rate 2 % low

BACKOFF = 0.95  # a cut lowers the rate at least to this share, whatever was measured
SHORT_BACKOFF = 0.8  # and at most to this one where the measure is short; no lower than the other for a lone refusal
TRUSTED_MEASURE = 5.0  # longer than a call takes, since calls in flight come and go in waves
ENOUGH = 64  # calls accepted between two overloads that make a measure good to 2 % by itself
CAUTION = 0.5  # calls by which a measure of fewer is lowered, for the one that may be counted at both its ends
BLEND = 0.2  # of the way from a measure to the rate refused: calls in flight fall short of their limit in between
FADING = 0.75  # of the suspicion left after each call
SUSPICIOUS, SUSPICIOUS_LATER = 1.7, 1.6  # suspicion that is an overload, while finding and after: two side by side
LEFT_SUSPICION = 0.4  # after a cut: the next refusal alone doesn't tell that it was too small
RARE = 0.001  # suspicion left after 25 calls: where refusals are so rare, the first is worth a cut
STRAYS, MANY_STRAYS = 2, 3  # refusals in a row, each soon after the one before, from which cuts seem not to help
MOST_BLENDED = 1.25  # times a measure that the rate refused is taken for in blending
BREATHER = 0.5  # bursts without a start after a cut: fills a bucket half, so that jitter doesn't empty it at once

VERDICT = 0.8  # after the start of a call by itself, in which it is made and its refusal has come back
LONGEST_HOLD = 12.0  # between two tries while everything is refused: at 5 calls a minute one is free by then
LONG_SHUT = 3.0  # without a start, from which being refused tells of the limit, not of a wave or of jitter
RESET_TRUSTED = 90.0  # ahead that a reset time is believed: a minute's window, and some clock skew

MOST_APART = 3.0  # over which those come back who wait for one try
IDLE = 60.0  # without a call after which buckets are full and windows are over: measure afresh
LAP = 4.0  # over which demand is measured: about a call, so that invocations in step don't count as more
DEMAND = 2.0  # times the demand seen that the rate may reach where the schedule ran dry
UNUSED = 0.9  # what is left, for each lap, of a rate above that
STRIDE = 0.55  # share of the spacing at which parked callers come back: more than starts, so that none stays unused
UNSURE_FARTHEST = 60.0  # ahead that callers are parked before a limit is known
SLOW_FARTHEST, FARTHEST_CALLS = 120.0, 120.0  # and after: the least, and this many seconds for a call a second
FARTHEST = 900.0  # ahead that callers are parked in order: a limit that rises is followed within that


class Phase(IntEnum):
    """How much is known of the limit."""

    FINDING = 0
    CONFIRMING = 1
    KEEPING = 2
    SHUT = 3


@dataclass(frozen=True, slots=True)
class Rate:
    """The part of the meter's item that paces: times in seconds since the epoch, rates in calls a second.

    Attributes
    ----------
    next_start, spacing, granted
        The schedule: when the next call may start, the seconds to the one after it, and how many were granted and not
        given back.
    step_at
        The time of the schedule at which the rate is looked at again.
    overloads
        How many cuts there were.
    kept_rate, age
        The limit as measured last, or while finding the demand seen; bursts of schedule since then.
    held_for
        Seconds without a start after the last cut.
    mark_at, mark_granted
        Where the last overload ended.
    base_at, base_granted, base_full
        Where a longer measure began, and whether with a full bucket.
    lap_at, lap_granted
        Where the measure of demand began.
    line_end
        The time that the last parked caller was given.
    suspicion, refused_number
        Refusals of late, each fading with the calls granted after it, and the number of the last one.
    strays
        Refusals in a row of which each came soon after the one before.
    """

    next_start: float
    spacing: float
    step_at: float
    granted: int = 0
    phase: int = 0
    overloads: int = 0
    kept_rate: float = 0.0
    age: float = 0.0
    held_for: float = 0.0
    mark_at: float = 0.0
    mark_granted: int = 0
    base_at: float = 0.0
    base_granted: int = 0
    base_full: int = 1
    lap_at: float = 0.0
    lap_granted: int = 0
    line_end: float = 0.0
    suspicion: float = 0.0
    refused_number: int = 0
    strays: int = 0

    @property
    def per_second(self) -> float:
        """The rate now, in calls a second."""
        return 1 / self.spacing


@dataclass(frozen=True, slots=True)
class Start:
    """Permission for one call at `at`; the rest tells what it was granted by."""

    at: float
    spacing: float
    number: int
    overloads: int


def fresh(now: float, *, ceiling: float = 0.0) -> Rate:
    """Return the state of a throttle that has never been asked; `ceiling` in calls a minute, 0 for none."""
    spacing = max(1 / FIRST_RATE, _least(ceiling))
    return Rate(next_start=now, spacing=spacing, step_at=now + FINDING_STEP, mark_at=now, base_at=now, lap_at=now - LAP)


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
    rate, starts = _granted(rate, now, count, ceiling)
    left = count - len(starts)
    if not left:
        return rate, starts, ()
    if rate.phase in (Phase.FINDING, Phase.SHUT):
        until = rate.next_start - WARY_HORIZON * (1 - chance)  # spread, or all who wait would come at once
        apart = min(MOST_APART, 0.1 * max(0.0, until - now))
        return rate, starts, tuple(until + apart * place / left for place in range(left))
    longest = min(FARTHEST, max(SLOW_FARTHEST, FARTHEST_CALLS / rate.spacing))
    if rate.phase == Phase.CONFIRMING:
        longest = UNSURE_FARTHEST
    if rate.line_end > now + longest:
        return rate, starts, tuple(now + longest * (0.5 + (place + chance) / left / 2) for place in range(left))
    begins, stride = max(now, rate.next_start - HORIZON, rate.line_end), rate.spacing * STRIDE
    # Whole seconds apart, as queues count: whose turns are nearer come back together, and make one full invocation.
    returns = tuple(begins + floor(place * stride) for place in range(left))
    return replace(rate, line_end=begins + left * stride), starts, returns


def retry_at(rate: Rate, now: float, chance: float) -> float:
    """Return when an image whose call was refused comes back, in epoch seconds."""
    return max(now, rate.next_start - HORIZON) + chance


def _granted(rate: Rate, now: float, count: int, ceiling: float) -> tuple[Rate, tuple[Start, ...]]:
    """Return the starts that are near enough, and the state once they are taken."""
    least = _least(ceiling)
    grants: list[Start] = []
    begins, ends = _reach(rate, now)
    if rate.next_start > now + begins:
        return rate, ()
    while len(grants) < count and (not grants or rate.next_start <= now + ends):
        advance = 0.0
        if not grants and rate.next_start < now - _slack(rate.spacing, least):
            rate, advance = _restarted(rate, now, least)
        elif rate.next_start >= rate.step_at or rate.spacing < least:
            rate, advance = _stepped(rate, least)
        start, number = rate.next_start, rate.granted + 1
        grants.append(Start(max(now, start), rate.spacing, number, rate.overloads))
        rate = replace(rate, next_start=start + max(advance, rate.spacing), granted=number)
        begins, ends = _reach(rate, now)
    return rate, tuple(grants)


def release(rate: Rate, start: Start, *, ceiling: float = 0.0) -> Rate:
    """Return the state without a call that was not made: the schedule moves back by its spacing.

    Where there was a cut meanwhile the schedule of that time is gone. A time that another one holds may so be granted
    twice, but not where an operator counts; a bucket has stored the call that was not made.
    """
    if start.overloads < rate.overloads:
        return rate
    is_last = start.at > rate.next_start - 1.5 * start.spacing
    back = start.spacing if is_last or not ceiling else 0.0
    age = 0.0 if rate.phase == Phase.SHUT else rate.age  # the trial is still to be made
    return replace(rate, next_start=rate.next_start - back, granted=rate.granted - 1, age=age)


def refused(state: Rate, grant: Start, now: float, *, reset_at: float | None = None, ceiling: float = 0.0) -> Rate:
    """Return what the state becomes by a 429: the same where its overload is known already.

    Parameters
    ----------
    grant
        What the refused call was granted by.
    reset_at
        The time that the answer gave for the limit's reset, if any.
    """
    if grant.overloads < state.overloads:
        return state
    grant = replace(grant, number=min(grant.number, state.granted))  # some before it may have been given back
    until = min(reset_at, now + RESET_TRUSTED) if reset_at is not None else now
    end = max(grant.at, until)
    accepted = grant.number - 1 - state.mark_granted
    before = state.suspicion * FADING ** max(0, grant.number - state.refused_number - 1)
    strays = 0 if before < RARE else state.strays + 1
    match state.phase:
        case Phase.FINDING:
            is_overload = 1 + before > SUSPICIOUS
        case Phase.SHUT:
            is_overload, strays = True, state.strays
        case Phase.CONFIRMING:
            is_overload = strays == 0 or 1 + before > SUSPICIOUS_LATER
        case _:
            is_overload = strays < STRAYS or 1 + before > SUSPICIOUS_LATER
    if not is_overload and until <= now:
        # So far just a stray: the calls before it were taken.
        return replace(
            state,
            mark_granted=state.mark_granted + 1,
            base_granted=state.base_granted + 1,
            suspicion=1 + before,
            refused_number=max(grant.number, state.refused_number),
            strays=strays,
        )
    rate, phase = 1 / state.spacing, Phase.KEEPING
    if state.phase == Phase.FINDING:
        rate, is_measured = _found(state, grant, end)
        phase = Phase.KEEPING if is_measured else Phase.CONFIRMING
    elif accepted > 0:
        measured = min(rate * BACKOFF, _measured(state, grant, end))
        if end - state.mark_at < TRUSTED_MEASURE:
            is_short_again = state.phase == Phase.CONFIRMING or 1 + before > SUSPICIOUS_LATER
            measured = max(measured, rate * (SHORT_BACKOFF if is_short_again else BACKOFF))
            phase = Phase.CONFIRMING
        if strays > STRAYS:
            phase = Phase.CONFIRMING
        rate = measured
    else:
        phase = Phase.SHUT
        if state.held_for >= LONG_SHUT or until > now:
            rate = min(rate, _shut(state, grant, end))
    spacing = max(1 / max(rate, SLOWEST), _least(ceiling))
    hold = min(LONGEST_HOLD, 2 * state.held_for if phase == Phase.SHUT else BREATHER * _burst(spacing))
    # While shut, the one call after the refused one was to wait for its verdict: its place is no use.
    start = max(now + hold, state.next_start) if state.phase == Phase.SHUT else max(now, state.next_start) + hold
    own_base = accepted >= ENOUGH
    return replace(
        state,
        next_start=max(start, until),
        spacing=spacing,
        step_at=max(start, until) + (0.0 if phase == Phase.SHUT else _burst(spacing)),
        phase=int(phase),
        overloads=state.overloads + 1,
        kept_rate=1 / spacing,
        age=0.0,
        held_for=hold,
        mark_at=max(start - hold, until),
        mark_granted=state.granted,
        base_at=state.mark_at if own_base else state.base_at,
        base_granted=(state.mark_granted if own_base else state.base_granted) + 1,
        base_full=0 if own_base else state.base_full,
        suspicion=LEFT_SUSPICION,
        refused_number=state.granted,
        strays=0 if state.phase == Phase.FINDING else strays,
    )


def _found(state: Rate, grant: Start, end: float) -> tuple[float, bool]:
    """Return the limit that refused a rate which doubled each second, and whether that is a measure or a guess."""
    full = state.base_full == 1 and state.base_at == state.mark_at
    proven = _through(grant.number - state.mark_granted, end - state.mark_at, full=full)
    guess = 1 / grant.spacing / OVERSHOOT
    return max(guess, proven), proven > guess and end - state.mark_at > TRUSTED_MEASURE


def _measured(state: Rate, grant: Start, end: float) -> float:
    """Return the highest limit that fits what was accepted between two overloads, both with nothing left."""
    calls = grant.number - state.mark_granted
    measured = calls / max(end - state.mark_at, 1e-3)
    if calls > ENOUGH:
        # Calls in flight fall short of the limit between two overloads, tokens do not: believe in a little more.
        return measured + BLEND * max(0.0, min(1 / state.spacing, MOST_BLENDED * measured) - measured)
    return min(measured, _shut(state, grant, end) * (calls - CAUTION) / calls)


def _shut(state: Rate, grant: Start, end: float) -> float:
    """Return the limit that fits what was accepted before everything was refused."""
    return _through(grant.number - state.base_granted, end - state.base_at, full=state.base_full == 1)


def _through(calls: int, seconds: float, *, full: bool) -> float:
    """Return the least limit that lets so many calls through in so many seconds, from a full bucket or an empty one."""
    seconds = max(seconds, 1e-3)
    if not full:
        return calls / seconds
    return min(calls / (seconds + BURST_SECONDS), max(0.0, calls - BURST_CALLS) / seconds)


def _stepped(state: Rate, least: float) -> tuple[Rate, float]:
    """Raise the rate: a burst of schedule (less while finding) went by without a gap.

    Returns
    -------
    Rate, float
        With the new rate, and how many seconds the next call keeps for itself at the least.
    """
    length = _length(state)
    passed = state.next_start - state.step_at + length
    rate, kept, age, alone = 1 / state.spacing, state.kept_rate, state.age, 0.0
    fastest = min(FASTEST, 1 / least) if least else FASTEST
    phase = Phase(state.phase)
    match phase:
        case Phase.SHUT:
            # One call by itself, and the ones after it only where its refusal is not back in time.
            alone, phase, age = (VERDICT, phase, 1.0) if age == 0 else (0.0, Phase.CONFIRMING, 0.0)
        case Phase.FINDING:
            highest = max(rate, DEMAND * state.kept_rate) if state.next_start - state.lap_at < LAP else fastest
            rate = min(highest, fastest, rate * 2 ** min(1.0, passed / DOUBLING))
            if least and rate == fastest:
                phase, kept, age = Phase.KEEPING, fastest, 0.0
        case Phase.CONFIRMING:
            rate *= 2 ** (passed / (STRAY_DOUBLING if state.strays > MANY_STRAYS else CONFIRMING_DOUBLING))
            if rate > GUESSED_LOW * kept:
                phase = Phase.FINDING
        case Phase.KEEPING:
            age += passed / min(length, LONGEST_BURST)
            rate = min(fastest, kept * (1 + ((age - FLAT_AT) / CUBE) ** 3))
            if rate > RISEN * kept:
                phase = Phase.FINDING
    stepped = replace(state, phase=int(phase), spacing=max(1 / min(rate, FASTEST), least), kept_rate=kept, age=age)
    return replace(stepped, step_at=state.next_start + (0.0 if phase == Phase.SHUT else _length(stepped))), alone


def _restarted(state: Rate, now: float, least: float) -> tuple[Rate, float]:
    """Start the schedule again from now: it ran dry, and this time shows nothing of the limit.

    Returns
    -------
    Rate, float
        As `_stepped` does.
    """
    gap = now - state.next_start
    rate, kept, age = 1 / state.spacing, state.kept_rate, state.age
    restarted = replace(state, next_start=now, mark_at=state.mark_at + gap, base_at=state.base_at + gap)
    if gap > IDLE:
        restarted = replace(
            restarted,
            mark_at=now,
            mark_granted=state.granted,
            base_at=now,
            base_granted=state.granted,
            base_full=1,
            lap_at=now - LAP,
            lap_granted=state.granted,
        )
        if state.phase != Phase.FINDING:
            rate, age = kept or rate, 0.0  # nothing is kept where the first overload came before any measure
    elif now - state.lap_at >= LAP:
        restarted = replace(restarted, lap_at=now, lap_granted=state.granted)
        if state.phase == Phase.FINDING:
            kept = max(kept, (state.granted - state.lap_granted) / (now - state.lap_at))
            rate = min(rate, max(FIRST_RATE, DEMAND * kept, rate * UNUSED))
    spacing = max(1 / rate, least)
    if state.phase == Phase.SHUT:
        return replace(restarted, spacing=spacing, kept_rate=kept, step_at=now, age=1.0), VERDICT
    # What was given back has raised the rate already: it is made up for before the next step.
    step_at = now + max(_length(state), state.step_at - state.next_start)
    return replace(restarted, spacing=spacing, kept_rate=kept, step_at=step_at, age=age), 0.0


def _least(ceiling: float) -> float:
    """Return the least spacing in seconds under a ceiling in calls a minute."""
    return 60 / ceiling if ceiling > 0 else 0.0


def _burst(spacing: float) -> float:
    """Return the unit of time: a second, or two calls where those take longer."""
    return max(BURST_SECONDS, BURST_CALLS * spacing)


def _reach(rate: Rate, now: float) -> tuple[float, float]:
    """Return how many seconds ahead the first start of a batch may be, and how many the last one."""
    if rate.phase in (Phase.FINDING, Phase.SHUT):
        return WARY_HORIZON, WARY_HORIZON
    # Who goes round is away for a second or two: where nobody else comes until then, it is waited for longer.
    begins = HORIZON if rate.line_end <= now + NEAR else NEAR
    return begins, begins + BLOCK


def _length(state: Rate) -> float:
    """Return the seconds of schedule between two steps."""
    return FINDING_STEP if state.phase == Phase.FINDING else _burst(state.spacing)


def _slack(spacing: float, least: float) -> float:
    """Return how late a start may be taken up and still keep its place; not at all where an operator counts."""
    return 0.0 if least else _burst(spacing) / 2
