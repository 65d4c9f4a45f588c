"""The throttle's item: what is written comes back as it was, and only over what was seen."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import pytest

from imagescribe.stores.dynamodb import get, update_if
from imagescribe.throttle import rate as rates
from imagescribe.throttle.breaker import Breaker, OpenedBy
from imagescribe.throttle.budget import Budget
from imagescribe.throttle.item import THROTTLE_KEY, OvertakenError, State, ThrottleItem
from tests.factories import stand_in
from tests.unit.in_memory.dynamodb import InMemoryDynamoDB

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

NOW = 1_793_610_900.123456
BREAKER = Breaker(OpenedBy.ACCOUNT, "402: no credits", NOW + 64.3, generation=3, openings=2, failures=1)
BUDGET = Budget("2026-11-02", 0.1 + 0.2)


def fresh() -> rates.Rate:
    return rates.fresh(NOW)


@pytest.fixture
def client() -> Any:
    return stand_in(InMemoryDynamoDB())


@pytest.fixture
def item(client: Any) -> ThrottleItem:
    return ThrottleItem(client, "ledger", fresh)


def types(state: State) -> dict[str, Any]:
    return {
        name: {field: type(value) for field, value in asdict(getattr(state, name)).items()}
        for name in ("rate", "breaker", "budget")
    }


def write(client: Any, **values: Any) -> None:
    """Write attributes as some other version does."""
    update_if(client, "ledger", THROTTLE_KEY, values=values)


def test_where_there_is_no_item_the_state_is_a_fresh_one(item: ThrottleItem) -> None:
    assert item.read() == State(fresh())


def test_what_is_written_is_read_as_it_was_to_the_last_digit(item: ThrottleItem) -> None:
    rate = replace(fresh(), next_start=NOW + 1 / 3, slow_start=False, base=1 / 7, calls=12, refused=3)
    written = item.replace(State(fresh()), State(rate, BREAKER, BUDGET))
    seen = item.read()
    assert seen == written == State(rate, BREAKER, BUDGET, version=1)
    assert types(seen) == types(written)
    assert isinstance(seen.breaker.opened_by, OpenedBy)


def test_the_state_that_was_seen_is_replaced_and_counts_its_changes(item: ThrottleItem) -> None:
    first = item.replace(State(fresh()), State(fresh(), BREAKER))
    second = item.replace(first, replace(first, budget=BUDGET))
    assert (first.version, second.version) == (1, 2)
    assert item.read() == second


def test_who_is_overtaken_writes_nothing_and_learns_how_it_is(item: ThrottleItem) -> None:
    seen = item.replace(State(fresh()), State(fresh()))
    newer = item.replace(seen, replace(seen, breaker=BREAKER))
    with pytest.raises(OvertakenError) as overtaken:
        item.replace(seen, replace(seen, budget=BUDGET))
    assert overtaken.value.state == newer == item.read()


def test_of_two_who_make_the_item_at_once_one_is_overtaken(item: ThrottleItem) -> None:
    made = item.replace(State(fresh()), State(fresh(), BREAKER))
    with pytest.raises(OvertakenError) as overtaken:
        item.replace(State(fresh()), State(fresh(), budget=BUDGET))
    assert overtaken.value.state == made


def test_who_finds_the_item_deleted_begins_with_a_fresh_one(client: Any, item: ThrottleItem) -> None:
    seen = item.replace(State(fresh()), State(fresh(), BREAKER))
    client.tables.clear()
    with pytest.raises(OvertakenError) as overtaken:
        item.replace(seen, replace(seen, budget=BUDGET))
    assert overtaken.value.state == State(fresh())


def test_what_an_older_version_did_not_write_has_its_default(client: Any, item: ThrottleItem) -> None:
    write(client, version=7, breaker={"opened_by": "operator", "open_until": NOW + 60}, budget={"spent_usd": 0.03})
    assert item.read() == State(fresh(), Breaker(OpenedBy.OPERATOR, open_until=NOW + 60), Budget("", 0.03), version=7)


def test_a_rate_of_an_older_version_lacks_only_what_is_new(client: Any, item: ThrottleItem) -> None:
    write(client, version=7, rate={"next_start": NOW + 0.5})
    assert item.read() == State(replace(fresh(), next_start=NOW + 0.5), version=7)


def test_of_the_rate_that_another_law_left_the_schedule_is_kept_and_the_limit_is_searched_for(
    client: Any, item: ThrottleItem
) -> None:
    older = {"next_start": NOW + 0.5, "spacing": 0.1, "phase": 2, "kept_rate": 9.9, "granted": 700, "line_end": NOW + 9}
    write(client, version=7, rate=older)
    assert item.read() == State(replace(fresh(), next_start=NOW + 0.5, line_end=NOW + 9), version=7)


def test_what_a_newer_version_writes_beside_is_left(client: Any, item: ThrottleItem) -> None:
    newer = {name: asdict(part) | {"news": 1} for name, part in (("breaker", BREAKER), ("budget", BUDGET))}
    write(client, version=7, rate=asdict(fresh()) | {"news": {"of": "it"}}, queue={"length": 3}, **newer)
    state = item.read()
    assert state == State(fresh(), BREAKER, BUDGET, version=7)
    item.replace(state, replace(state, breaker=Breaker()))
    assert (get(client, "ledger", THROTTLE_KEY) or {})["queue"] == {"length": 3}


def test_dynamodb_holds_the_same_conditions(dynamodb: DynamoDBClient, ledger_table: str) -> None:
    item = ThrottleItem(dynamodb, ledger_table, fresh)
    assert item.read() == State(fresh())
    made = item.replace(State(fresh()), State(fresh(), BREAKER, BUDGET))
    assert item.read() == made
    assert types(item.read()) == types(made)
    for stale in (State(fresh()), replace(made, version=5)):
        with pytest.raises(OvertakenError) as overtaken:
            item.replace(stale, replace(made, breaker=Breaker()))
        assert overtaken.value.state == made
    assert item.replace(made, replace(made, breaker=Breaker())) == item.read()
