"""`imagescribe adopt`: what a stack before this one has paid for is not paid again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from imagescribe_ops.commands.main import app
from tests.factories import unique
from tests.unit.stack_in_moto import StackInMoto


def adopt(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["adopt", *arguments], env={"COLUMNS": "1000"})


def paid(content: str, body: str = "a boat") -> dict[str, Any]:
    return {"content": {"S": content}, "body": {"S": body}, "cost_usd": {"N": "0.015"}}


@pytest.fixture
def old(deployed: StackInMoto) -> str:
    """A ledger that another stack has left: two answers, a claim that brought none, and its throttle."""
    name = unique("ledger")
    deployed.dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "content", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "content", "KeyType": "HASH"}],
    )
    claim: dict[str, Any] = {"content": {"S": "claimed-1"}, "holder": {"S": "somebody"}}
    throttle: dict[str, Any] = {"content": {"S": "#throttle"}, "version": {"N": "7"}}
    for item in (paid("one-1"), paid("two-2"), claim, throttle):
        deployed.dynamodb.put_item(TableName=name, Item=item)
    return name


def ledger(deployed: StackInMoto) -> dict[str, Any]:
    items = deployed.dynamodb.scan(TableName=deployed.outputs["LedgerTableName"])["Items"]
    return {item["content"]["S"]: item for item in items}


def test_answers_that_another_stack_has_paid_for_are_in_the_ledger(deployed: StackInMoto, old: str) -> None:
    result = adopt(old)
    assert result.exit_code == 0, result.stderr
    assert "2 of 2 answers" in result.stdout
    kept = ledger(deployed)
    assert kept["one-1"] == paid("one-1")
    assert kept["two-2"] == paid("two-2")
    assert "claimed-1" not in kept
    assert kept.get("#throttle", {}).get("version") != {"N": "7"}


def test_what_this_stack_knows_itself_stays(deployed: StackInMoto, old: str) -> None:
    table, claim = deployed.outputs["LedgerTableName"], {"content": {"S": "two-2"}, "holder": {"S": "a message"}}
    deployed.dynamodb.put_item(TableName=table, Item=paid("one-1", "a ship"))
    deployed.dynamodb.put_item(TableName=table, Item=claim)
    assert json.loads(adopt(old, "--json").stdout) == {"answers": 2, "adopted": 0}
    assert ledger(deployed)["one-1"] == paid("one-1", "a ship")
    assert ledger(deployed)["two-2"] == claim


def test_a_second_time_changes_nothing(deployed: StackInMoto, old: str) -> None:
    adopt(old)
    assert json.loads(adopt(old, "--json").stdout) == {"answers": 2, "adopted": 0}


def test_what_is_no_ledger_is_refused(deployed: StackInMoto) -> None:
    for table in ("nowhere", deployed.outputs["CatalogTableName"], deployed.outputs["LedgerTableName"]):
        result = adopt(table)
        assert result.exit_code == 1
        assert table in result.stderr
        assert "`imagescribe destroy`" in result.stderr
