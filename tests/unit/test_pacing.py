from __future__ import annotations

from dataclasses import asdict, fields, replace
from itertools import pairwise

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto import mock_aws

from imagescribe import pacing
from imagescribe.pacing import Change, Grant, Move, Phase, State, Wait
from tests.bench.pacing.candidates import Chosen
from tests.bench.pacing.scenarios import Kind, Scenario, Stray, run
from tests.bench.pacing.table import Item

NOW = 1_795_000_000.0
LATENCY = 4.0

ceilings = st.sampled_from([0.0, 5.0, 30.0, 600.0, 3000.0])
gaps = st.lists(st.floats(0.0, 3.0), min_size=5, max_size=120)


def asked(item: Item, now: float, *, ceiling: float = 0.0, known: State | None = None) -> Grant | Wait:
    """Ask as a caller does: by a copy that may be old, then by what the failed condition showed."""
    copy, sure = known or item.read(), known is None
    for _ in range(8):
        change = pacing.ask(copy, now, sure=sure, ceiling=ceiling)
        if isinstance(change, Wait):
            return change
        copy, done = item.update(change)
        if done:
            return pacing.outcome(change, copy, now)
        sure = True
    raise AssertionError("no end to the attempts")


def refuse(item: Item, grant: Grant, now: float, *, reset_at: float | None = None, ceiling: float = 0.0) -> bool:
    change = pacing.refused(item.read(), grant, now, reset_at=reset_at, ceiling=ceiling)
    return change is not None and item.update(change)[1]


def keeping(rate: float, **changed: float) -> State:
    """Return a state that has known a limit for long and is idle since."""
    fresh = pacing.fresh(NOW - 3600)
    kept = replace(fresh, spacing=1 / rate, phase=int(Phase.KEEPING), kept_rate=rate, overloads=3, held_for=0.5)
    return replace(kept, **changed)  # type: ignore[arg-type]  # by name


def grants_over(item: Item, seconds: float, every: float = 0.01) -> list[Grant]:
    found = []
    for tick in range(int(seconds / every)):
        answer = asked(item, NOW + tick * every)
        if isinstance(answer, Grant):
            found.append(answer)
    return found


@given(ceiling=ceilings.filter(bool), waits=gaps, burst=st.integers(1, 12), refusals=st.sets(st.integers(0, 300)))
@settings(max_examples=60, deadline=None)
def test_no_minute_has_more_starts_than_the_operator_allows(
    ceiling: float, waits: list[float], burst: int, refusals: set[int]
) -> None:
    item, now, starts = Item(pacing.fresh(NOW, ceiling=ceiling)), NOW, []
    for wait in waits:
        now += wait
        for _ in range(burst):
            answer = asked(item, now, ceiling=ceiling)
            if isinstance(answer, Grant):
                starts.append(answer.start_at)
                if len(starts) in refusals:
                    refuse(item, answer, now, ceiling=ceiling)
    starts.sort()
    assert all(later - start >= 60 / ceiling - 1e-5 for start, later in pairwise(starts))


@given(waits=gaps, burst=st.integers(1, 30), refusals=st.sets(st.integers(0, 300)), ceiling=ceilings)
@settings(max_examples=60, deadline=None)
def test_no_start_is_granted_further_ahead_than_the_horizon(
    waits: list[float], burst: int, refusals: set[int], ceiling: float
) -> None:
    item, now, granted = Item(pacing.fresh(NOW, ceiling=ceiling)), NOW, 0
    for wait in waits:
        now += wait
        for _ in range(burst):
            answer = asked(item, now, ceiling=ceiling)
            if isinstance(answer, Wait):
                assert answer.until >= now
                continue
            assert now <= answer.start_at <= now + pacing.HORIZON + 1e-6
            granted += 1
            if granted in refusals:
                refuse(item, answer, now, ceiling=ceiling)
        assert 1 / pacing.FASTEST - 1e-9 <= item.read().spacing <= 1 / pacing.SLOWEST + 1e-9


@given(ages=st.lists(st.floats(0.0, 120.0), min_size=1, max_size=40))
@settings(max_examples=60, deadline=None)
def test_an_old_copy_of_the_item_never_grants_what_the_item_does_not_allow(ages: list[float]) -> None:
    item = Item(pacing.fresh(NOW))
    copies, now = [item.read()], NOW
    for age in ages:
        now += age / 20
        answer = asked(item, now, known=copies[int(age) % len(copies)])
        copies.append(item.read())
        if isinstance(answer, Grant):
            assert answer.number == item.read().granted
            assert answer.start_at <= now + pacing.HORIZON + 1e-6


@given(later=st.integers(1, 30), rate=st.floats(0.1, 50.0))
@settings(max_examples=60, deadline=None)
def test_calls_refused_side_by_side_make_one_cut(later: int, rate: float) -> None:
    item = Item(keeping(rate))
    first = asked(item, NOW)
    assert isinstance(first, Grant)
    together = [replace(first, number=first.number + extra) for extra in range(later)]
    assert refuse(item, first, NOW + 0.1)
    after = item.read()
    assert not any(refuse(item, grant, NOW + 0.2) for grant in together)
    assert item.read() == after
    assert after.overloads == 4


def test_two_that_cut_at_once_cut_once() -> None:
    item = Item(keeping(10))
    grant = asked(item, NOW)
    assert isinstance(grant, Grant)
    changes = [pacing.refused(item.read(), grant, NOW + 0.1) for _ in range(2)]
    assert [item.update(change)[1] for change in changes if change] == [True, False]


@given(demand=st.floats(0.5, 20.0))
@settings(max_examples=25, deadline=None)
def test_the_rate_stays_near_the_demand_where_concurrency_is_the_bottleneck(demand: float) -> None:
    item, now = Item(pacing.fresh(NOW)), NOW
    while now < NOW + 300:
        now += 1 / demand
        asked(item, now)
    assert 1 / item.read().spacing <= max(pacing.FIRST_RATE * 2, 3 * demand)


def test_a_kept_rate_does_not_grow_without_demand() -> None:
    item = Item(keeping(10))
    for second in range(600):
        asked(item, NOW + second)
    assert 1 / item.read().spacing <= 10


def test_demand_alone_doubles_the_rate_of_a_new_deployment_within_a_second() -> None:
    starts = [grant.start_at - NOW for grant in grants_over(Item(pacing.fresh(NOW)), 4)]
    assert sum(start < 1 for start in starts) <= 5
    assert sum(3 <= start < 4 for start in starts) >= 3 * sum(1 <= start < 2 for start in starts)


def test_a_limit_is_remembered_over_idle_hours() -> None:
    item = Item(keeping(10, spacing=1 / 12, age=24.0))
    starts = [grant.start_at - NOW for grant in grants_over(item, 10)]
    assert 0.95 * 80 <= sum(start <= 8 for start in starts) <= 1.02 * 80 + 1


def test_a_limit_that_has_risen_is_found_again() -> None:
    item = Item(keeping(5))
    grants_over(item, 32)
    assert item.read().phase == Phase.FINDING
    assert 1 / item.read().spacing > 10


def test_a_reset_time_holds_everyone_until_then() -> None:
    item = Item(keeping(10))
    grant = asked(item, NOW)
    assert isinstance(grant, Grant)
    assert refuse(item, grant, NOW + 0.1, reset_at=NOW + 40)
    early = asked(item, NOW + 5)
    assert isinstance(early, Wait)
    assert early.until <= NOW + 40
    later = asked(item, NOW + 40.1)
    assert isinstance(later, Grant)
    assert later.start_at >= NOW + 40


def test_a_reset_time_out_of_reason_is_not_believed() -> None:
    item = Item(keeping(10))
    grant = asked(item, NOW)
    assert isinstance(grant, Grant)
    refuse(item, grant, NOW + 0.1, reset_at=NOW + 1_000_000)
    assert item.read().next_start <= NOW + 0.1 + pacing.RESET_TRUSTED


def test_while_all_is_refused_one_call_goes_at_a_time_and_ever_less_often() -> None:
    item, now = Item(keeping(10)), NOW
    tried: list[float] = []
    while now < NOW + 60:
        answer = asked(item, now)
        if isinstance(answer, Grant):
            tried.append(answer.start_at)
            refuse(item, answer, answer.start_at + 0.1)
        now += 0.05
    waits = [later - start for start, later in pairwise(tried)]
    assert len(tried) <= 12
    assert max(waits) <= pacing.LONGEST_HOLD + 1
    asked(item, now + 20)
    assert isinstance(asked(item, now + 20.01), Wait)


def test_after_a_call_is_taken_again_the_others_follow() -> None:
    item = Item(keeping(10))
    for moment in (0.0, 1.0):
        grant = asked(item, NOW + moment)
        assert isinstance(grant, Grant)
        refuse(item, grant, NOW + moment + 0.1)
    assert item.read().phase == Phase.SHUT
    numbers = [grant.start_at for grant in grants_over(item, 6)]
    assert numbers[1] - numbers[0] >= pacing.VERDICT - 1e-6
    assert item.read().phase == Phase.CONFIRMING
    assert len(numbers) > 20


def test_who_finds_the_schedule_full_is_given_a_time_of_its_own() -> None:
    item = Item(keeping(10))
    waits = [answer for _ in range(100) if isinstance(answer := asked(item, NOW), Wait)]
    assert len({wait.until for wait in waits}) == len(waits) >= 75
    assert waits[-1].until - waits[0].until == pytest.approx((len(waits) - 1) * 0.1 * pacing.STRIDE, abs=0.05)


def test_the_common_case_is_one_update() -> None:
    item = Item(keeping(10))
    copy = item.read()
    grants = [asked(item, NOW + tick / 10, known=copy if tick == 0 else item.read()) for tick in range(200)]
    assert all(isinstance(grant, Grant) for grant in grants)
    assert item.updates <= 1.2 * len(grants)


@pytest.mark.parametrize(
    ("scenario", "share", "refused"),
    [
        (Scenario(Kind.BUCKET, 600, 600), 0.88, 0.06),
        (Scenario(Kind.BUCKET, 600, 600, known=True), 0.92, 0.03),
        (Scenario(Kind.BUCKET, 5, 15), 0.9, 0.6),
        (Scenario(Kind.FLIGHT, 600, 600), 0.75, 0.1),
        (Scenario(Kind.TOLD, 600, 1200, invocations=20), 0.9, 0.1),
        (Scenario(Kind.WINDOW, 600, 1200, invocations=20), 0.9, 0.3),
        (Scenario(Kind.BUCKET, 600, 1500, changes=True, invocations=20), 0.8, 0.08),
    ],
    ids=lambda value: value.name if isinstance(value, Scenario) else "",
)
def test_simulated_backlogs_use_what_the_endpoint_allows(scenario: Scenario, share: float, refused: float) -> None:
    figures = run(scenario, Chosen, seed=1)
    assert figures.share >= share
    assert figures.refused <= refused


@pytest.mark.parametrize(
    ("scenario", "seconds"),
    [
        (Scenario(Kind.BUCKET, 180, 30, stray=Stray.FIRST), 40),
        (Scenario(Kind.BUCKET, 180, 30, stray=Stray.TENTH), 30),
        (Scenario(Kind.BUCKET, 180, 100, stray=Stray.QUIET), 75),
        (Scenario(Kind.BUCKET, 600, 1000, stray=Stray.TENTH), 300),
    ],
    ids=lambda value: value.name if isinstance(value, Scenario) else "",
)
@pytest.mark.parametrize("seed", range(3))
def test_refusals_that_no_limit_explains_do_not_hold_a_backlog_for_long(
    scenario: Scenario, seconds: float, seed: int
) -> None:
    assert run(scenario, Chosen, seed=seed).lasted <= seconds


@given(refusals=st.lists(st.floats(0.0, 8.0), max_size=12), ahead=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_whatever_was_refused_before_the_rate_recovers_within_two_minutes(refusals: list[float], ahead: int) -> None:
    item, now = Item(pacing.fresh(NOW)), NOW
    for wait in refusals:
        now += wait
        answer = asked(item, now)
        if isinstance(answer, Grant):
            now = answer.start_at + 0.1
            refuse(item, answer, now)
    for _ in range(ahead):
        answer = asked(item, now)
        assert isinstance(answer, Grant) or answer.until <= now + pacing.FARTHEST
    grants, end = 0, now + 120
    while now < end:
        now += 0.05
        grants += isinstance(asked(item, now), Grant)
    assert 1 / item.read().spacing >= 5
    assert grants >= 100


def test_a_refusal_between_calls_that_are_taken_does_not_end_the_search() -> None:
    item = Item(pacing.fresh(NOW))
    grants = grants_over(item, 2)
    assert refuse(item, grants[-1], NOW + 2)
    after = item.read()
    assert (after.phase, after.overloads, after.suspicion) == (Phase.FINDING, 0, 1)
    assert refuse(item, replace(grants[-1], number=grants[-1].number + 1), NOW + 2.1)
    assert item.read().overloads == 1


def test_the_operators_ceiling_is_used_in_full() -> None:
    figures = run(Scenario(Kind.BUCKET, 600, 600), lambda: Chosen(ceiling=300), seed=1)
    assert 0.42 <= figures.share <= 0.5
    assert figures.refused == 0


def test_dynamodb_takes_every_expression_and_gives_the_state_back() -> None:
    with mock_aws():
        client = boto3.client("dynamodb", region_name="us-east-1")
        client.create_table(
            TableName="meter",
            KeySchema=[{"AttributeName": "content", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "content", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        kinds = {field.name: int if field.type == "int" else float for field in fields(State)}
        key = {"content": {"S": "#meter"}}

        def number(value: float) -> dict[str, str]:
            return {"N": repr(value)}

        def check(before: State, change: Change) -> None:
            client.put_item(TableName="meter", Item={**key, **{k: number(v) for k, v in asdict(before).items()}})
            after = client.update_item(
                TableName="meter",
                Key=key,
                UpdateExpression=change.update,
                ConditionExpression=change.condition,
                ExpressionAttributeValues={name: number(value) for name, value in change.values.items()},
                ReturnValues="ALL_NEW",
            )["Attributes"]
            state = State(**{name: kind(after[name]["N"]) for name, kind in kinds.items()})  # type: ignore[arg-type]
            expected, done = Item(before).update(change)
            assert done
            assert asdict(state) == pytest.approx(asdict(expected), abs=1e-5)

        kept = keeping(10, next_start=NOW + 0.5, step_at=NOW + 1)
        full = replace(kept, next_start=NOW + 10)
        stated = {
            Move.TAKE: [kept],
            Move.STEP: [
                replace(kept, step_at=NOW),
                replace(kept, step_at=NOW, age=40.0),
                replace(kept, step_at=NOW, phase=int(Phase.CONFIRMING)),
                replace(kept, next_start=NOW + 0.1, step_at=NOW, phase=int(Phase.FINDING)),
                replace(kept, next_start=NOW + 0.1, step_at=NOW, phase=int(Phase.SHUT)),
            ],
            Move.RESTART: [
                replace(kept, next_start=NOW - 100),
                replace(kept, next_start=NOW - 10, phase=int(Phase.FINDING)),
                replace(kept, next_start=NOW - 10, phase=int(Phase.SHUT)),
            ],
            Move.PARK: [full, replace(full, parked_to=NOW + 20)],
        }
        for move, states in stated.items():
            for state in states:
                change = pacing.ask(state, NOW)
                assert isinstance(change, Change)
                assert change.move is move
                check(state, change)
        for phase, suspicion in ((phase, suspicion) for phase in Phase for suspicion in (0.0, 1.0)):
            state = replace(kept, phase=int(phase), granted=50, suspicion=suspicion)
            for grant in (Grant(NOW, 0.1, 1, 3), Grant(NOW, 0.1, 50, 3)):
                cut = pacing.refused(state, grant, NOW)
                assert cut is not None
                check(state, cut)
