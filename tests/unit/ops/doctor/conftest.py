"""A stack in moto as the doctor looks at it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from moto.events.models import EventPattern

from imagescribe_ops.doctor import way_in
from imagescribe_ops.doctor.examination import Examination
from tests.factories import unique
from tests.unit.stack_in_moto import StackInMoto, make_stack

type Make = Callable[..., Examination]


@pytest.fixture
def made(aws: boto3.Session, lent_clients: None) -> StackInMoto:
    return make_stack(aws)


@pytest.fixture
def examined(made: StackInMoto, aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Looks at the stack, deployed an hour ago with some parameters; its rule is as the template makes it."""

    def examine(**parameters: str) -> Examination:
        made.parameters.update(parameters)
        operations = made.operations()
        examination = Examination(operations.connection, "moto", clock=made.clock)
        monkeypatch.setattr(examination, "client", partial(client, aws))
        examination.operations = operations
        now = datetime.fromtimestamp(made.clock(), UTC)
        examination.description = {
            "StackName": "moto",
            "StackStatus": "CREATE_COMPLETE",
            "CreationTime": now - timedelta(hours=1),
        }
        examination.resources = {"UploadRule": unique("rule"), "DescribeRole": "describe-role"}
        monkeypatch.setattr(examination.events, "test_event_pattern", try_pattern)
        for kind in ("Describe", "Imaging", "Recover", "Backfill", "Snapshot", "Query"):
            examination.resources[f"{kind}Function"] = made.outputs["DescribeFunctionName"]
        for kind in ("Ledger", "Catalog", "Jobs"):
            examination.resources[f"{kind}Table"] = made.outputs[f"{kind}TableName"]
        return examination

    return examine


@cache
def client(aws: boto3.Session, service: str) -> Any:
    """A client, made once: making one takes longer than most tests."""
    session: Any = aws
    return session.client(service)


def put_rule(examination: Examination, **changes: Any) -> str:
    """Make the rule and its target, as the template does."""
    name = examination.resource("UploadRule")
    pattern = json.dumps(way_in.expected_pattern(examination))
    examination.events.put_rule(**{"Name": name, "EventPattern": pattern, "State": "ENABLED"} | changes)
    return name


def try_pattern(**asked: str) -> dict[str, bool]:
    """Try a pattern on an event: moto knows how, and does not do it when it is asked."""
    return {"Result": EventPattern.load(asked["EventPattern"]).matches_event(json.loads(asked["Event"]))}


def only(**operations: Any) -> Any:
    """A client that answers some operations, each with what is given, or as a function of its parameters."""

    def answering(answer: Any) -> Any:
        return answer if callable(answer) else lambda **_: answer

    return SimpleNamespace(**{name: answering(answer) for name, answer in operations.items()})
