"""The words for a change set, from what AWS answers to DescribeChangeSet."""

from __future__ import annotations

from typing import Any

import pytest

from imagescribe_ops.deployment.changes import Action, Change, Changes, changed_parameters, counted


def answered(action: str, name: str, kind: str, **more: Any) -> Change:
    change: Any = {"Action": action, "LogicalResourceId": name, "ResourceType": f"AWS::{kind}", **more}
    return Change.of_resource_change(change)


def detail(name: str, *, of: str = "", evaluation: str = "Static") -> dict[str, Any]:
    source = (
        {"ChangeSource": "ParameterReference", "CausingEntity": of} if of else {"ChangeSource": "ResourceAttribute"}
    )
    return {"Target": {"Attribute": "Properties", "Name": name}, "Evaluation": evaluation, **source}


def replaced(name: str, kind: str, *, replacement: str = "True", policy: str = "", **more: Any) -> Change:
    policies = {"PolicyAction": policy} if policy else {}
    return answered("Modify", name, kind, PhysicalResourceId="the-old", Replacement=replacement, **policies, **more)


@pytest.mark.parametrize(
    ("change", "action"),
    [
        (answered("Add", "A", "SQS::Queue"), Action.ADD),
        (answered("Import", "A", "SQS::Queue"), Action.ADD),
        (answered("Remove", "A", "SQS::Queue"), Action.REMOVE),
        (answered("Modify", "A", "SQS::Queue", Replacement="True"), Action.REPLACE),
        (answered("Modify", "A", "SQS::Queue", Replacement="Conditional"), Action.MAY_REPLACE),
        (answered("Modify", "A", "SQS::Queue", Replacement="False", Details=[detail("Delay")]), Action.CHANGE),
        (
            answered("Modify", "A", "IAM::Role", Replacement="False", Details=[detail("P", evaluation="Dynamic")]),
            Action.MAY_CHANGE,
        ),
        (answered("Dynamic", "A", "SQS::Queue"), Action.MAY_CHANGE),
    ],
)
def test_what_happens_to_a_resource_has_one_word(change: Change, action: Action) -> None:
    assert change.action is action


def test_a_change_says_what_of_it_changes_and_for_which_parameter() -> None:
    details = [detail("Environment", of="DailyBudgetUsd"), detail("Environment"), detail("MemorySize")]
    change = answered("Modify", "DescribeFunction", "Lambda::Function", Replacement="False", Details=details)
    (line,) = Changes([change]).lines()
    assert line == ("changed", "DescribeFunction (function): environment, memory size (DailyBudgetUsd)")


def test_what_is_alike_is_told_in_one_line() -> None:
    code = [detail("Code")]
    changes = [
        answered("Modify", name, "Lambda::Function", Replacement="False", Details=code) for name in ("One", "Two")
    ]
    assert Changes(changes).lines() == [("changed", "One, Two (functions): code")]


def test_a_new_stack_is_counted_by_kind() -> None:
    kinds = ["DynamoDB::Table"] * 3 + ["S3::BucketPolicy"] * 2 + ["Events::Rule", "ApiGatewayV2::Stage"] * 2
    changes = Changes([answered("Add", f"R{number}", kind) for number, kind in enumerate(kinds)])
    assert changes.lines() == [("added", "3 tables, 2 bucket policies, 2 rules and 2 others")]
    assert changes.losses == []


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("LedgerTable", "DynamoDB::Table", "every image that was paid for would be paid for again"),
        ("CatalogTable", "DynamoDB::Table", "no image that was described would be found"),
        ("Bucket", "S3::Bucket", "what comes into the old one is no longer seen"),
        ("UploadQueue", "SQS::Queue", "what waits in the old one is no longer received"),
        ("ApiKeySecret", "SecretsManager::Secret", "the endpoint's key has to be set again"),
        ("DescribeLogs", "Logs::LogGroup", "a new, empty log group takes its place"),
    ],
)
def test_a_replacement_of_what_holds_data_says_what_is_lost(name: str, kind: str, words: str) -> None:
    changes = Changes([replaced(name, kind)])
    (loss,) = changes.losses
    assert f"{name} (" in loss.warning()
    assert "the-old) IS REPLACED" in loss.warning()
    assert words in loss.warning()
    assert changes.lines() == []  # told once, and loudly


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("ReplaceAndRetain", "The old one stays in the account"),
        ("ReplaceAndDelete", "The old one is DELETED with all that is in it."),
        ("", ""),
    ],
)
def test_a_replacement_says_what_becomes_of_the_old_one_where_that_is_known(policy: str, words: str) -> None:
    warning = replaced("JobsTable", "DynamoDB::Table", policy=policy).warning()
    assert words in warning
    assert ("old one stays" in warning, "DELETED" in warning) == (policy.endswith("Retain"), policy.endswith("Delete"))


def test_a_replacement_names_the_parameter_that_it_comes_of() -> None:
    change = replaced("Bucket", "S3::Bucket", Details=[detail("BucketName", of="ExistingBucketName")])
    assert "This comes of ExistingBucketName." in change.warning()


def test_a_possible_replacement_of_a_table_is_a_loss_too() -> None:
    (loss,) = Changes([replaced("LedgerTable", "DynamoDB::Table", replacement="Conditional")]).losses
    assert "MAY BE REPLACED" in loss.warning()


def test_a_removed_bucket_that_is_retained_is_told_as_such() -> None:
    change = answered("Remove", "Bucket", "S3::Bucket", PhysicalResourceId="pictures", PolicyAction="Retain")
    assert change.loses_data
    assert change.warning().startswith("Bucket (bucket pictures) IS REMOVED; the stack would no longer see")
    assert "stays in the account" in change.warning()


def test_a_replaced_role_is_no_loss_and_what_may_follow_is_one_line() -> None:
    changes = Changes(
        [
            replaced("DescribeRole", "IAM::Role"),
            replaced("EveryMinute", "Events::Rule", replacement="Conditional"),
            replaced("Permission", "Lambda::Permission", replacement="Conditional"),
        ]
    )
    assert changes.losses == []
    assert changes.lines() == [
        ("replaced", "DescribeRole (role)"),
        ("may follow", "1 rule and 1 permission, which refer to what changes; none holds data"),
    ]


def test_parameters_are_told_where_their_value_changes() -> None:
    assert changed_parameters({"A": "1", "B": "2"}, {"A": "1", "B": "3", "C": ""}) == {"B": ("2", "3"), "C": (None, "")}
    assert changed_parameters(None, {"A": "1"}) == {"A": (None, "1")}


@pytest.mark.parametrize(
    ("kinds", "words"),
    [([], ""), (["queue"], "1 queue"), (["rule", "rule", "x"], "2 rules and 1 other"), (["x", "y"], "2 others")],
)
def test_things_are_counted_in_words(kinds: list[str], words: str) -> None:
    assert counted(kinds) == words
