"""What a resource's policy says of a request, as AWS decides it."""

from __future__ import annotations

from typing import Any

import pytest

from imagescribe_ops.doctor.policies import Answer, Request, ask

QUEUE, RULE = "arn:aws:sqs:eu-central-1:123456789012:uploads", "arn:aws:events:eu-central-1:123456789012:rule/uploads"
SENDS = Request(
    ["events.amazonaws.com"],
    "sqs:SendMessage",
    QUEUE,
    {"aws:sourcearn": RULE, "aws:securetransport": "true"},
)
ALLOWS = {
    "Effect": "Allow",
    "Principal": {"Service": "events.amazonaws.com"},
    "Action": "sqs:SendMessage",
    "Resource": QUEUE,
    "Condition": {"ArnEquals": {"aws:SourceArn": RULE}},
}
TLS_ONLY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "sqs:*",
    "Resource": [QUEUE],
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"Principal": "*"},
        {"Principal": {"AWS": "*"}},
        {"Principal": {"Service": ["s3.amazonaws.com", "events.amazonaws.com"]}},
        {"Action": "SQS:sendmessage"},
        {"Action": ["sqs:ReceiveMessage", "sqs:Send*"]},
        {"Resource": "*"},
        {"Resource": "arn:aws:sqs:*:*:upload?"},
        {"Condition": {}},
        {"Condition": {"ArnLike": {"AWS:sourcearn": "arn:aws:events:*:123456789012:rule/*"}}},
        {"Condition": {"StringEquals": {"aws:SourceArn": ["another", RULE]}}},
    ],
)
def test_what_a_statement_covers_is_allowed(changes: dict[str, Any]) -> None:
    assert ask({"Statement": [TLS_ONLY, ALLOWS | changes]}, SENDS) is Answer.ALLOWED
    assert ask({"Statement": ALLOWS | changes}, SENDS) is Answer.ALLOWED


@pytest.mark.parametrize(
    "changes",
    [
        {"Principal": {"Service": "s3.amazonaws.com"}},
        {"NotPrincipal": {"Service": "events.amazonaws.com"}},
        {"Action": "sqs:ReceiveMessage"},
        {"NotAction": "sqs:Send*"},
        {"Resource": f"{QUEUE}-other"},
        {"Condition": {"ArnEquals": {"aws:SourceArn": f"{RULE}-other"}}},
        {"Condition": {"ArnNotLike": {"aws:SourceArn": RULE}}},
        {"Condition": {"StringNotEquals": {"aws:SourceArn": RULE}}},
    ],
)
def test_what_a_statement_does_not_cover_it_is_silent_about(changes: dict[str, Any]) -> None:
    statement = {name: value for name, value in (ALLOWS | changes).items() if f"Not{name}" not in changes}
    assert ask({"Statement": [statement]}, SENDS) is Answer.SILENT


def test_a_policy_without_statements_is_silent() -> None:
    assert ask({}, SENDS) is Answer.SILENT


def test_a_denial_stands_over_an_allowance() -> None:
    denies = {"Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": "*"}
    assert ask({"Statement": [ALLOWS, denies]}, SENDS) is Answer.DENIED


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
@pytest.mark.parametrize(
    "condition",
    [{"IpAddress": {"aws:SourceArn": "10.0.0.0/8"}}, {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}],
)
def test_a_condition_that_is_not_understood_is_not_taken_for_an_answer(effect: str, condition: Any) -> None:
    unknown = ALLOWS | {"Effect": effect, "Condition": condition}
    assert ask({"Statement": [unknown]}, SENDS) is Answer.UNKNOWN
