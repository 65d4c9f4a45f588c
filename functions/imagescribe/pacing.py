"""The rate of the meter: when the next paid call may start, found from what the endpoint refuses.

Pure arithmetic over one `State`, which is one DynamoDB item; the clock and the client are the caller's. Nothing
here writes. `ask` and `refused` look at the last known copy of the item and answer with a `Change`: the one
UpdateItem to try, as its UpdateExpression, ConditionExpression and values. It succeeds (ALL_NEW: pass the item to
`outcome`) or fails on its condition (ALL_OLD: ask again with that copy)::

    state = copy kept from this process's last update, or read once
    while attempts are left:
        match pacing.ask(state, now, ceiling=…, chance=random()):
            case Wait() as wait: return wait
            case Change() as change:
                state, done = update_item(change)          # ALL_NEW when done, ALL_OLD when not
                if done: return pacing.outcome(change, state, now)

The moves, and what each is in DynamoDB:

========  =================================================  ======================================================
move      UpdateExpression                                   ConditionExpression
========  =================================================  ======================================================
take      SET next_start = next_start + spacing,             next_start >= :oldest AND next_start <= :horizon AND
          granted = granted + :one                           next_start < step_at AND spacing >= :floor
step      the same with a new spacing, computed here         version = :version AND next_start <= :horizon
restart   the same from now, after nobody asked for a while  version = :version AND next_start < :oldest
park      SET parked_to = parked_to + :stride                parked_to >= :first AND parked_to <= :far
cut       SET spacing = :spacing, overloads = …              version = :version
========  =================================================  ======================================================

*Take* is the common one: it names no value that another caller could have changed, so callers never conflict. The
others are optimistic (`version`) and rare: a step each burst (below), a restart only when the schedule ran dry, a
cut for each overload. Everything else on the item (pause, budget, key) is left alone, and may be added to the
conditions.

How the limit is found and kept
-------------------------------
- **Burst** is the unit of time: a second, or two calls where those take longer. Limits that are counted as a token
  bucket store about that much, so nothing is lost or refused by being off for less than it.
- **Finding** (no limit known): the rate doubles each second *of the schedule*, without waiting for answers, since a
  refusal comes back in a tenth of a second. Grants are not firm then: who slept on one looks again before calling.
- **The first refusal of an overload cuts**, others of calls granted before that cut are the same overload. The new
  rate is what was accepted from the end of the overload before to this one, divided by the time between: the endpoint
  was empty-handed at both ends, so this is the limit itself, whether it counts tokens, windows or calls in flight.
- **Keeping**: from slightly under the limit the rate grows along a cubic, flat at first, through the limit after 8
  bursts, and is a quarter over it after 27. Nothing refused by then: the limit has risen, find it again.
- **Only demand raises the rate**: a step needs a schedule without gaps since the step before. Where concurrency is the
  bottleneck the schedule runs dry, which restarts the step instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum

HORIZON = 2.0  # s ahead that a start is granted: further ahead a grant is stale by the time it starts
FIRST_RATE = 1.0  # calls/s of a new deployment: the lowest published limit (5 a minute) is found with a handful of 429s
FASTEST = 200.0  # calls/s: one DynamoDB item bears about 1,000 updates a second, and a contended ask takes several
SLOWEST = 1 / 60  # calls/s: below the lowest limit published, so that a broken endpoint is still asked once a minute
BURST_SECONDS, BURST_CALLS = 1.0, 2.0  # what a token bucket of unknown size can be expected to store
DOUBLING = 1.0  # s of schedule in which the rate doubles while finding
OVERSHOOT = 2.7  # times the limit that a doubling rate reaches before a full bucket is empty: y - 1 = ln 2 (1 + log2 y)
FINDING_STEP = 0.25  # s of schedule between two steps while finding: small, so that the last one overshoots little
FLAT_AT, CUBE = 8.0, 30.0  # bursts: the cubic crosses the kept limit at the first, doubles it this much later
RISEN = 1.25  # times the kept limit without a refusal: more than a bucket could have stored by then
BACKOFF = 0.95  # a cut lowers the rate at least to this share, whatever was measured
DEEPEST = 0.5  # and at most to this one: calls in flight come and go in waves, which a short measure mistakes
ENOUGH = 64  # calls accepted between two overloads that make a measure good to 2 % by itself
BREATHER = 0.4  # s without a start after a cut: fills a bucket half, so that jitter doesn't empty it at once
LONGEST_HOLD = 12.0  # s between two tries while everything is refused: at 5 calls a minute one is free by then
IDLE = 60.0  # s without a call after which buckets are full and windows are over: measure afresh
UNCHECKED = 0.25  # s that a grant may be slept on, while finding, before it has to be looked at again
FARTHEST = 900.0  # s ahead that messages are parked in order: a limit that rises is followed within that
RESET_TRUSTED = 90.0  # s ahead that a reset time is believed: a minute's window, and some clock skew


@dataclass(frozen=True, slots=True)
class State:
    """The part of the meter's item that paces: times in seconds since the epoch, rates in calls a second."""

    next_start: float
    spacing: float
    step_at: float
    granted: int = 0
    version: int = 0
    overloads: int = 0
    finding: int = 1
    kept_rate: float = 0.0
    age: float = 0.0
    hold: float = 0.0
    # Where the last overload ended, and the start of the longer measure; `base_full`: with a full bucket.
    mark_at: float = 0.0
    mark_granted: int = 0
    base_at: float = 0.0
    base_granted: int = 0
    base_full: int = 1
    parked_to: float = 0.0


class Move(Enum):
    """What an update of the item does."""

    TAKE = "take"
    STEP = "step"
    RESTART = "restart"
    PARK = "park"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Change:
    """One UpdateItem to try."""

    move: Move
    update: str
    condition: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Grant:
    """Permission for one call at `start_at`; `firm` grants need no second look."""

    start_at: float
    spacing: float
    number: int
    overloads: int
    firm: bool


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing starts soon: ask again at `until`."""

    until: float


def fresh(now: float, ceiling: float = 0.0) -> State:
    """Return the state of a meter that has never been asked; `ceiling` in calls a minute, 0 for none."""
    spacing = max(1 / FIRST_RATE, _floor(ceiling))
    return State(next_start=now, spacing=spacing, step_at=now + FINDING_STEP, mark_at=now, base_at=now)


def to_item(state: State) -> dict[str, dict[str, str]]:
    """Return the state as DynamoDB attributes."""
    return {field.name: {"N": repr(getattr(state, field.name))} for field in fields(state)}


def from_item(item: Mapping[str, Mapping[str, str]]) -> State:
    """Read the state from DynamoDB attributes; others on the item are left alone."""
    values = {field.name: (int if field.type == "int" else float)(item[field.name]["N"]) for field in fields(State)}
    return State(**values)  # type: ignore[arg-type]  # each field is read as its own type


def ask(state: State, now: float, *, certain: bool = True, ceiling: float = 0.0, chance: float = 0.0) -> Change | Wait:
    """Return the update that asks for one start, judged by the last known copy of the item.

    Parameters
    ----------
    ceiling
        The operator's limit in calls a minute, 0 for none.
    chance
        A random number from 0 to 1 that spreads the callers who wait.
    """
    floor = _floor(ceiling)
    horizon = now + HORIZON
    oldest = now - _slack(state.spacing, floor)
    if state.next_start > horizon:
        return _park(state, now, chance)
    if certain and state.next_start < oldest:
        return _restart(state, now, oldest, floor)
    if certain and (state.next_start >= state.step_at or state.spacing < floor):
        return _step(state, horizon, floor)
    return Change(
        Move.TAKE,
        "SET next_start = next_start + spacing, granted = granted + :one",
        "next_start >= :oldest AND next_start <= :horizon AND next_start < step_at AND spacing >= :floor",
        {":one": 1, ":oldest": oldest, ":horizon": horizon, ":floor": floor},
    )


def outcome(change: Change, state: State, now: float) -> Grant | Wait:
    """Return what a change of `ask` that succeeded means; `state` is the item after it."""
    if change.move is Move.PARK:
        return Wait(state.parked_to)
    start_at = max(now, state.next_start - state.spacing)
    return Grant(start_at, state.spacing, state.granted, state.overloads, not state.finding)


def must_look_again(grant: Grant, slept: float) -> bool:
    """Tell whether the item has to be read before the granted call, after this many seconds of sleep."""
    return not grant.firm and slept > UNCHECKED


def still_good(grant: Grant, state: State) -> bool:
    """Tell whether a grant that was not firm holds: no overload since. Otherwise ask again."""
    return grant.overloads == state.overloads


def refused(
    state: State, grant: Grant, now: float, *, reset_at: float | None = None, ceiling: float = 0.0
) -> Change | None:
    """Return the update that answers a 429, None where the overload is known already.

    Parameters
    ----------
    grant
        What the refused call was granted by.
    reset_at
        The time that the answer gave for the limit's reset, if any.
    """
    if grant.overloads < state.overloads:
        return None
    until = min(reset_at, now + RESET_TRUSTED) if reset_at is not None else now
    end = max(grant.start_at, until)
    accepted = grant.number - 1 - state.mark_granted
    rate = 1 / state.spacing
    if state.finding:
        rate = _found(state, grant, end)
        hold = BREATHER
    elif accepted > 0:
        rate = max(rate * DEEPEST, min(rate * BACKOFF, _measured(state, grant, end)))
        hold = BREATHER
    else:
        hold = min(LONGEST_HOLD, 2 * max(state.hold, BREATHER))
        if hold > 3:
            rate = max(SLOWEST, min(rate, _shut(state, grant, end)))
    spacing = max(1 / rate, _floor(ceiling))
    own_base = accepted >= ENOUGH
    common: dict[str, float] = {
        "spacing": spacing,
        "kept_rate": 1 / spacing,
        "age": 0.0,
        "hold": hold,
        "finding": 0,
        "overloads": state.overloads + 1,
        "base_at": state.mark_at if own_base else state.base_at,
        "base_granted": (state.mark_granted if own_base else state.base_granted) + 1,
        "base_full": 0 if own_base else state.base_full,
    }
    if state.finding:
        # What was granted after the refused call is looked at again, found stale and asked for anew.
        common["base_granted"] += state.granted - grant.number
        start = max(now + max(hold, spacing if spacing > BURST_SECONDS else 0.0), until)
        mark = max(now, until)
    elif until > state.next_start:
        start = mark = until
    else:
        start, mark = state.next_start + hold, state.next_start
    return _optimistic(
        state,
        Move.CUT,
        next_start=start,
        step_at=start + _burst(spacing),
        mark_at=mark,
        mark_granted="granted",
        **common,
    )


def _found(state: State, grant: Grant, end: float) -> float:
    """Return the limit, in calls a second, that refused a rate which doubled each second."""
    full = state.base_full == 1 and state.base_at == state.mark_at
    proven = _through(grant.number - state.mark_granted, end - state.mark_at, full=full)
    return max(SLOWEST, 1 / grant.spacing / OVERSHOOT, proven)


def _measured(state: State, grant: Grant, end: float) -> float:
    """Return the highest limit, in calls a second, that fits what was accepted between overloads."""
    calls = grant.number - state.mark_granted
    measured = calls / max(end - state.mark_at, 1e-3)
    if calls <= ENOUGH and not state.base_full:
        measured = min(measured, (grant.number - state.base_granted) / max(end - state.base_at, 1e-3))
    return measured


def _shut(state: State, grant: Grant, end: float) -> float:
    """Return the limit, in calls a second, that fits what was accepted before everything was refused."""
    return _through(grant.number - state.base_granted, end - state.base_at, full=state.base_full == 1)


def _through(calls: int, seconds: float, *, full: bool) -> float:
    """Return the least limit that lets so many calls through in so many seconds, from a full bucket or an empty one."""
    seconds = max(seconds, 1e-3)
    if not full:
        return calls / seconds
    return min(calls / (seconds + BURST_SECONDS), max(0.0, calls - BURST_CALLS) / seconds)


def _step(state: State, horizon: float, floor: float) -> Change:
    """Raise the rate: a burst of schedule (less while finding) went by without a gap."""
    if state.finding:
        length = FINDING_STEP
        rate = 2 ** min(1.0, (state.next_start - state.step_at + length) / DOUBLING) / state.spacing
        age, finding = 0.0, 1
    else:
        length = _burst(state.spacing)
        age = state.age + (state.next_start - state.step_at + length) / length
        over = 1 + ((age - FLAT_AT) / CUBE) ** 3
        rate = state.kept_rate * over
        finding = int(over > RISEN)
    found_again: dict[str, float | str] = {}
    if finding > state.finding:
        length = FINDING_STEP
        found_again = {"finding": 1}
    change = _optimistic(
        state,
        Move.STEP,
        " AND next_start <= :horizon",
        spacing=max(1 / min(rate, FASTEST), floor),
        next_start="next_start + :spacing",
        step_at=state.next_start + length,
        granted="granted + :one",
        age=age,
        **found_again,
    )
    return replace(change, values=dict(change.values) | {":horizon": horizon})


def _restart(state: State, now: float, oldest: float, floor: float) -> Change:
    """Start the schedule again from now: nobody asked for a while, so this time shows nothing of the limit."""
    gap = now - state.next_start
    spacing = max(state.spacing, floor)
    measure: dict[str, float | str] = {"mark_at": state.mark_at + gap, "base_at": state.base_at + gap}
    if gap > IDLE:
        measure = _measure_from(now) | {"hold": 0.0, "age": 0.0}
        if not state.finding:
            spacing = max(1 / state.kept_rate, floor)
    change = _optimistic(
        state,
        Move.RESTART,
        " AND next_start < :oldest",
        spacing=spacing,
        next_start=now + spacing,
        step_at=now + (FINDING_STEP if state.finding else _burst(spacing)),
        granted="granted + :one",
        **measure,
    )
    return replace(change, values=dict(change.values) | {":oldest": oldest})


def _measure_from(start: float) -> dict[str, float | str]:
    """Begin a new measure, with the endpoint's bucket taken to be full."""
    marks: dict[str, float | str] = {"mark_at": start, "mark_granted": "granted"}
    return marks | {"base_at": start, "base_granted": "granted", "base_full": 1}


def _park(state: State, now: float, chance: float) -> Change | Wait:
    """Give each caller who finds the schedule full a time of its own to come back."""
    if state.finding:
        return Wait(now + HORIZON * (0.5 + chance / 2))
    first = max(now + HORIZON / 2, state.next_start - HORIZON / 2)
    far = now + FARTHEST
    if state.parked_to > far:
        return Wait(now + FARTHEST * (0.5 + chance / 2))
    if state.parked_to < first:
        return Change(Move.PARK, "SET parked_to = :first", "parked_to < :first", {":first": first})
    # Twice as many come back as there are starts: one that is late or lost leaves no start unused.
    return Change(
        Move.PARK,
        "SET parked_to = parked_to + :stride",
        "parked_to >= :first AND parked_to <= :far",
        {":stride": state.spacing / 2, ":first": first, ":far": far},
    )


def _optimistic(state: State, move: Move, condition: str = "", **changed: float | str) -> Change:
    """Return a change that holds only if no other optimistic one came between; a string is an expression."""
    terms = [f"{name} = {value if isinstance(value, str) else ':' + name}" for name, value in changed.items()]
    values = {f":{name}": value for name, value in changed.items() if not isinstance(value, str)}
    return Change(
        move,
        "SET " + ", ".join(terms) + ", version = version + :one",
        "version = :version" + condition,
        values | {":version": state.version, ":one": 1},
    )


def _floor(ceiling: float) -> float:
    """Return the least spacing in seconds under a ceiling in calls a minute."""
    return 60 / ceiling if ceiling > 0 else 0.0


def _burst(spacing: float) -> float:
    """Return the unit of time: a second, or two calls where those take longer."""
    return max(BURST_SECONDS, BURST_CALLS * spacing)


def _slack(spacing: float, floor: float) -> float:
    """Return how late a start may be taken up and still keep its place; none at the operator's ceiling."""
    return 0.0 if spacing <= floor else _burst(spacing) / 2
