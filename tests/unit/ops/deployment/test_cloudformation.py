"""A change set from its making until it is carried out or taken away, with CloudFormation played by the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from imagescribe_ops.deployment.change_sets import ChangeSets, Proposal
from imagescribe_ops.deployment.cloudformation import CloudFormation
from imagescribe_ops.deployment.standing import REVIEWED, Standing
from imagescribe_ops.errors import OperationError

STACK_ID = "arn:aws:cloudformation:eu-central-1:123456789012:stack/pictures/1"
RUNS = Standing("UPDATE_COMPLETE", {"KeyPrefix": ""}, {"LedgerTableName": "ledger"})


def refusal(code: str, message: str, operation: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def change(name: str, kind: str = "AWS::Lambda::Function", **more: Any) -> dict[str, Any]:
    return {"ResourceChange": {"Action": "Modify", "LogicalResourceId": name, "ResourceType": kind, **more}}


@dataclass
class Client:
    """CloudFormation's client: one stack, its change sets, and what it was asked to do."""

    status: str = REVIEWED
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of DescribeChangeSet, where it is not one without changes, by the name of the change set or its first part."""
    sets: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    asked: list[dict[str, Any]] = field(default_factory=list)

    def describe_stacks(self, **_: str) -> dict[str, Any]:
        if not self.status:
            raise refusal("ValidationError", "Stack with id pictures does not exist")
        return {"Stacks": [{"StackId": STACK_ID, "StackStatus": self.status}]}

    def create_change_set(self, **asked: Any) -> dict[str, Any]:
        self.asked.append(asked)
        self.sets.append(asked["ChangeSetName"])
        return {"Id": asked["ChangeSetName"], "StackId": STACK_ID}

    def describe_change_set(self, **asked: str) -> dict[str, Any]:
        nested = self.asked[-1].get("IncludeNestedStacks")
        name = asked["ChangeSetName"]
        if name in self.answers:
            return self.answers[name]
        return self.answers.get("nested" if nested else "plain") or {"Status": "CREATE_COMPLETE"}

    def delete_change_set(self, **asked: str) -> None:
        self.sets.remove(asked["ChangeSetName"])

    def list_change_sets(self, **_: str) -> dict[str, Any]:
        return {"Summaries": [{"ChangeSetName": name, "ChangeSetId": name} for name in self.sets]}

    def delete_stack(self, **_: str) -> None:
        self.done.append("stack deleted")

    def execute_change_set(self, **_: Any) -> None:
        self.done.append("executed")

    def get_paginator(self, _name: str) -> Any:
        event = {"EventId": "1", "Timestamp": datetime(2026, 1, 1, tzinfo=UTC)}
        return SimpleNamespace(paginate=lambda **_: [{"StackEvents": [event]}])


def connection(client: Client) -> Any:
    return SimpleNamespace(cloudformation=lambda: client, region="eu-central-1")


def change_sets(client: Client) -> ChangeSets:
    return ChangeSets(connection(client), "pictures", look_seconds=0)


def propose(client: Client, standing: Standing | None = None) -> Proposal | None:
    return change_sets(client).propose("https://template", standing or Standing(), {}, {})


# ── What is taken away ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_new_stack_that_nobody_agreed_to_goes_with_its_change_set() -> None:
    client = Client()
    proposal = propose(client)
    assert proposal
    change_sets(client).discard(proposal)
    assert client.sets == []
    assert client.done == ["stack deleted"]


@pytest.mark.parametrize("status", ["CREATE_IN_PROGRESS", "CREATE_COMPLETE"])
def test_a_new_stack_that_somebody_else_deployed_meanwhile_stays(status: str) -> None:
    client = Client()
    proposal = propose(client)
    assert proposal
    client.status = status
    change_sets(client).discard(proposal)
    assert client.done == []


def test_a_new_stack_that_somebody_else_is_asked_about_stays() -> None:
    client = Client(sets=["a colleague's"])
    proposal = propose(client)
    assert proposal
    change_sets(client).discard(proposal)
    assert client.sets == ["a colleague's"]
    assert client.done == []


def test_a_change_set_goes_with_its_new_stack_where_aws_takes_that_away_too() -> None:
    client = Client()
    proposal = propose(client)
    assert proposal
    client.status = ""
    change_sets(client).discard(proposal)
    assert client.sets == []


@pytest.mark.parametrize("end", [KeyboardInterrupt(), EndpointConnectionError(endpoint_url="https://aws")])
def test_a_change_set_whose_making_is_broken_off_is_taken_away(
    end: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: str) -> None:
        raise end

    client = Client()
    monkeypatch.setattr(client, "describe_change_set", broken)
    with pytest.raises((KeyboardInterrupt, OperationError)):
        propose(client)
    assert client.sets == []
    assert client.done == ["stack deleted"]


# ── What is in it ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_changes_in_a_nested_stack_stands_in_its_place() -> None:
    nested = change("Observability", "AWS::CloudFormation::Stack", ChangeSetId="of observability")
    inside = [change("StalledAlarm", "AWS::CloudWatch::Alarm"), change("Dashboard", "AWS::CloudWatch::Dashboard")]
    client = Client(
        "UPDATE_COMPLETE",
        {
            "nested": {"Status": "CREATE_COMPLETE", "Changes": [change("DescribeFunction"), nested]},
            "of observability": {"Status": "CREATE_COMPLETE", "Changes": inside},
        },
    )
    proposal = propose(client, RUNS)
    assert proposal
    assert [each.name for each in proposal.changes.resources] == [
        "DescribeFunction",
        "Observability/StalledAlarm",
        "Observability/Dashboard",
    ]


def test_a_nested_stack_that_nothing_is_told_of_is_told_as_a_whole() -> None:
    nested = change("Observability", "AWS::CloudFormation::Stack")
    client = Client("UPDATE_COMPLETE", {"nested": {"Status": "CREATE_COMPLETE", "Changes": [nested]}})
    proposal = propose(client, RUNS)
    assert proposal
    assert [each.name for each in proposal.changes.resources] == ["Observability"]


def test_where_cloudformation_cannot_look_into_nested_stacks_it_is_asked_without() -> None:
    reason = "Nested change set arn:aws:… was not successfully created: Currently in FAILED."
    client = Client(
        "UPDATE_COMPLETE",
        {
            "nested": {"Status": "FAILED", "StatusReason": reason},
            "plain": {"Status": "CREATE_COMPLETE", "Changes": [change("DescribeFunction")]},
        },
    )
    proposal = propose(client, RUNS)
    assert proposal
    assert [each.name for each in proposal.changes.resources] == ["DescribeFunction"]
    assert client.sets == [proposal.change_set]


def test_a_new_stack_has_no_nested_change_sets() -> None:
    client = Client()
    assert propose(client)
    assert not client.asked[0]["IncludeNestedStacks"]


# ── How it is carried out ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("code", ["InvalidChangeSetStatus", "ChangeSetNotFound"])
def test_a_stack_that_was_changed_since_the_change_set_is_told(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(**_: Any) -> None:
        raise refusal(code, "it cannot be executed in its current status of [OBSOLETE]", "ExecuteChangeSet")

    client = Client("UPDATE_COMPLETE")
    proposal = propose(client, RUNS)
    assert proposal
    monkeypatch.setattr(client, "execute_change_set", overtaken)
    with pytest.raises(OperationError, match="was changed meanwhile") as told:
        CloudFormation(connection(client), "pictures").carry_out(proposal, print)
    assert "`imagescribe deploy` again" in told.value.advice


def carry_out(client: Client) -> None:
    proposal = propose(client, RUNS)
    assert proposal
    CloudFormation(connection(client), "pictures").carry_out(proposal, print)


def delete(client: Client) -> None:
    CloudFormation(connection(client), "pictures").delete(print)


@pytest.mark.parametrize(("act", "what"), [(carry_out, "deployment"), (delete, "deletion")])
@pytest.mark.parametrize(
    "error", [EndpointConnectionError(endpoint_url="https://aws"), refusal("ExpiredToken", "The token has expired")]
)
def test_where_aws_is_out_of_sight_it_is_told_that_what_was_begun_goes_on(
    act: Callable[[Client], None], what: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client("UPDATE_COMPLETE")

    def begun(**_: Any) -> None:
        def out_of_sight(_name: str) -> None:
            raise error

        monkeypatch.setattr(client, "get_paginator", out_of_sight)

    monkeypatch.setattr(client, "execute_change_set", begun)
    monkeypatch.setattr(client, "delete_stack", begun)
    with pytest.raises(OperationError, match=f"The {what} goes on in AWS") as told:
        act(client)
    assert "describe-stacks --stack-name pictures" in told.value.advice
