"""The rate: a schedule of starts, and the law that moves it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescribe.throttle.rate import (
    DOUBLES_IN,
    FASTEST,
    FIRST_RATE,
    MAX_PAUSE,
    PREPARATION,
    RESET_TRUSTED,
    SLOWEST,
    SUSPICIOUS,
    VERDICT,
    Rate,
    Start,
    acquire,
    fresh,
    refused,
    release,
    retry_at,
)
from tests.unit.stage import steady

NOW = 1_793_610_900.0


def taken(rate: Rate, seconds: float, *, ceiling: float = 0.0) -> tuple[Rate, list[Start]]:
    """Take every start of so many seconds of the schedule, one after the other, as early as it is granted."""
    starts: list[Start] = []
    ends = rate.next_start + seconds
    while rate.next_start < ends:
        rate, granted, _ = acquire(rate, rate.next_start - PREPARATION, 1, ceiling=ceiling, chance=0.5)
        starts += granted
    return rate, starts


def decreased(rate: Rate) -> tuple[Rate, Start]:
    """Let calls be accepted for four seconds, and then one be refused as often as it takes to decrease the rate."""
    after, starts = taken(rate, 4)
    while after.since_calls == rate.since_calls:
        after = refused(after, starts[-1], starts[-1].at + 0.1)
    return after, starts[-1]


# ── Slow start ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_lone_image_ever_starts_at_once() -> None:
    _, starts, returns = acquire(fresh(NOW), NOW, 1, chance=0.5)
    assert (starts, returns) == ((Start(NOW, 1),), ())


def test_no_image_of_a_batch_starts_sooner_than_it_can_be_prepared() -> None:
    _, starts, _ = acquire(fresh(NOW), NOW, 10, chance=0.5)
    assert starts[0].at == NOW + PREPARATION


def test_in_slow_start_the_rate_doubles_in_less_than_a_second() -> None:
    rate, _ = taken(fresh(NOW), 1.5)
    later, _ = taken(rate, 0.75)
    assert later.per_second > 2 * rate.per_second > 4 * FIRST_RATE


def test_in_slow_start_one_refusal_changes_nothing_and_the_second_ends_it() -> None:
    rate, starts = taken(fresh(NOW), 2.5)
    once = refused(rate, starts[-1], starts[-1].at + 0.1)
    assert (once.next_start, once.per_second, once.slow_start) == (rate.next_start, rate.per_second, True)
    twice = refused(once, starts[-1], starts[-1].at + 0.1)
    assert not twice.slow_start
    assert twice.per_second == pytest.approx(len(starts) / 2.5, rel=0.2)


def test_slow_start_goes_up_to_the_fastest_rate_and_no_further() -> None:
    rate, _ = taken(fresh(NOW), 10)
    assert rate.per_second == FASTEST


# ── Steady ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def known(per_second: float) -> Rate:
    """A rate whose limit was found, and that grows."""
    return replace(steady(NOW, per_second), doubles_in=DOUBLES_IN)


def test_a_refusal_decreases_the_rate_to_what_was_accepted_since_the_last_decrease() -> None:
    rate, starts = taken(known(10), 15)
    after = refused(rate, starts[-1], starts[-1].at + 0.1)
    accepted = (len(starts) - 1) / 15
    assert 10 < accepted < rate.per_second
    assert 0.95 * accepted < after.per_second < accepted


def test_when_a_limit_halves_the_rate_is_there_after_one_measure() -> None:
    rate = known(10)
    rate, starts = taken(rate, 4)
    for start in starts[1::2]:  # every other call is refused, and told at once
        rate = refused(rate, start, start.at)
    assert rate.per_second == pytest.approx(5, rel=0.3)


def test_where_little_is_asked_for_refusals_that_come_whatever_the_rate_is_do_not_lower_it() -> None:
    rate, now = steady(NOW, 2), NOW
    for number in range(400):
        now += 3
        rate, (start,), _ = acquire(rate, now, 1, chance=0.5)
        if number % 10 == 0:
            rate = refused(rate, start, start.at + 0.1)
    assert rate.per_second >= 1.9


def test_refusals_that_come_whatever_the_rate_is_and_tell_a_reset_hold_the_calls_and_do_not_end_them() -> None:
    rate, now, calls = fresh(NOW), NOW, 0
    while now < NOW + 600:
        rate, starts, _ = acquire(rate, now, 10, chance=0.5)
        for start in starts:
            calls += 1
            if calls % 10 == 0:
                rate = refused(rate, start, start.at + 0.1, reset_at=start.at + 1)
        now += 0.5
    assert calls > 600
    assert rate.per_second > 1


def test_calls_permitted_before_a_decrease_belong_to_the_congestion_that_it_answered() -> None:
    rate, starts = taken(known(10), 4)
    after = refused(rate, starts[-5], starts[-5].at + 0.1)
    for start in starts[-4:]:
        assert refused(after, start, start.at + 0.1) == after


def test_a_decrease_lets_one_start_pass() -> None:
    rate, starts = taken(known(10), 4)
    after = refused(rate, starts[-1], starts[-1].at + 0.1)
    assert after.next_start == pytest.approx(rate.next_start + 1 / after.per_second)


def test_without_a_congestion_the_rate_grows_slowly_and_then_goes_into_slow_start_again() -> None:
    rate, _ = taken(known(10), 5)
    assert 10 < rate.per_second < 11
    rate, _ = taken(rate, DOUBLES_IN / 2 - 4.5)
    assert rate.slow_start
    assert rate.per_second > 13


def test_a_slow_start_that_finds_nothing_does_not_lower_the_rate() -> None:
    rate, starts = taken(replace(known(10), slow_start=True, since=NOW - 20), 0.5)
    assert len(starts) / 20.5 < 1
    for start in starts[-2:]:
        rate = refused(rate, start, start.at + 0.1)
    assert not rate.slow_start
    assert rate.per_second > 0.96 * 10


def test_a_schedule_that_ran_dry_does_not_raise_the_rate() -> None:
    rate = known(10)
    for hour in range(1, 50):
        rate, [start], _ = acquire(rate, NOW + 3_600 * hour, 1, chance=0.5)
        assert start.at == NOW + 3_600 * hour
    assert rate.per_second == 10


def test_time_without_images_belongs_to_no_measure() -> None:
    rate, _ = taken(known(10), 5)
    rate, starts, _ = acquire(rate, NOW + 3_600, 10, chance=0.5)
    after = refused(rate, starts[-1], starts[-1].at + 0.1)
    assert after.per_second > 9


# ── Blocked ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_while_everything_is_refused_one_call_at_a_time_is_made_ever_more_rarely_and_the_rate_is_kept() -> None:
    rate, _ = decreased(known(10))
    base, many = rate.base, 1
    pauses: list[float] = []
    for _ in range(8):
        rate, [start], _ = acquire(rate, rate.next_start - PREPARATION, many, chance=0.5)
        rate, many = refused(rate, start, start.at + 0.1), 10
        pauses.append(rate.next_start - start.at - 0.1)
    assert pauses[0] == pytest.approx(VERDICT, abs=1e-3)
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(MAX_PAUSE, abs=1e-3)
    assert rate.per_second == pytest.approx(base, rel=0.01)


def test_when_the_call_after_a_pause_is_accepted_the_others_follow_at_the_rate_of_before() -> None:
    rate, _ = decreased(known(10))
    per_second = rate.per_second
    rate, [start], _ = acquire(rate, rate.next_start - PREPARATION, 1, chance=0.5)
    rate = refused(rate, start, start.at + 0.1)
    rate, [start], _ = acquire(rate, rate.next_start - PREPARATION, 1, chance=0.5)
    assert rate.next_start - start.at > VERDICT
    _, starts = taken(rate, 2)
    assert len(starts) == pytest.approx(2 * per_second, abs=2)


def test_a_stack_that_begins_while_everything_is_refused_does_not_stand_still_when_that_is_over() -> None:
    rate, now = fresh(NOW), NOW
    while now < NOW + 60:
        now = max(now, rate.next_start)
        rate, [start], _ = acquire(rate, now, 1, chance=0.5)
        rate = refused(rate, start, now + 0.1)
    _, starts = taken(rate, 20)
    assert len(starts) >= 20


@pytest.mark.parametrize(("told", "waits"), [(40.0, 40.0), (-5.0, 0.0), (3_600.0, RESET_TRUSTED)])
def test_nothing_starts_before_the_reset_that_an_answer_told_unless_it_is_far_away(told: float, waits: float) -> None:
    rate, starts = taken(known(10), 4)
    now = starts[-1].at + 0.1
    after = refused(rate, starts[-1], now, reset_at=now + told)
    assert after.next_start == pytest.approx(max(now + waits, rate.next_start), abs=0.2)


# ── Spurious refusals ────────────────────────────────────────────────────────────────────────────────────────────────


def test_refusals_that_come_whatever_the_rate_is_do_not_slow_it_down_for_ever() -> None:
    rate = known(10)
    for _ in range(40):
        rate, starts = taken(rate, 10 / rate.per_second)
        rate = refused(rate, starts[-1], starts[-1].at + 0.1)
    assert rate.repeats == SUSPICIOUS
    assert rate.per_second > 4


def test_where_refusals_seem_spurious_a_fifth_of_the_calls_is_a_congestion_all_the_same() -> None:
    rate, starts = taken(replace(known(10), repeats=SUSPICIOUS), 1.2)
    assert refused(rate, starts[4], starts[4].at + 0.1).per_second == rate.per_second
    for start in starts[-3:]:
        before = rate
        rate = refused(rate, start, start.at + 0.1)
    assert before.per_second > 10
    assert rate.per_second < 9


# ── Released starts ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("ceiling", [0.0, 600.0])
def test_the_start_that_was_released_last_is_the_next_ones(ceiling: float) -> None:
    rate, starts, _ = acquire(steady(NOW + 1, 10), NOW + 0.5, 3, ceiling=ceiling, chance=0.5)
    rate = release(rate, starts[-1], ceiling=ceiling)
    _, [start], _ = acquire(rate, NOW + 0.5, 1, ceiling=ceiling, chance=0.5)
    assert start == starts[-1]


def test_for_a_start_in_the_middle_the_schedule_moves_up_but_not_under_a_ceiling() -> None:
    rate, starts, _ = acquire(steady(NOW + 1, 10), NOW + 0.5, 5, chance=0.5)
    assert release(rate, starts[1]).next_start == pytest.approx(rate.next_start - 0.1)
    assert release(rate, starts[1], ceiling=600).next_start == rate.next_start


def test_a_start_of_before_a_decrease_is_gone_with_its_schedule() -> None:
    after, start = decreased(known(10))
    assert release(after, start) == after


# ── A batch, and who waits ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_batch_gets_a_seconds_worth_of_starts_or_none() -> None:
    near, far = steady(NOW + 1.2, 5), steady(NOW + 1.6, 5)
    assert len(acquire(near, NOW, 10, chance=0.5)[1]) in (5, 6)
    assert acquire(far, NOW, 10, chance=0.5)[1] == ()


def test_those_who_wait_come_back_in_order_and_more_often_than_there_are_starts() -> None:
    rate, last = steady(NOW + 5, 10), NOW
    for _ in range(10):
        rate, starts, returns = acquire(rate, NOW, 10, chance=0.5)
        assert starts == ()
        assert list(returns) == sorted(returns)
        assert returns[0] >= last
        last = returns[-1]
    assert 100 / 10 / 3 < last - NOW - 3.7 < 100 / 10


def test_a_refused_image_comes_back_when_starts_are_near_again() -> None:
    rate = steady(NOW + 40, 10)
    assert NOW + 38 < retry_at(rate, NOW, 0.0) < retry_at(rate, NOW, 1.0) < NOW + 41
    assert retry_at(steady(NOW, 10), NOW, 0.5) == NOW + 0.5


# ── The operator's ceiling ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_known_limit_is_used_from_the_first_second_on_and_never_exceeded() -> None:
    _, starts = taken(fresh(NOW, ceiling=60), 100, ceiling=60)
    assert [start.at for start in starts] == pytest.approx([NOW + place for place in range(100)])


def test_a_ceiling_that_was_lowered_holds_for_the_next_start() -> None:
    rate, starts, _ = acquire(known(10), NOW + 60, 1, ceiling=30, chance=0.5)
    starts = (*starts, *taken(rate, 60, ceiling=30)[1])
    assert all(after.at - before.at >= 2 - 1e-6 for before, after in pairwise(starts))


# ── Whatever happens ─────────────────────────────────────────────────────────────────────────────────────────────────

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("acquire"), st.integers(1, 10), st.floats(0, 1)),
        st.tuples(st.just("refuse"), st.integers(0, 20), st.floats(-100, 10_000) | st.none()),
        st.tuples(st.just("release"), st.integers(0, 20), st.none()),
        st.tuples(st.just("sleep"), st.floats(0, 5) | st.floats(0, 5_000), st.none()),
    ),
    max_size=80,
)


@given(EVENTS, st.sampled_from([0.0, 1.0, 5.0, 60.0, 600.0, 50_000.0]))
def test_whatever_happens_starts_keep_their_distance_and_never_stand_still(
    events: list[tuple[str, float, float | None]], ceiling: float
) -> None:
    rate, now = fresh(NOW, ceiling=ceiling), NOW
    given_out: list[Start] = []
    held: list[Start] = []
    fastest = min(FASTEST, ceiling / 60 if ceiling else FASTEST)
    for kind, number, extra in events:
        match kind:
            case "acquire":
                before = rate.next_start
                rate, starts, returns = acquire(rate, now, int(number), ceiling=ceiling, chance=extra or 0.0)
                assert len(starts) + len(returns) == number
                assert all(start.at >= max(now, before) for start in starts)
                assert all(back >= now - 1 for back in returns)
                assert rate.next_start >= before
                given_out += starts
                held += starts
            case "refuse" if held:
                before = rate.next_start
                start = held.pop(int(number) % len(held))
                now = max(now, start.at)
                rate = refused(rate, start, now, reset_at=None if extra is None else now + extra, ceiling=ceiling)
                assert rate.next_start >= before
            case "release" if held:
                start = held.pop(int(number) % len(held))
                rate = release(rate, start, ceiling=ceiling)
                given_out.remove(start)
            case "sleep":
                now += number
        assert SLOWEST <= rate.per_second <= FASTEST or ceiling
        # However it came so far, the next start is no further than a pause, a reset and what was granted already.
        farthest = max([now, *(start.at for start in given_out)])
        assert rate.next_start <= farthest + RESET_TRUSTED + 3 * max(MAX_PAUSE, 1 / fastest)
    if ceiling:
        times = sorted(start.at for start in given_out)
        assert all(after - before >= 60 / ceiling - 1e-5 for before, after in pairwise(times))
