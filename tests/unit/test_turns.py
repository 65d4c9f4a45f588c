"""Turns at the endpoint: one request for all images of an invocation, and no start is lost that nobody uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from imagescribe import pacing
from imagescribe.meter import Grant, Wait
from imagescribe.turns import MOST_WAIT_SECONDS, Turn, ask_for_all
from tests.factories import Clock, stand_in

SOON, FAR = 2.0, 60.0


def grant(start_at: float = 0.0, number: int = 1) -> Grant:
    return Grant(pacing.Grant(start_at, 0.1, number, 0), "2026-11-02")


@dataclass
class ScriptedMeter:
    """Answers as it is told to, and to whoever asks beyond that with grants.

    Attributes
    ----------
    asked, have_begun
        For how many it was asked, each time, and whether they had begun.
    most
        How many it grants at once.
    void
        Numbers of grants that an overload overtakes before they are used.
    """

    clock: Clock
    answers: list[Sequence[Grant] | Sequence[Wait]] = field(default_factory=list)
    most: int = 10
    void: set[int] = field(default_factory=set)
    asked: list[int] = field(default_factory=list)
    have_begun: list[bool] = field(default_factory=list)
    given_back: list[int] = field(default_factory=list)
    granted: int = 0

    def ask(self, count: int = 1, *, has_begun: bool = False) -> Sequence[Grant] | Sequence[Wait]:
        self.asked.append(count)
        self.have_begun.append(has_begun)
        if self.answers:
            return self.answers.pop(0)
        first = self.granted + 1
        self.granted += min(count, self.most)
        return [grant(self.clock.now, number) for number in range(first, self.granted + 1)]

    def is_void(self, grant: Grant) -> bool:
        return grant.paced.number in self.void

    def give_back(self, grant: Grant) -> None:
        self.given_back.append(grant.paced.number)

    def all(self, count: int) -> list[Grant | Wait]:
        """Ask as an invocation does."""
        return list(ask_for_all(stand_in(self), count, self.clock, self.clock.sleep))

    def turn(self, grant: Grant | None = None) -> Turn:
        """Return the turn of an image."""
        return Turn(stand_in(self), grant, self.clock, self.clock.sleep)

    def come(self, grant: Grant | None = None) -> Grant | Wait:
        return self.turn(grant).come(self.clock.now + MOST_WAIT_SECONDS)


@pytest.fixture
def meter(clock: Clock) -> ScriptedMeter:
    return ScriptedMeter(clock)


# ── An invocation ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_images_of_an_invocation_ask_with_one_request(meter: ScriptedMeter) -> None:
    turns = meter.all(10)
    assert (meter.asked, meter.have_begun) == ([10], [False])
    assert [turn.paced.number for turn in turns if isinstance(turn, Grant)] == list(range(1, 11))


def test_whoever_is_left_by_a_small_block_asks_again(meter: ScriptedMeter) -> None:
    meter.most = 4
    assert len({turn.paced.number for turn in meter.all(10) if isinstance(turn, Grant)}) == 10
    assert meter.asked == [10, 6, 2]


def test_each_is_told_its_own_wait(meter: ScriptedMeter) -> None:
    waits = [Wait(meter.clock.now + FAR + number) for number in range(3)]
    meter.answers = [[grant()], waits]
    assert meter.all(4) == [grant(), *waits]


def test_grants_are_there_before_the_others_are_waited_for(meter: ScriptedMeter) -> None:
    started = meter.clock.now
    meter.answers = [[grant()], [Wait(started + SOON, is_soon=True)]]
    turns = ask_for_all(stand_in(meter), 2, meter.clock, meter.clock.sleep)
    assert next(turns) == grant()
    assert meter.clock.now == started
    assert isinstance(next(turns), Grant)
    assert meter.clock.now == started + SOON


@pytest.mark.parametrize(
    "wait",
    [
        Wait(SOON),  # a place in the line
        Wait(FAR, is_soon=True),
        Wait(SOON, "paused by the operator", is_turn=False),
    ],
    ids=str,
)
def test_a_line_a_far_start_and_a_pause_are_not_waited_for(meter: ScriptedMeter, wait: Wait) -> None:
    meter.clock.now = started = 0.0
    meter.answers = [[wait]]
    assert meter.all(1) == [wait]
    assert meter.clock.now == started


# ── An image ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_grant_begins_when_it_says(meter: ScriptedMeter) -> None:
    given = grant(meter.clock.now + 1.5)
    assert meter.come(given) == given
    assert meter.clock.now == pytest.approx(given.paced.start_at)
    assert (meter.asked, meter.given_back) == ([], [])


def test_a_start_that_an_image_does_not_use_is_given_back_once(meter: ScriptedMeter) -> None:
    turn = meter.turn(grant(number=7))
    turn.come(meter.clock.now)
    turn.leave()
    turn.leave()
    meter.turn().leave()
    assert meter.given_back == [7]


def test_a_start_that_was_used_is_not_given_back(meter: ScriptedMeter) -> None:
    turn = meter.turn(grant(number=7))
    turn.come(meter.clock.now)
    turn.use()
    turn.leave()
    assert meter.given_back == []


def test_who_has_no_start_asks_when_it_comes_to_its_call(meter: ScriptedMeter) -> None:
    turn = meter.turn()
    assert meter.asked == []
    assert isinstance(turn.come(meter.clock.now), Grant)
    assert (meter.asked, meter.have_begun) == ([1], [True])


def test_who_comes_a_second_time_asks_for_another_start(meter: ScriptedMeter) -> None:
    turn = meter.turn(grant(number=7))
    turn.come(meter.clock.now)
    turn.use()
    second = turn.come(meter.clock.now)
    assert isinstance(second, Grant)
    assert second.paced.number == 1
    assert (meter.asked, meter.given_back) == ([1], [])


def test_a_near_turn_is_slept_for_and_asked_for_again(meter: ScriptedMeter) -> None:
    started = meter.clock.now
    meter.answers = [[Wait(started + SOON)]]
    assert isinstance(meter.come(), Grant)
    assert meter.clock.now - started == pytest.approx(SOON)
    assert meter.asked == [1, 1]


@pytest.mark.parametrize("wait", [Wait(FAR), Wait(SOON, "paused by the operator", is_turn=False)], ids=str)
def test_a_far_turn_and_a_pause_are_not_slept_for(meter: ScriptedMeter, wait: Wait) -> None:
    meter.clock.now = started = 0.0
    meter.answers = [[wait]]
    assert meter.come() == wait
    assert meter.clock.now == started


def test_a_grant_that_an_overload_overtook_is_given_back_for_another(meter: ScriptedMeter) -> None:
    meter.void = {1, 2}
    turn = meter.come()
    assert isinstance(turn, Grant)
    assert turn.paced.number == 3
    assert meter.given_back == [1, 2]


def test_nobody_asks_for_ever(meter: ScriptedMeter) -> None:
    meter.void = set(range(1, 10_000))
    assert isinstance(meter.come(), Wait)
    assert len(meter.given_back) < 100
