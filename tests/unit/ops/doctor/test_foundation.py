"""Credentials, clock, stack, deployment and versions."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from imagescribe_ops.aws import stack
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.doctor import examination, foundation
from imagescribe_ops.doctor.doctor import CHECKS, examine
from imagescribe_ops.doctor.examination import Examination
from imagescribe_ops.doctor.findings import NotCheckedError, State
from tests.unit.conftest import REGION
from tests.unit.ops.doctor.conftest import Make, only

NOON = 1_764_158_400.0
NOON_TEXT = "Wed, 26 Nov 2025 12:00:00 GMT"


def asking(monkeypatch: pytest.MonkeyPatch, now: float, answer: Any) -> Examination:
    """A machine with a clock, which AWS answers at noon."""
    examination = Examination(Connection(region=REGION), "moto", clock=lambda: now)
    monkeypatch.setattr(examination, "client", lambda _service: only(get_caller_identity=answer))
    return examination


def accepted(date: str = NOON_TEXT) -> dict[str, Any]:
    headers = {"date": date} if date else {}
    return {"Arn": "arn:aws:iam::123456789012:user/ann", "ResponseMetadata": {"HTTPHeaders": headers}}


def refused(code: str, date: str = NOON_TEXT) -> Any:
    def raise_it(**_: object) -> None:
        answer: Any = {"Error": {"Code": code, "Message": code}, "ResponseMetadata": accepted(date)["ResponseMetadata"]}
        raise ClientError(answer, "GetCallerIdentity")

    return raise_it


def states(examination: Examination) -> dict[str, State]:
    return {finding.check: finding.state for finding in examine(examination, CHECKS[:2])}


@pytest.mark.parametrize(
    ("seconds", "state"),
    [(0.5, "well"), (-59, "well"), (61, "warning"), (-299, "warning"), (301, "broken"), (-86_400, "broken")],
)
def test_a_clock_is_compared_with_that_of_aws(monkeypatch: pytest.MonkeyPatch, seconds: float, state: str) -> None:
    examination = asking(monkeypatch, NOON + seconds, accepted())
    assert states(examination) == {"credentials": State.WELL, "clock": state}
    found = foundation.clock(examination).found
    if state != "well":
        assert ("ahead of" if seconds > 0 else "behind") in found


def test_a_clock_for_whose_sake_the_credentials_are_refused_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    examination = asking(monkeypatch, NOON + 7200, refused("SignatureDoesNotMatch"))
    assert states(examination) == {"credentials": State.BROKEN, "clock": State.BROKEN}
    assert "2 h 0 min ahead of AWS's" in foundation.clock(examination).found


@pytest.mark.parametrize("answer", [accepted(date=""), refused("InvalidClientTokenId", date="")])
def test_a_clock_that_can_not_be_compared_is_not_checked(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    assert states(asking(monkeypatch, NOON, answer))["clock"] is State.NOT_CHECKED


def test_credentials_that_are_missing_are_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    findings = list(examine(Examination(Connection(region=REGION), "moto")))
    assert (findings[0].state, findings[0].found) == (State.BROKEN, "There are no AWS credentials.")
    assert {finding.state for finding in findings[1:]} == {State.NOT_CHECKED}


@pytest.mark.parametrize(
    ("status", "state", "says"),
    [
        ("UPDATE_COMPLETE", "well", ""),
        ("UPDATE_IN_PROGRESS", "warning", "Wait"),
        ("UPDATE_ROLLBACK_COMPLETE", "warning", "`aws cloudformation describe-stack-events --stack-name moto"),
        ("UPDATE_ROLLBACK_FAILED", "broken", "`aws cloudformation continue-update-rollback --stack-name moto"),
        ("DELETE_FAILED", "broken", "`aws cloudformation describe-stack-events"),
    ],
)
def test_how_the_last_deployment_ended(examined: Make, status: Any, state: str, says: str) -> None:
    examination = examined()
    examination.description["StackStatus"] = status
    verdict = foundation.deployment(examination)
    assert verdict.state == state
    assert says in verdict.mend


@pytest.mark.parametrize(
    ("deployed", "state", "says"),
    [
        ("0.10.2", "well", ""),
        ("0.9.11", "warning", "deploy it again"),
        ("", "warning", "deploy it again"),
        ("0.11.0", "warning", "Take the command of the stack's version"),
    ],
)
def test_versions_are_compared(
    examined: Make, monkeypatch: pytest.MonkeyPatch, deployed: str, state: str, says: str
) -> None:
    monkeypatch.setattr(foundation, "version", lambda _: "0.10.2")
    monkeypatch.setattr(foundation, "read_outputs", lambda *_: {"Version": deployed} if deployed else {})
    verdict = foundation.versions(examined())
    assert verdict.state == state
    assert says in verdict.mend


def test_a_stack_that_is_none_of_ours_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (stack, examination):
        monkeypatch.setattr(module, "describe_stack", lambda *_: {"Outputs": [], "Parameters": []})
    verdict = foundation.stack(Examination(Connection(region=REGION), "theirs"))
    assert verdict.state is State.BROKEN
    assert "The stack theirs has no output" in verdict.found


def test_a_part_that_an_older_stack_lacks_is_not_checked(examined: Make) -> None:
    with pytest.raises(NotCheckedError, match="The stack has no SearchLayer"):
        examined().resource("SearchLayer")
