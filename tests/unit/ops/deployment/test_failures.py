"""Why a deployment failed: the first cause, in the words of AWS, and what mends it in ours."""

from __future__ import annotations

import pytest

from imagescribe_ops.deployment.failures import Event, Failure, advice, failures

STACK, INNER = "arn:stack/outer", "arn:stack/inner"


def event(name: str, status: str, reason: str = "", *, kind: str = "AWS::SQS::Queue", physical: str = "") -> Event:
    return {
        "LogicalResourceId": name,
        "ResourceType": kind,
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
        "PhysicalResourceId": physical,
    }


def found(**events: list[Event]) -> list[str]:
    by_stack = {STACK: events["outer"], INNER: events.get("inner", [])}
    return [str(each) for each in failures(STACK, lambda stack: reversed(by_stack[stack]))]


def test_what_was_cancelled_since_another_one_failed_is_not_told() -> None:
    outer = [
        event("Fine", "CREATE_COMPLETE"),
        event("Broken", "CREATE_FAILED", "no such thing"),
        event("Other", "CREATE_FAILED", "Resource creation cancelled"),
        event("outer", "ROLLBACK_IN_PROGRESS", kind="AWS::CloudFormation::Stack", physical=STACK),
    ]
    assert found(outer=outer) == ["Broken (AWS::SQS::Queue): no such thing"]


def test_a_nested_stack_is_looked_into() -> None:
    nested = "AWS::CloudFormation::Stack"
    outer = [event("Observability", "CREATE_FAILED", "Embedded stack was not created", kind=nested, physical=INNER)]
    inner = [
        event("Alarm", "CREATE_FAILED", "no such topic", kind="AWS::CloudWatch::Alarm"),
        event("inner", "CREATE_FAILED", "The following resource(s) failed", kind=nested, physical=INNER),
    ]
    assert found(outer=outer, inner=inner) == ["Alarm (AWS::CloudWatch::Alarm): no such topic"]


def test_a_nested_stack_that_says_nothing_is_told_itself() -> None:
    nested = "AWS::CloudFormation::Stack"
    outer = [event("Observability", "CREATE_FAILED", "no template", kind=nested, physical=INNER)]
    assert found(outer=outer) == [f"Observability ({nested}): no template"]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("User: arn:aws:iam::1:user/x is not authorized to perform: iam:CreateRole", "credentials that may do this"),
        ("imagescribe-dead-letters already exists", "delete it if nothing uses it"),
        ("LimitExceededException: Cannot exceed quota for RolesPerAccount", "Service Quotas"),
        ("Specified ConcurrentExecutions decreases the account's unreserved", "MaximumConcurrency"),
        ("The KMS key is disabled", "Look at the KMS key"),
        ("Rate exceeded", "wait a minute"),
        ("anything else", "Mend what the reason says"),
    ],
)
def test_the_advice_fits_the_reason(reason: str, words: str) -> None:
    assert words in advice([Failure("One", "AWS::X", reason)])


def test_the_advice_names_the_command_that_failed() -> None:
    assert "`imagescribe destroy`" in advice([], "destroy")
