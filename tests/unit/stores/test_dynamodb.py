"""Conditional writes in plain dictionaries: what was put in comes back, and a failed condition brings the item."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from imagescribe.stores.dynamodb import ConditionFailedError, delete_if, get, update_if
from tests.factories import unique

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


@pytest.fixture
def key() -> dict[str, str]:
    return {"content": unique("content")}


def put(client: DynamoDBClient, table: str, key: dict[str, str], **values: Any) -> None:
    update_if(client, table, key, values=values, condition="attribute_not_exists(content)")


def test_what_is_written_is_what_is_read(dynamodb: DynamoDBClient, ledger_table: str, key: dict[str, str]) -> None:
    values: dict[str, Any] = {
        "text": "Café 🦊",
        "empty": "",
        "nothing": None,
        "count": 5,
        "part": 0.1,
        "list": ["a", None],
        "map": {},
    }
    put(dynamodb, ledger_table, key, **values)
    assert get(dynamodb, ledger_table, key) == {**key, **values, "part": Decimal("0.1")}


def test_there_is_nothing_where_nothing_was_written(dynamodb: DynamoDBClient, ledger_table: str) -> None:
    assert get(dynamodb, ledger_table, {"content": unique("content")}) is None


def test_names_that_dynamodb_reserves_are_names_like_others(
    dynamodb: DynamoDBClient, ledger_table: str, key: dict[str, str]
) -> None:
    put(dynamodb, ledger_table, key, status="a", tags="b", error="c", count=1)
    update_if(
        dynamodb,
        ledger_table,
        key,
        values={"status": "d"},
        condition="#status = :old",
        operands={":old": "a"},
        remove=("tags", "error"),
        add={"count": 2},
    )
    assert get(dynamodb, ledger_table, key) == {**key, "status": "d", "count": 3}


def test_an_update_may_only_add_or_only_remove(
    dynamodb: DynamoDBClient, ledger_table: str, key: dict[str, str]
) -> None:
    condition = "attribute_not_exists(body)"
    update_if(dynamodb, ledger_table, key, values={}, condition=condition, add={"claims": 1})
    assert get(dynamodb, ledger_table, key) == {**key, "claims": 1}
    update_if(dynamodb, ledger_table, key, values={}, condition="attribute_exists(claims)", remove=("claims",))
    assert get(dynamodb, ledger_table, key) == key


def test_a_condition_that_does_not_hold_brings_the_item_as_it_is_and_changes_nothing(
    dynamodb: DynamoDBClient, ledger_table: str, key: dict[str, str]
) -> None:
    put(dynamodb, ledger_table, key, part=0.5)
    present = get(dynamodb, ledger_table, key)
    with pytest.raises(ConditionFailedError) as failed:
        put(dynamodb, ledger_table, key, part=0.7)
    assert failed.value.item == present == get(dynamodb, ledger_table, key)


def test_a_condition_on_an_item_that_is_not_there_brings_nothing(
    dynamodb: DynamoDBClient, ledger_table: str, key: dict[str, str]
) -> None:
    with pytest.raises(ConditionFailedError) as failed:
        update_if(dynamodb, ledger_table, key, values={"a": 1}, condition="attribute_exists(content)", operands={})
    assert failed.value.item == {}


def test_an_item_is_deleted_only_if_the_condition_holds(
    dynamodb: DynamoDBClient, ledger_table: str, key: dict[str, str]
) -> None:
    put(dynamodb, ledger_table, key, holder="one")
    with pytest.raises(ConditionFailedError):
        delete_if(dynamodb, ledger_table, key, "holder = :holder", {":holder": "two"})
    assert get(dynamodb, ledger_table, key) is not None
    delete_if(dynamodb, ledger_table, key, "holder = :holder", {":holder": "one"})
    assert get(dynamodb, ledger_table, key) is None


def test_another_error_stays_what_it_is(dynamodb: DynamoDBClient, key: dict[str, str]) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        put(dynamodb, "no-such-table", key, part=1)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        delete_if(dynamodb, "no-such-table", key, "holder = :holder", {":holder": "one"})
