"""The rate of the meter: when the next paid calls may start, found from what the endpoint refuses.

Pure arithmetic over one `State`, which is one DynamoDB item; the clock and the client are the caller's. Nothing here
writes. `ask`, `give_back` and `refused` look at the last known copy of the item and answer with the state that it
becomes. The caller writes that on condition that the item still has the copy's `version`, and asks again with what it
finds otherwise::

    while attempts are left:
        match pacing.ask(state, now, count, …):
            case Block() as block: write block.state where version = state.version, or read state afresh
            case Park() as park: move the line of those who wait on by park.count * park.stride
            case Wait() as wait: return wait

Whole blocks of starts are asked for, those of one invocation at once, so that few updates meet. `parked_to`, the end
of the line of those who wait, is no part of the version: many may join it at the same moment.

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
class State:
    """The part of the meter's item that paces: times in seconds since the epoch, rates in calls a second.

    Attributes
    ----------
    next_start, spacing, granted
        The schedule: when the next call may start, the seconds to the one after it, and how many were granted and not
        given back.
    step_at
        The time of the schedule at which the rate is looked at again.
    version, overloads
        How many optimistic changes there were, and how many of them were cuts.
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
    parked_to
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
    version: int = 0
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
    parked_to: float = 0.0
    suspicion: float = 0.0
    refused_number: int = 0
    strays: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission for one call at `start_at`; the rest tells what it was granted by."""

    start_at: float
    spacing: float
    number: int
    overloads: int
    is_bold: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Permission for some calls, one or more, once the item is `state`."""

    state: State
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class Park:
    """Come back in order, each at a time of its own.

    Attributes
    ----------
    count
        How many come back.
    first, far
        The earliest time that the line ends at, and the latest at which it is joined.
    stride
        Seconds from one to the next.
    """

    count: int
    first: float
    far: float
    stride: float

    def waits(self, parked_to: float) -> tuple[Wait, ...]:
        """Return who waits until when, by where the line ends after they joined it.

        Whole seconds apart, as queues count: those whose turns are nearer to one another come back together, and make
        one full invocation.
        """
        begins = parked_to - self.count * self.stride
        return tuple(Wait(begins + floor(place * self.stride)) for place in range(self.count))


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing starts now: ask again at `until`.

    Attributes
    ----------
    is_soon
        Whether nobody is before the caller in a line, so that a near start may be waited for where one is.
    """

    until: float
    is_soon: bool = False


def fresh(now: float, *, ceiling: float = 0.0) -> State:
    """Return the state of a meter that has never been asked; `ceiling` in calls a minute, 0 for none."""
    spacing = max(1 / FIRST_RATE, _least(ceiling))
    return State(
        next_start=now, spacing=spacing, step_at=now + FINDING_STEP, mark_at=now, base_at=now, lap_at=now - LAP
    )


def ask(
    state: State, now: float, count: int = 1, *, has_begun: bool = False, ceiling: float = 0.0, chance: float = 0.0
) -> Block | Park | Wait:
    """Ask for so many starts. A block may hold fewer: then ask for the rest by itself.

    Parameters
    ----------
    has_begun
        Whether going round would cost the requests of a beginning, so that a later start is worth waiting for.
    ceiling
        The operator's limit in calls a minute, 0 for none.
    chance
        A random number from 0 to 1 that spreads the callers who wait.
    """
    least = _least(ceiling)
    if state.next_start > now + _reach(state, now, has_begun)[0]:
        if state.phase in (Phase.FINDING, Phase.SHUT):
            # Spread, or all who wait would come at once.
            return Wait(state.next_start - WARY_HORIZON * (1 - chance), is_soon=True)
        return _park(state, now, count, chance)
    taken = replace(state, version=state.version + 1)
    grants: list[Grant] = []
    while len(grants) < count and (not grants or taken.next_start <= now + _reach(taken, now, has_begun)[1]):
        advance = 0.0
        if not grants and taken.next_start < now - _slack(taken.spacing, least):
            taken, advance = _restarted(taken, now, least)
        elif taken.next_start >= taken.step_at or taken.spacing < least:
            taken, advance = _stepped(taken, least)
        start, number = taken.next_start, taken.granted + 1
        is_bold = taken.phase == Phase.FINDING
        grants.append(Grant(max(now, start), taken.spacing, number, taken.overloads, is_bold))
        taken = replace(taken, next_start=start + max(advance, taken.spacing), granted=number)
    return Block(taken, tuple(grants))


def is_void(state: State, grant: Grant, now: float) -> bool:
    """Whether a grant is no longer worth using: it is later than a bucket stores, or its search has met an overload."""
    return now > grant.start_at + BURST_SECONDS or (grant.is_bold and grant.overloads < state.overloads)


def give_back(state: State, grant: Grant, *, ceiling: float = 0.0) -> State | None:
    """Return what the item becomes when a granted call is not made: the schedule moves back by its spacing.

    None where there was a cut meanwhile, since the schedule of that time is gone. A time that another one holds may so
    be granted twice, but not where an operator counts; a bucket has stored the call that was not made.
    """
    if grant.overloads < state.overloads:
        return None
    is_last = grant.start_at > state.next_start - 1.5 * grant.spacing
    back = grant.spacing if is_last or not ceiling else 0.0
    return replace(
        state,
        version=state.version + 1,
        next_start=state.next_start - back,
        granted=state.granted - 1,
        age=0.0 if state.phase == Phase.SHUT else state.age,  # the trial is still to be made
    )


def refused(
    state: State, grant: Grant, now: float, *, reset_at: float | None = None, ceiling: float = 0.0
) -> State | None:
    """Return what the item becomes by a 429, None where its overload is known already.

    Parameters
    ----------
    grant
        What the refused call was granted by.
    reset_at
        The time that the answer gave for the limit's reset, if any.
    """
    if grant.overloads < state.overloads:
        return None
    grant = replace(grant, number=min(grant.number, state.granted))  # some before it may have been given back
    until = min(reset_at, now + RESET_TRUSTED) if reset_at is not None else now
    end = max(grant.start_at, until)
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
            version=state.version + 1,
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
        version=state.version + 1,
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


def _park(state: State, now: float, count: int, chance: float) -> Park | Wait:
    """Say when to come back to those who find the schedule full."""
    longest = min(FARTHEST, max(SLOW_FARTHEST, FARTHEST_CALLS / state.spacing))
    if state.phase == Phase.CONFIRMING:
        longest = UNSURE_FARTHEST
    if state.parked_to > now + longest:
        return Wait(now + longest * (0.5 + chance / 2))
    first = max(now, state.next_start - HORIZON)
    return Park(count, first, now + longest, state.spacing * STRIDE)


def _found(state: State, grant: Grant, end: float) -> tuple[float, bool]:
    """Return the limit that refused a rate which doubled each second, and whether that is a measure or a guess."""
    full = state.base_full == 1 and state.base_at == state.mark_at
    proven = _through(grant.number - state.mark_granted, end - state.mark_at, full=full)
    guess = 1 / grant.spacing / OVERSHOOT
    return max(guess, proven), proven > guess and end - state.mark_at > TRUSTED_MEASURE


def _measured(state: State, grant: Grant, end: float) -> float:
    """Return the highest limit that fits what was accepted between two overloads, both with nothing left."""
    calls = grant.number - state.mark_granted
    measured = calls / max(end - state.mark_at, 1e-3)
    if calls > ENOUGH:
        # Calls in flight fall short of the limit between two overloads, tokens do not: believe in a little more.
        return measured + BLEND * max(0.0, min(1 / state.spacing, MOST_BLENDED * measured) - measured)
    return min(measured, _shut(state, grant, end) * (calls - CAUTION) / calls)


def _shut(state: State, grant: Grant, end: float) -> float:
    """Return the limit that fits what was accepted before everything was refused."""
    return _through(grant.number - state.base_granted, end - state.base_at, full=state.base_full == 1)


def _through(calls: int, seconds: float, *, full: bool) -> float:
    """Return the least limit that lets so many calls through in so many seconds, from a full bucket or an empty one."""
    seconds = max(seconds, 1e-3)
    if not full:
        return calls / seconds
    return min(calls / (seconds + BURST_SECONDS), max(0.0, calls - BURST_CALLS) / seconds)


def _stepped(state: State, least: float) -> tuple[State, float]:
    """Raise the rate: a burst of schedule (less while finding) went by without a gap.

    Returns
    -------
    State, float
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


def _restarted(state: State, now: float, least: float) -> tuple[State, float]:
    """Start the schedule again from now: it ran dry, and this time shows nothing of the limit.

    Returns
    -------
    State, float
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


def _reach(state: State, now: float, has_begun: bool) -> tuple[float, float]:
    """Return how many seconds ahead a block may begin, and how many its last start may be."""
    match state.phase:
        case Phase.FINDING:
            return WARY_HORIZON, HORIZON
        case Phase.SHUT:
            return WARY_HORIZON, WARY_HORIZON
        case _:
            # Who goes round is away for a second or two: where nobody else comes until then, it is waited for longer.
            begin = HORIZON if has_begun or state.parked_to <= now + NEAR else NEAR
            return begin, begin + BLOCK


def _length(state: State) -> float:
    """Return the seconds of schedule between two steps."""
    return FINDING_STEP if state.phase == Phase.FINDING else _burst(state.spacing)


def _slack(spacing: float, least: float) -> float:
    """Return how late a start may be taken up and still keep its place; not at all where an operator counts."""
    return 0.0 if least else _burst(spacing) / 2
