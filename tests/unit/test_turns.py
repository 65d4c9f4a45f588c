"""The turns of an invocation's images at the meter: together where they come together, and nobody waits for nobody."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any

import pytest

from imagescribe import pacing
from imagescribe.meter import Grant, Wait
from imagescribe.turns import Turns
from tests.factories import Clock
from tests.unit.stage import SharedClock

SOON, FAR = 2.0, 60.0
PATIENCE_SECONDS = 10.0  # of a test, by the machine's clock


def grant(start_at: float = 0.0, number: int = 1) -> Grant:
    return Grant(pacing.Grant(start_at, 0.1, number, 0), "2026-11-02")


@dataclass
class ScriptedMeter:
    """Answers as it is told to, and to whoever asks beyond that with grants.

    Attributes
    ----------
    asked
        For how many it was asked, each time.
    most
        How many it grants at once.
    void
        Numbers of grants that an overload overtakes before they are used.
    """

    clock: Clock
    answers: list[Sequence[Grant] | Sequence[Wait] | Exception] = field(default_factory=list)
    most: int = 10
    void: set[int] = field(default_factory=set)
    asked: list[int] = field(default_factory=list)
    given_back: list[Grant] = field(default_factory=list)
    before: Event | None = None
    lock: Any = field(default_factory=Lock)
    granted: int = 0

    def ask(self, count: int) -> Sequence[Grant] | Sequence[Wait]:
        assert self.lock.acquire(blocking=False), "two of one process ask at once"
        try:
            self.asked.append(count)
            if self.before:
                self.before.wait(5)
            if self.answers:
                answer = self.answers.pop(0)
                if isinstance(answer, Exception):
                    raise answer
                return answer
            self.granted += min(count, self.most)
            first = self.granted - min(count, self.most) + 1
            return [grant(self.clock.now, number) for number in range(first, self.granted + 1)]
        finally:
            self.lock.release()

    def is_void(self, grant: Grant) -> bool:
        return grant.paced.number in self.void

    def give_back(self, grant: Grant) -> None:
        self.given_back.append(grant)


@dataclass
class Batch:
    """An invocation with some images."""

    meter: ScriptedMeter
    turns: Turns
    clock: Clock

    def take(self, holders: Sequence[str], expected: Sequence[str] | None = None) -> list[Grant | Wait]:
        self.turns.expect(holders if expected is None else expected)
        with ThreadPoolExecutor(len(holders)) as pool:
            return list(pool.map(lambda holder: self.turns.take(holder, self.clock.now + 4), holders))


@pytest.fixture
def batch() -> Batch:
    clock = SharedClock()
    meter = ScriptedMeter(clock)
    return Batch(meter, Turns(meter, clock, clock.sleep), clock)  # type: ignore[arg-type]  # a meter to them


def names(count: int) -> list[str]:
    return [f"image-{number}" for number in range(count)]


def test_the_images_of_a_batch_ask_with_one_request(batch: Batch) -> None:
    turns = batch.take(names(10))
    assert batch.meter.asked == [10]
    assert {turn.paced.number for turn in turns if isinstance(turn, Grant)} == set(range(1, 11))


@pytest.fixture
def long_gathering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for others waits for so long that the test fails."""
    monkeypatch.setattr("imagescribe.turns.GATHER_SECONDS", 2 * PATIENCE_SECONDS)


@pytest.mark.usefixtures("long_gathering")
def test_an_image_that_comes_alone_does_not_wait_for_others(batch: Batch) -> None:
    batch.turns.expect(["the only one"])
    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(batch.turns.take, "the only one", batch.clock.now)
        assert isinstance(turn.result(PATIENCE_SECONDS), Grant)


@pytest.mark.usefixtures("long_gathering")
def test_those_who_do_not_come_are_not_waited_for_once_they_say_so(batch: Batch) -> None:
    batch.turns.expect(names(3))
    batch.turns.leave("image-1")
    batch.turns.leave("image-2")
    batch.turns.leave("image-2")  # and a second time, as each does in the end
    with ThreadPoolExecutor(1) as pool:
        turn = pool.submit(batch.turns.take, "image-0", batch.clock.now)
        assert isinstance(turn.result(PATIENCE_SECONDS), Grant)


def test_whoever_is_held_up_on_its_way_holds_up_the_others_for_a_moment_only(batch: Batch) -> None:
    assert all(isinstance(turn, Grant) for turn in batch.take(names(3), expected=names(4)))
    assert sum(batch.meter.asked) == 3


def test_who_comes_late_asks_by_itself(batch: Batch) -> None:
    batch.take(names(3), expected=names(4))
    assert isinstance(batch.turns.take("image-3", batch.clock.now), Grant)
    assert batch.meter.asked[-1] == 1


def test_whoever_is_left_by_a_small_block_asks_again(batch: Batch) -> None:
    batch.meter.most = 4
    turns = batch.take(names(10))
    assert batch.meter.asked == [10, 6, 2]
    assert len({turn.paced.number for turn in turns if isinstance(turn, Grant)}) == 10


def test_each_is_told_its_own_wait(batch: Batch) -> None:
    waits = [Wait(batch.clock.now + FAR + number) for number in range(3)]
    batch.meter.answers = [waits]
    turns = batch.take(names(3))
    assert sorted(turn.until for turn in turns if isinstance(turn, Wait)) == [wait.until for wait in waits]


def test_a_near_turn_is_slept_for_and_asked_for_again(batch: Batch) -> None:
    started = batch.clock.now
    batch.meter.answers = [[Wait(started + SOON, is_soon=True)]]
    assert isinstance(batch.turns.take("image", started + 4), Grant)
    assert batch.clock.now - started == pytest.approx(SOON)
    assert batch.meter.asked == [1, 1]


def test_a_pause_is_not_slept_for_however_short(batch: Batch) -> None:
    pause = Wait(batch.clock.now + 1, "paused by the operator", is_turn=False)
    batch.meter.answers = [[pause]]
    assert batch.turns.take("image", batch.clock.now + 4) == pause


def test_a_place_in_the_line_is_not_slept_for_where_nothing_else_keeps_the_invocation(batch: Batch) -> None:
    place = Wait(batch.clock.now + 1)
    batch.meter.answers = [[place]]
    assert batch.turns.take("image", batch.clock.now + 4) == place


def test_a_place_in_the_line_is_waited_for_beside_the_calls_of_others(batch: Batch) -> None:
    batch.turns.expect(["first"])
    assert isinstance(batch.turns.take("first", batch.clock.now + 4), Grant)
    batch.meter.answers = [[Wait(batch.clock.now + 1)], [Wait(batch.clock.now + FAR)]]
    assert isinstance(batch.turns.take("second", batch.clock.now + 4), Wait)
    assert batch.meter.asked == [1, 1, 1]
    batch.turns.expect(["third"])  # of the next invocation, where nobody calls yet
    place = Wait(batch.clock.now + 1)
    batch.meter.answers = [[place]]
    assert batch.turns.take("third", batch.clock.now + 4) == place


def test_a_grant_begins_when_it_says(batch: Batch) -> None:
    start = batch.clock.now + 1.5
    batch.meter.answers = [[grant(start)]]
    assert isinstance(batch.turns.take("image", batch.clock.now), Grant)
    assert batch.clock.now == pytest.approx(start)


def test_a_grant_that_an_overload_overtook_is_given_back_for_another(batch: Batch) -> None:
    batch.meter.void = {1, 2}
    turn = batch.turns.take("image", batch.clock.now + 4)
    assert isinstance(turn, Grant)
    assert turn.paced.number == 3
    assert [each.paced.number for each in batch.meter.given_back] == [1, 2]


def test_nobody_asks_for_ever(batch: Batch) -> None:
    batch.meter.void = set(range(1, 10_000))
    assert isinstance(batch.turns.take("image", batch.clock.now + 4), Wait)
    assert len(batch.meter.given_back) < 100


def test_an_error_reaches_everyone_and_the_next_ones_ask_again(batch: Batch) -> None:
    batch.meter.answers = [ConnectionError("DynamoDB is away")]
    batch.turns.expect(names(3))
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(batch.turns.take, name, batch.clock.now) for name in names(3)]
        assert [type(future.exception()) for future in futures] == [ConnectionError] * 3
    assert all(isinstance(turn, Grant) for turn in batch.take(names(2)))


def test_those_who_come_while_others_ask_go_together_next(batch: Batch) -> None:
    batch.meter.before = Event()
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(batch.turns.take, "image-0", batch.clock.now)
        while not batch.meter.asked:
            time.sleep(0.001)
        others = [pool.submit(batch.turns.take, name, batch.clock.now) for name in names(5)[1:]]
        while len(batch.turns._waiting) < 4:
            time.sleep(0.001)
        batch.meter.before.set()
        assert all(isinstance(each.result(), Grant) for each in [first, *others])
    assert batch.meter.asked == [1, 4]
