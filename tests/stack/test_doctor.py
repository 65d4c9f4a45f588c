"""Each link of the chain is broken on the deployed stack; the doctor names it, and what it says mends it."""

from __future__ import annotations

import json

import boto3
import pytest

from tests.aws_cli import aws_lines, run_aws
from tests.stack.conftest import Run
from tests.stack.deployment import Deployment, events_client, session_of
from tests.stack.watch import Watch


@pytest.fixture(scope="module")
def deployment(watch: Watch) -> Deployment:
    """The stack that has a simulator of its own, a budget, and alarms that tell a topic."""
    return watch.deployment


@pytest.fixture(scope="module")
def session(deployment: Deployment) -> boto3.Session:
    return session_of(deployment.stack.cloud)


class Doctor:
    """Runs the doctor, and does what it says."""

    def __init__(self, deployment: Deployment, run: Run) -> None:
        self.deployment = deployment
        self._run = run

    def findings(self, *, broken: bool = False) -> dict[str, dict[str, str]]:
        """Return what was found, by the check."""
        found = json.loads(self._run("doctor", "--json", ends_with=int(broken)).stdout)
        return {each["check"]: each for each in found}

    def broken(self, check: str) -> dict[str, str]:
        """Return a check's finding, which alone is that something is broken."""
        found = self.findings(broken=True)
        assert [name for name, each in found.items() if each["state"] == "broken"] == [check], found
        return found[check]

    def mend(self, finding: dict[str, str]) -> None:
        """Run the first command of a finding."""
        cloud = self.deployment.stack.cloud
        run_aws(session_of(cloud), aws_lines(finding["mend"])[0], cloud.endpoint_url)
        assert self.findings()[finding["check"]]["state"] == "well"


@pytest.fixture
def doctor(deployment: Deployment, run: Run) -> Doctor:
    return Doctor(deployment, run)


def resource(deployment: Deployment, logical_id: str) -> str:
    answer = deployment.stack.connection.cloudformation().describe_stack_resource(
        StackName=deployment.stack.name, LogicalResourceId=logical_id
    )
    return answer["StackResourceDetail"]["PhysicalResourceId"]


def test_where_all_is_well_it_says_so(doctor: Doctor) -> None:
    states = {name: each["state"] for name, each in doctor.findings().items()}
    assert set(states.values()) == {"well"}, states


def test_a_bucket_that_tells_eventbridge_of_nothing_keeps_what_else_it_tells(
    deployment: Deployment, doctor: Doctor
) -> None:
    deployment.s3.put_bucket_notification_configuration(Bucket=deployment.bucket, NotificationConfiguration={})
    doctor.mend(doctor.broken("bucket's events"))


def test_a_disabled_rule_is_enabled(deployment: Deployment, doctor: Doctor) -> None:
    events_client(deployment.stack.cloud).disable_rule(Name=resource(deployment, "UploadRule"))
    doctor.mend(doctor.broken("rule"))
