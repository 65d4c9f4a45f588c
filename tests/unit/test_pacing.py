"""The rate is found from refusals alone, one limit holds for all callers, and who waits knows for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imagescribe import pacing
from imagescribe.pacing import Block, Grant, Park, Phase, State, Wait
from tests.bench.pacing.candidates import Chosen, Item
from tests.bench.pacing.scenarios import Figures, Kind, Scenario, run

NOW = 1_795_000_000.0
FARTHEST_START = pacing.HORIZON + pacing.BLOCK + 1e-5
CLOSE = 1e-5  # s: a float of such a time is good to less than a microsecond

ceilings = st.sampled_from([0.0, 5.0, 30.0, 600.0, 3000.0])
gaps = st.lists(st.floats(0.0, 3.0), min_size=5, max_size=120)
batches = st.integers(1, 12)
rates = st.floats(pacing.SLOWEST, 5.0) | st.floats(5.0, pacing.FASTEST)


def asked_for(
    item: Item,
    now: float,
    count: int,
    *,
    has_begun: bool = False,
    ceiling: float = 0.0,
    known: State | None = None,
) -> Sequence[Grant | Wait]:
    """Ask as a caller does: by a copy that may be old, then by what is there, until each has an answer."""
    copy = known or item.state
    answers: list[Grant | Wait] = []
    for _ in range(2 * count + 8):
        left = count - len(answers)
        if not left:
            return answers
        match pacing.ask(copy, now, left, has_begun=has_begun, ceiling=ceiling):
            case Wait() as wait:
                answers += [wait] * left
            case Park() as park:
                answers += item.park(park) or ()
            case Block() as block if item.replace(copy, block.state):
                answers += block.grants
        copy = item.state
    raise AssertionError("no end to the attempts")


def asked(item: Item, now: float, *, ceiling: float = 0.0, known: State | None = None) -> Grant | Wait:
    return asked_for(item, now, 1, ceiling=ceiling, known=known)[0]


def granted(answers: Sequence[Grant | Wait]) -> list[Grant]:
    return [answer for answer in answers if isinstance(answer, Grant)]


def granted_one(item: Item, now: float) -> Grant:
    answer = asked(item, now)
    assert isinstance(answer, Grant)
    return answer


def refuse(item: Item, grant: Grant, now: float, *, reset_at: float | None = None, ceiling: float = 0.0) -> bool:
    cut = pacing.refused(item.state, grant, now, reset_at=reset_at, ceiling=ceiling)
    return cut is not None and item.replace(item.state, cut)


def keeping(rate: float, **changed: Any) -> State:
    """Return a state that has known a limit for long and is idle since."""
    fresh = pacing.fresh(NOW - 3600)
    kept = replace(fresh, spacing=1 / rate, phase=int(Phase.KEEPING), kept_rate=rate, overloads=3, held_for=0.5)
    return replace(kept, **changed)


def full(rate: float, **changed: Any) -> State:
    """Return a state whose schedule has no start left near enough to be granted."""
    return keeping(rate, next_start=NOW + pacing.HORIZON + 0.5, **changed)


def grants_over(item: Item, seconds: float, every: float = 0.01, count: int = 1) -> list[Grant]:
    return [
        grant for tick in range(int(seconds / every)) for grant in granted(asked_for(item, NOW + tick * every, count))
    ]


@st.composite
def states(draw: st.DrawFn, phases: Sequence[Phase] = tuple(Phase)) -> State:
    """States of which a start can be had, whatever came before."""
    rate = draw(st.floats(pacing.SLOWEST, pacing.FASTEST / 2))
    phase = draw(st.sampled_from(phases))
    next_start = NOW + draw(st.floats(-90.0, pacing.WARY_HORIZON))
    return keeping(
        rate,
        phase=int(phase),
        next_start=next_start,
        step_at=next_start + draw(st.floats(0.0, 1.0)),
        kept_rate=rate * draw(st.floats(0.7, 1.0)),
        age=draw(st.floats(0.0, 40.0)) if phase is not Phase.SHUT else draw(st.sampled_from([0.0, 1.0])),
        lap_at=next_start - draw(st.floats(0.0, 10.0)),
        granted=draw(st.integers(0, 1000)),
    )


@given(
    ceiling=ceilings.filter(bool),
    waits=gaps,
    asks=st.integers(1, 4),
    batch=batches,
    refusals=st.sets(st.integers(0, 300)),
)
def test_no_minute_has_more_starts_than_the_operator_allows(
    ceiling: float, waits: list[float], asks: int, batch: int, refusals: set[int]
) -> None:
    item, now = Item(pacing.fresh(NOW, ceiling=ceiling)), NOW
    starts: list[float] = []
    for wait in waits:
        now += wait
        for _ in range(asks):
            for grant in granted(asked_for(item, now, batch, ceiling=ceiling)):
                starts.append(grant.start_at)
                if len(starts) in refusals:
                    refuse(item, grant, now, ceiling=ceiling)
    starts.sort()
    assert all(later - start >= 60 / ceiling - CLOSE for start, later in pairwise(starts))


@given(waits=gaps, asks=st.integers(1, 8), batch=batches, refusals=st.sets(st.integers(0, 300)), ceiling=ceilings)
def test_no_start_is_granted_further_ahead_than_a_block_after_the_horizon(
    waits: list[float], asks: int, batch: int, refusals: set[int], ceiling: float
) -> None:
    item, now, number = Item(pacing.fresh(NOW, ceiling=ceiling)), NOW, 0
    for wait in waits:
        now += wait
        for _ in range(asks):
            for answer in asked_for(item, now, batch, ceiling=ceiling):
                if isinstance(answer, Wait):
                    assert answer.until >= now
                    continue
                assert now <= answer.start_at <= now + FARTHEST_START
                number += 1
                if number in refusals:
                    refuse(item, answer, now, ceiling=ceiling)
        assert 1 / pacing.FASTEST - 1e-9 <= item.state.spacing <= 1 / pacing.SLOWEST + 1e-9


@given(state=states(), count=st.integers(1, 40), ceiling=ceilings)
def test_a_block_never_holds_more_than_asked_and_its_starts_are_in_order(
    state: State, count: int, ceiling: float
) -> None:
    block = pacing.ask(state, NOW, count, ceiling=ceiling)
    assert isinstance(block, Block)
    assert 1 <= len(block.grants) <= count
    assert [grant.number for grant in block.grants] == [state.granted + 1 + at for at in range(len(block.grants))]
    assert block.state.granted == block.grants[-1].number
    least = 60 / ceiling if ceiling else 0.0
    starts = [grant.start_at for grant in block.grants]
    assert all(later - start >= least - CLOSE for start, later in pairwise(starts))
    assert not ceiling or block.state.next_start - starts[-1] >= least - CLOSE


@given(state=states(), count=st.integers(1, 40), ceiling=ceilings)
def test_asking_for_many_at_once_gives_the_starts_of_asking_in_a_row(state: State, count: int, ceiling: float) -> None:
    block = pacing.ask(state, NOW, count, ceiling=ceiling)
    assert isinstance(block, Block)
    in_a_row: list[Grant] = []
    after = state
    while len(in_a_row) < len(block.grants):
        one = pacing.ask(after, NOW, ceiling=ceiling)
        if not isinstance(one, Block):
            break
        in_a_row += one.grants
        after = one.state
    # By itself, a start that may well be refused is not granted as far ahead as the last of a block.
    beyond = block.grants[len(in_a_row) :]
    assert list(block.grants[: len(in_a_row)]) == in_a_row
    assert all(grant.start_at > NOW + pacing.WARY_HORIZON for grant in beyond)
    assert beyond or replace(after, version=0) == replace(block.state, version=0)
    if len(block.grants) < count:
        phases = (Phase.CONFIRMING, Phase.KEEPING)
        ahead = pacing.HORIZON + pacing.BLOCK if block.state.phase in phases else pacing.WARY_HORIZON
        assert block.state.next_start > NOW + ahead


@given(ages=st.lists(st.tuples(st.floats(0.0, 120.0), batches), min_size=1, max_size=40))
def test_an_old_copy_of_the_item_never_grants_what_the_item_does_not_allow(ages: list[tuple[float, int]]) -> None:
    item = Item(pacing.fresh(NOW))
    copies, now = [item.state], NOW
    for age, count in ages:
        now, before = now + age / 20, item.state.granted
        grants = granted(asked_for(item, now, count, known=copies[int(age) % len(copies)]))
        copies.append(item.state)
        assert [grant.number for grant in grants] == list(range(before + 1, item.state.granted + 1))
        assert all(now <= grant.start_at <= now + FARTHEST_START for grant in grants)


def test_whose_copy_was_overtaken_cannot_write() -> None:
    item = Item(keeping(10))
    copy = item.state
    first, second = pacing.ask(copy, NOW, 3), pacing.ask(copy, NOW, 5)
    assert isinstance(first, Block)
    assert isinstance(second, Block)
    assert item.replace(copy, first.state)
    assert not item.replace(copy, second.state)
    assert not item.replace(copy, first.state)  # nor once more, as after a lost answer
    assert item.state == first.state


def test_a_cut_is_not_undone_by_who_asked_before_it() -> None:
    item = Item(keeping(10))
    grant = granted_one(item, NOW)
    copy = item.state
    late = pacing.ask(copy, NOW + 0.1, 5)
    assert isinstance(late, Block)
    assert refuse(item, grant, NOW + 0.1)
    after = item.state
    assert not item.replace(copy, late.state)
    assert item.state == after


@pytest.mark.parametrize("phase", [Phase.FINDING, Phase.KEEPING])
def test_a_stray_refusal_overtakes_old_copies_as_a_cut_does(phase: Phase) -> None:
    item = Item(keeping(10, phase=int(phase), strays=pacing.STRAYS, suspicion=0.5))
    grant = granted_one(item, NOW)
    copy = item.state
    block = pacing.ask(copy, NOW, 5)
    assert isinstance(block, Block)
    assert refuse(item, grant, NOW + 0.1)
    assert item.state.overloads == copy.overloads
    assert not item.replace(copy, block.state)


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["look", "look", "write", "write", "refuse"]), st.integers(0, 3), batches),
        max_size=120,
    ),
    pause=st.floats(0.0, 0.5),
)
def test_no_start_is_granted_twice_in_any_order_of_looks_writes_and_retries(
    steps: list[tuple[str, int, int]], pause: float
) -> None:
    item, now = Item(pacing.fresh(NOW)), NOW
    held: dict[int, tuple[State, Block]] = {}
    grants: list[Grant] = []
    for step, caller, count in steps:
        now += pause
        match step:
            case "look":
                if isinstance(block := pacing.ask(item.state, now, count), Block):
                    held[caller] = item.state, block
            case "refuse" if grants:
                refuse(item, grants[-count % len(grants)], now)
            case "write" if caller in held:
                # What is written stays held, so that it is written once more as after a lost answer.
                copy, block = held[caller]
                if item.replace(copy, block.state):
                    grants += block.grants
    assert [grant.number for grant in grants] == list(range(1, item.state.granted + 1))


@given(later=st.integers(1, 30), rate=st.floats(0.1, 50.0))
def test_calls_refused_side_by_side_make_one_cut(later: int, rate: float) -> None:
    item = Item(keeping(rate))
    first = granted_one(item, NOW)
    together = [replace(first, number=first.number + extra) for extra in range(later)]
    assert refuse(item, first, NOW + 0.1)
    after = item.state
    assert not any(refuse(item, grant, NOW + 0.2) for grant in together)
    assert item.state == after
    assert after.overloads == 4


def test_two_that_cut_at_once_cut_once() -> None:
    item = Item(keeping(10))
    grant = granted_one(item, NOW)
    copy = item.state
    cuts = [pacing.refused(copy, grant, NOW + 0.1) for _ in range(2)]
    assert [item.replace(copy, cut) for cut in cuts if cut] == [True, False]
    assert item.state.overloads == 4


@given(demand=st.floats(0.5, 20.0))
@settings(max_examples=15)
def test_the_rate_stays_near_the_demand_where_concurrency_is_the_bottleneck(demand: float) -> None:
    item, now = Item(pacing.fresh(NOW)), NOW
    while now < NOW + 300:
        now += 1 / demand
        asked(item, now)
    assert 1 / item.state.spacing <= max(pacing.FIRST_RATE * 2, 3 * demand)


def test_a_kept_rate_does_not_grow_without_demand() -> None:
    item = Item(keeping(10))
    for second in range(600):
        asked(item, NOW + second)
    assert 1 / item.state.spacing <= 10


@pytest.mark.parametrize("batch", [1, 10])
def test_demand_alone_doubles_the_rate_of_a_new_deployment_within_a_second(batch: int) -> None:
    starts = [grant.start_at - NOW for grant in grants_over(Item(pacing.fresh(NOW)), 4, count=batch)]
    assert sum(start < 1 for start in starts) <= 5
    assert sum(3 <= start < 4 for start in starts) >= 3 * sum(1 <= start < 2 for start in starts)


@pytest.mark.parametrize("batch", [1, 10])
def test_a_limit_is_remembered_over_idle_hours(batch: int) -> None:
    item = Item(keeping(10, spacing=1 / 12, age=24.0))
    starts = [grant.start_at - NOW for grant in grants_over(item, 10, count=batch)]
    assert 0.95 * 80 <= sum(start <= 8 for start in starts) <= 1.02 * 80 + 1


def test_a_limit_that_has_risen_is_found_again() -> None:
    item = Item(keeping(5))
    grants_over(item, 32)
    assert item.state.phase == Phase.FINDING
    assert 1 / item.state.spacing > 10


def test_a_reset_time_holds_everyone_until_then() -> None:
    item = Item(keeping(10))
    grant = granted_one(item, NOW)
    assert refuse(item, grant, NOW + 0.1, reset_at=NOW + 40)
    for early in asked_for(item, NOW + 5, 10):
        assert isinstance(early, Wait)
        assert early.until <= NOW + 40
    assert granted_one(item, NOW + 40.1).start_at >= NOW + 40


def test_a_reset_time_out_of_reason_is_not_believed() -> None:
    item = Item(keeping(10))
    refuse(item, granted_one(item, NOW), NOW + 0.1, reset_at=NOW + 1_000_000)
    assert item.state.next_start <= NOW + 0.1 + pacing.RESET_TRUSTED


@pytest.mark.parametrize("batch", [1, 10])
def test_while_all_is_refused_one_call_goes_at_a_time_and_ever_less_often(batch: int) -> None:
    item, now = Item(keeping(10)), NOW
    tried: list[float] = []
    while now < NOW + 60:
        grants = granted(asked_for(item, now, batch))
        tried += [grant.start_at for grant in grants]
        for grant in grants:
            refuse(item, grant, grant.start_at + 0.1)
        now += 0.05
    # The first invocation has a whole block: its limit was known.
    tried = tried[batch - 1 :]
    waits = [later - start for start, later in pairwise(tried)]
    assert len(tried) <= 12
    assert max(waits) <= pacing.LONGEST_HOLD + 1
    assert len(granted(asked_for(item, now + 20, batch))) == 1
    assert isinstance(asked(item, now + 20.01), Wait)


def test_after_a_call_is_taken_again_the_others_follow() -> None:
    item = Item(keeping(10))
    for moment in (0.0, 1.0):
        refuse(item, granted_one(item, NOW + moment), NOW + moment + 0.1)
    assert item.state.phase == Phase.SHUT
    starts = [grant.start_at for grant in grants_over(item, 6)]
    assert starts[1] - starts[0] >= pacing.VERDICT - CLOSE
    assert item.state.phase == Phase.CONFIRMING
    assert len(starts) > 20


def test_who_finds_the_schedule_full_is_given_a_time_of_its_own() -> None:
    item = Item(keeping(10))
    waits = [answer for _ in range(100) if isinstance(answer := asked(item, NOW), Wait)]
    assert len({wait.until for wait in waits}) == len(waits) >= 75
    assert waits[-1].until - waits[0].until == pytest.approx((len(waits) - 1) * 0.1 * pacing.STRIDE, abs=0.05)


@given(rate=rates, sizes=st.lists(st.integers(1, 10), min_size=2, max_size=30))
def test_batches_that_park_come_back_whole_seconds_apart_and_after_those_before(rate: float, sizes: list[int]) -> None:
    item, turns = Item(full(rate)), [NOW - 1]
    for count in sizes:
        park = pacing.ask(item.state, NOW, count)
        if isinstance(park, Wait):
            break  # the line is as long as it may be
        assert isinstance(park, Park)
        waits = [wait.until for wait in item.park(park) or ()]
        assert len(waits) == count
        assert waits[0] > NOW
        assert waits[0] > turns[-1]  # not even the last of one batch and the first of the next share a turn
        for at, turn in enumerate(waits):
            seconds = turn - waits[0]
            assert seconds == pytest.approx(round(seconds), abs=CLOSE)
            assert at * park.stride - 1 - CLOSE <= seconds <= at * park.stride + CLOSE
        assert waits == sorted(waits)
        assert waits[-1] <= item.state.parked_to + CLOSE
        turns = waits
    assert turns[0] > NOW


def test_those_who_park_at_the_same_moment_by_one_copy_get_turns_of_their_own() -> None:
    item = Item(full(10))
    parks = [pacing.ask(item.state, NOW, 10) for _ in range(3)]
    batches = [item.park(park) for park in parks if isinstance(park, Park)]
    turns = [{wait.until for wait in batch or ()} for batch in batches]
    assert all(turns)
    assert len(set.union(*turns)) == sum(len(turn) for turn in turns)


def test_a_block_that_is_written_leaves_the_line_of_who_waits_as_it_is() -> None:
    item = Item(keeping(10))
    copy = item.state
    block, parking = pacing.ask(copy, NOW, 5), pacing.ask(full(10), NOW, 5)
    assert isinstance(block, Block)
    assert isinstance(parking, Park)
    assert item.park(parking)
    line = item.state.parked_to
    assert item.replace(copy, block.state)
    assert item.state.parked_to == line > NOW


@given(
    rate=rates,
    line=st.floats(0.0, 3000.0),
    count=st.integers(1, 10),
    chance=st.floats(0.0, 1.0),
    phase=st.sampled_from([Phase.CONFIRMING, Phase.KEEPING]),
)
def test_nobody_parks_beyond_the_farthest(rate: float, line: float, count: int, chance: float, phase: Phase) -> None:
    farthest = pacing.UNSURE_FARTHEST if phase is Phase.CONFIRMING else pacing.FARTHEST
    item = Item(full(rate, phase=int(phase), parked_to=NOW + line))
    away = pacing.ask(item.state, NOW, count, chance=chance)
    if isinstance(away, Park):
        waits = item.park(away)
        assert waits
        assert NOW < waits[0].until <= NOW + farthest + CLOSE
        # Who joined last in time may bring its batch.
        assert waits[-1].until <= NOW + farthest + count * away.stride + CLOSE
    else:
        assert line > 0
        assert isinstance(away, Wait)
        assert NOW < away.until <= NOW + farthest + CLOSE


def test_who_knew_a_shorter_line_cannot_join_it_beyond_the_farthest() -> None:
    old = pacing.ask(full(10), NOW, 10)
    item = Item(full(10, parked_to=NOW + pacing.FARTHEST + 1))
    assert isinstance(old, Park)
    assert item.park(old) is None
    assert item.state.parked_to == NOW + pacing.FARTHEST + 1


@given(ahead=st.floats(-3600.0, 60.0), count=batches)
def test_while_the_limit_is_being_found_nobody_lines_up(ahead: float, count: int) -> None:
    state = keeping(10, phase=int(Phase.FINDING), next_start=NOW + ahead, parked_to=NOW + 30)
    asked = pacing.ask(state, NOW, count)
    assert isinstance(asked, Block) or (isinstance(asked, Wait) and asked.is_soon)


@pytest.mark.parametrize("phase", [Phase.CONFIRMING, Phase.KEEPING])
@pytest.mark.parametrize("ahead", [-3600.0, -1.0, 0.0, 0.4])
def test_all_of_an_invocation_have_a_start_where_the_schedule_is_free(phase: Phase, ahead: float) -> None:
    state = keeping(10, phase=int(phase), next_start=NOW + ahead, step_at=NOW + ahead)
    assert len(granted(asked_for(Item(state), NOW, 10))) == 10


@given(
    rate=rates,
    phase=st.sampled_from([Phase.CONFIRMING, Phase.KEEPING]),
    ahead=st.floats(pacing.NEAR + 0.01, pacing.HORIZON),
    count=batches,
)
def test_a_start_that_is_not_near_is_for_those_who_have_begun(
    rate: float, phase: Phase, ahead: float, count: int
) -> None:
    state = keeping(rate, phase=int(phase), next_start=NOW + ahead, parked_to=NOW + 30)
    away = pacing.ask(state, NOW, count)
    assert isinstance(away, Park)
    assert away.count == count
    assert isinstance(pacing.ask(state, NOW, count, has_begun=True), Block)
    assert isinstance(pacing.ask(replace(state, parked_to=NOW), NOW, count), Block), "nobody comes before it"


def test_a_batch_has_one_block_wherever_it_begins() -> None:
    for ahead in (0.0, 0.9, 1.9):
        state = keeping(10, next_start=NOW + ahead, step_at=NOW + 60)
        block = pacing.ask(state, NOW, 10)
        assert isinstance(block, Block)
        assert len(block.grants) == 10


@given(rate=rates, phase=st.sampled_from(Phase), ahead=st.floats(pacing.HORIZON + 0.01, 60.0), count=batches)
def test_nobody_is_granted_a_start_beyond_the_horizon(rate: float, phase: Phase, ahead: float, count: int) -> None:
    state = keeping(rate, phase=int(phase), next_start=NOW + ahead)
    assert not isinstance(pacing.ask(state, NOW, count, has_begun=True), Block)


def test_at_a_call_a_second_three_of_ten_begin() -> None:
    assert len(granted(asked_for(Item(keeping(1)), NOW, 10))) == 3


def test_who_finds_the_line_too_long_waits_without_joining_it() -> None:
    state = full(0.1, parked_to=NOW + 2 * pacing.FARTHEST)
    away = pacing.ask(state, NOW, 10)
    assert isinstance(away, Wait)
    assert NOW < away.until <= NOW + pacing.FARTHEST


@given(ahead=st.floats(-3600.0, 12.0), count=batches, rate=st.floats(0.1, 50.0))
def test_while_all_is_refused_at_most_one_begins(ahead: float, count: int, rate: float) -> None:
    item = Item(keeping(rate, phase=int(Phase.SHUT), next_start=NOW + ahead, step_at=NOW + ahead))
    answers = asked_for(item, NOW, count)
    assert len(granted(answers)) == (ahead <= pacing.WARY_HORIZON)


@pytest.mark.parametrize(
    ("rate", "phase", "ahead"),
    [(1.0, Phase.KEEPING, -3600.0), (1.0, Phase.KEEPING, 0.4), (1.0, Phase.CONFIRMING, 0.0), (10.0, Phase.SHUT, -60.0)],
)
def test_who_has_no_start_comes_back_later_than_now(rate: float, phase: Phase, ahead: float) -> None:
    item = Item(keeping(rate, phase=int(phase), next_start=NOW + ahead, step_at=NOW + ahead))
    waits = [answer for answer in asked_for(item, NOW, 10) if isinstance(answer, Wait)]
    assert waits
    assert all(wait.until > NOW for wait in waits)


# ── Starts that are given back ───────────────────────────────────────────────────────────────────────────────────────


def give_back(item: Item, *grants: Grant) -> None:
    for grant in grants:
        becomes = pacing.give_back(item.state, grant)
        assert becomes
        assert item.replace(item.state, becomes)


@given(state=states([Phase.CONFIRMING, Phase.KEEPING, Phase.FINDING]), count=st.integers(1, 12), data=st.data())
def test_who_gives_starts_back_moves_the_schedule_back_by_them(state: State, count: int, data: st.DataObject) -> None:
    item = Item(state)
    grants = granted(asked_for(item, NOW, count))
    unused = data.draw(st.permutations(grants))[: data.draw(st.integers(1, len(grants)))]
    after, next_start = item.state, item.state.next_start
    give_back(item, *unused)
    assert item.state.granted == after.granted - len(unused)
    assert next_start - item.state.next_start == pytest.approx(sum(grant.spacing for grant in unused), abs=CLOSE)


def test_a_start_of_before_a_cut_is_not_there_for_others() -> None:
    item = Item(keeping(10))
    grants = granted(asked_for(item, NOW, 10))
    assert refuse(item, grants[0], NOW + 0.1)
    assert pacing.give_back(item.state, grants[9]) is None


def test_whoever_asks_for_what_it_does_not_need_keeps_nobody_from_the_limit() -> None:
    item, calls = Item(keeping(10)), 0
    for tick in range(100):
        grants = granted(asked_for(item, NOW + tick / 10, 3))
        give_back(item, *grants[1:])
        calls += len(grants[:1])
    assert calls >= 0.95 * 100


def test_a_limit_that_has_risen_is_found_though_half_the_starts_are_given_back() -> None:
    item = Item(keeping(5))
    for tick in range(600):
        give_back(item, *granted(asked_for(item, NOW + tick / 10, 4))[::2])
    assert 1 / item.state.spacing > 10


@pytest.mark.parametrize("phase", [Phase.KEEPING, Phase.CONFIRMING])
@pytest.mark.parametrize(("count", "every"), [(3, 0.1), (20, 0.5)])
def test_whoever_asks_for_what_it_does_not_need_does_not_raise_the_rate(count: int, every: float, phase: Phase) -> None:
    item = Item(keeping(10, phase=int(phase)))
    for tick in range(600):
        give_back(item, *granted(asked_for(item, NOW + tick * every, count)))
    assert 1 / item.state.spacing <= 10.5


def test_a_trial_that_is_given_back_does_not_let_the_others_in() -> None:
    item = Item(keeping(10, phase=int(Phase.SHUT), next_start=NOW, step_at=NOW))
    for second in range(5):
        [trial] = granted(asked_for(item, NOW + second, 10))
        give_back(item, trial)
    assert item.state.phase == Phase.SHUT


def test_calls_that_were_not_made_do_not_count_as_taken() -> None:
    item = Item(keeping(10, mark_at=NOW))
    grants = granted(asked_for(item, NOW, 10))
    give_back(item, *grants[:9])
    assert refuse(item, grants[9], NOW + 1)
    assert item.state.phase == Phase.SHUT


@given(waits=gaps, batch=st.integers(2, 10), data=st.data())
def test_no_minute_has_more_starts_than_the_operator_allows_though_some_are_given_back(
    waits: list[float], batch: int, data: st.DataObject
) -> None:
    item, now = Item(pacing.fresh(NOW, ceiling=60)), NOW
    starts: list[float] = []
    for wait in waits:
        now += wait
        for grant in granted(asked_for(item, now, batch, ceiling=60)):
            if data.draw(st.booleans()):
                becomes = pacing.give_back(item.state, grant, ceiling=60)
                assert becomes
                assert item.replace(item.state, becomes)
            else:
                starts.append(grant.start_at)
    starts.sort()
    assert all(later - start >= 1 - CLOSE for start, later in pairwise(starts))


def test_a_start_that_is_past_is_void() -> None:
    item = Item(keeping(10))
    grant = granted_one(item, NOW)
    assert not pacing.is_void(item.state, grant, NOW + 0.9)
    assert pacing.is_void(item.state, grant, NOW + 1.1)


def test_starts_of_a_search_are_void_once_it_has_met_an_overload() -> None:
    item = Item(pacing.fresh(NOW))
    grants = grants_over(item, 2)
    assert not any(pacing.is_void(item.state, grant, NOW) for grant in grants)
    assert refuse(item, grants[-2], NOW + 2)
    assert not any(pacing.is_void(item.state, grant, NOW) for grant in grants), "one refusal may be a stray"
    assert refuse(item, grants[-1], NOW + 2)
    assert all(pacing.is_void(item.state, grant, NOW) for grant in grants)
    assert not pacing.is_void(item.state, granted_one(item, NOW + 5), NOW)


@pytest.mark.parametrize("phase", [Phase.CONFIRMING, Phase.KEEPING])
def test_starts_at_a_known_rate_are_worth_using_after_an_overload(phase: Phase) -> None:
    item = Item(keeping(10, phase=int(phase), kept_rate=10.0))
    grants = granted(asked_for(item, NOW, 10))
    assert refuse(item, grants[0], NOW + 0.1)
    assert item.state.overloads == 4
    assert not any(pacing.is_void(item.state, grant, NOW) for grant in grants)


def test_in_a_block_that_goes_over_to_searching_only_what_was_searched_is_void() -> None:
    # Just under the age at which a rate has proven to be too low, so that the block goes on from there.
    item = Item(keeping(10, spacing=0.082, next_start=NOW, step_at=NOW + 0.5, age=28.2))
    grants = granted(asked_for(item, NOW, 15))
    bold = [grant.is_bold for grant in grants]
    assert bold == sorted(bold)
    assert set(bold) == {False, True}
    assert refuse(item, grants[-1], NOW + 1)
    assert refuse(item, replace(grants[-1], number=grants[-1].number + 1), NOW + 1)
    assert [pacing.is_void(item.state, grant, NOW) for grant in grants] == bold


def test_the_common_case_is_one_update() -> None:
    item = Item(keeping(10))
    copy = item.state
    grants = [asked(item, NOW + tick / 10, known=copy if tick == 0 else item.state) for tick in range(200)]
    assert all(isinstance(grant, Grant) for grant in grants)
    assert item.writes == len(grants)


def test_an_invocation_full_of_images_is_one_update() -> None:
    item = Item(keeping(10))
    grants = [grant for second in range(30) for grant in granted(asked_for(item, NOW + second, 8))]
    assert len(grants) == 30 * 8
    assert item.writes == 30


@given(refusals=st.lists(st.floats(0.0, 8.0), max_size=12), ahead=st.integers(1, 60), batch=batches)
@settings(max_examples=40)
def test_whatever_was_refused_before_the_rate_recovers_within_two_minutes(
    refusals: list[float], ahead: int, batch: int
) -> None:
    item, now = Item(pacing.fresh(NOW)), NOW
    for wait in refusals:
        now += wait
        answer = asked(item, now)
        if isinstance(answer, Grant):
            now = answer.start_at + 0.1
            refuse(item, answer, now)
    for _ in range(ahead):
        for answer in asked_for(item, now, batch):
            assert isinstance(answer, Grant) or answer.until <= now + pacing.FARTHEST
    number, end = item.state.granted, now + 120
    while now < end:
        now += 0.05
        asked(item, now)
    assert 1 / item.state.spacing >= 5
    assert item.state.granted - number >= 100


def test_a_refusal_between_calls_that_are_taken_does_not_end_the_search() -> None:
    item = Item(pacing.fresh(NOW))
    grants = grants_over(item, 2)
    assert refuse(item, grants[-1], NOW + 2)
    after = item.state
    assert (after.phase, after.overloads, after.suspicion) == (Phase.FINDING, 0, 1)
    assert refuse(item, replace(grants[-1], number=grants[-1].number + 1), NOW + 2.1)
    assert item.state.overloads == 1


@cache
def under_a_ceiling() -> Figures:
    return run(Scenario(Kind.BUCKET, 600, 600), lambda: Chosen(ceiling=300), seed=1)


def test_the_search_ends_at_the_operators_ceiling_so_that_others_line_up_behind_it() -> None:
    item = Item(pacing.fresh(NOW, ceiling=300))
    for tick in range(100):
        asked_for(item, NOW + tick / 10, 10, ceiling=300)
    assert item.state.phase == Phase.KEEPING
    assert item.state.spacing == pytest.approx(0.2)
    assert isinstance(pacing.ask(full(5), NOW, 10, ceiling=300), Park)
    figures = run(Scenario(Kind.BUCKET, 600, 60), lambda: Chosen(ceiling=30), seed=1)
    assert figures.receives <= 8
    assert figures.refused == 0


def test_the_operators_ceiling_is_used_in_full() -> None:
    figures = under_a_ceiling()
    assert 0.45 <= figures.share <= 0.5
    assert figures.refused == 0
