"""How checks are made: each by itself, and what can't be checked is never well."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.doctor.doctor import CHECKS, Check, examine
from imagescribe_ops.doctor.examination import Examination
from imagescribe_ops.doctor.findings import Finding, NotCheckedError, State, Verdict, broken, warning, well
from imagescribe_ops.doctor.permissions import missing_permission
from tests.unit.conftest import REGION


def refused(operation: str, code: str = "AccessDenied", message: str = "Access Denied") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def raising(error: Exception) -> Check:
    def look(_examination: Examination) -> Verdict:
        raise error

    return Check("failing", look, needs=())


def made(*checks: Check) -> list[Finding]:
    return list(examine(Examination(Connection(region=REGION), "moto"), checks))


def test_what_needs_a_broken_link_names_it_and_the_others_go_on() -> None:
    first, second, third, last = made(
        Check("first", lambda _: broken("gone", "make it"), needs=()),
        Check("second", lambda _: well("never asked"), needs=["first"]),
        Check("third", lambda _: well("never asked"), needs=["second"]),
        Check("last", lambda _: warning("odd", "look"), needs=()),
    )
    assert first == Finding("first", State.BROKEN, "gone", "make it")
    assert (second.state, second.found, second.waits_for) == (State.NOT_CHECKED, "It needs the check 'first'.", "first")
    assert third.waits_for == "first"
    assert last == Finding("last", State.WARNING, "odd", "look")


def test_a_warning_is_built_upon() -> None:
    _, second = made(
        Check("first", lambda _: warning("odd", "look"), needs=()), Check("second", lambda _: well("asked"), ["first"])
    )
    assert second.state is State.WELL


@pytest.mark.parametrize(
    ("error", "permission"),
    [
        (refused("HeadBucket", "403", "Forbidden"), "s3:ListBucket"),
        (refused("GetBucketNotificationConfiguration"), "s3:GetBucketNotification"),
        (refused("ListSubscriptionsByTopic", "AuthorizationError"), "sns:ListSubscriptionsByTopic"),
        (
            refused("DescribeRule", "AccessDeniedException", "User: me is not authorized to perform: events:X on y"),
            "events:X",
        ),
        (refused("SomethingNew"), "SomethingNew"),
        (refused("GetSecretValue", "AccessDeniedException", "Access to KMS is not allowed"), "kms:Decrypt"),
        (refused("ReceiveMessage", "KMS.AccessDeniedException", ""), "kms:Decrypt"),
    ],
)
def test_a_refusal_names_the_permission(error: ClientError, permission: str) -> None:
    (finding,) = made(raising(error))
    assert (finding.state, finding.found) == (State.NOT_CHECKED, f"The permission {permission} is missing.")
    assert finding.mend


def test_what_fails_otherwise_is_not_checked_either() -> None:
    (finding,) = made(raising(refused("DescribeRule", "InternalFailure", "try later")))
    assert (finding.state, finding.found) == (
        State.NOT_CHECKED,
        "DescribeRule failed (InternalFailure): try later",
    )
    assert missing_permission(refused("DescribeRule", "InternalFailure")) == ""
    (finding,) = made(raising(NotCheckedError("too dark", "light")))
    assert (finding.state, finding.found, finding.mend) == (State.NOT_CHECKED, "too dark", "light")


def test_every_check_has_a_name_of_its_own_and_needs_what_comes_before() -> None:
    names = [check.name for check in CHECKS]
    assert len(set(names)) == len(names)
    for check in CHECKS:
        assert set(check.needs) <= set(names[: names.index(check.name)])
