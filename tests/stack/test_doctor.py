"""Each link of the chain is broken on the deployed stack; the doctor names it, and what it says mends it."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests.adapters
from botocore.client import BaseClient
from typer.testing import CliRunner

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.commands.main import app
from imagescribe_ops.doctor import care
from imagescribe_ops.doctor.doctor import CHECKS, examine
from imagescribe_ops.doctor.examination import Examination
from imagescribe_ops.doctor.findings import Finding, State
from imagescribe_ops.doctor.permissions import ACTIONS
from tests import runbook
from tests.aws_cli import aws_lines, run_aws
from tests.certificates import CERTIFICATES
from tests.factories import unique
from tests.stack.conftest import Run, Stacks
from tests.stack.deployment import Deployment, events_client, iam_client, session_of
from tests.stack.watch import Watch

WRONG_KEY = "a-key-of-somebody-else-0123456789"
type Findings = dict[str, Finding]


@pytest.fixture(scope="module")
def deployment(watch: Watch) -> Iterator[Deployment]:
    """The stack that has a simulator of its own, a budget, and alarms that tell a topic; all in it is well."""
    deployment = watch.deployment
    deployment.simulator.reset()
    watch.imagescribe("resume")
    deployment.dead_letters()  # takes them off their queue
    watch.minute()  # the recover function has run
    events = events_client(deployment.stack.cloud)
    rules = [resource(deployment, f"{kind}FunctionEveryMinute") for kind in ("Recover", "Backfill")]
    for rule in rules:
        events.enable_rule(Name=rule)
    yield deployment
    for rule in rules:
        events.disable_rule(Name=rule)


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator's certificate is of an authority that this machine does not know."""
    monkeypatch.setattr(requests.adapters, "DEFAULT_CA_BUNDLE_PATH", str(CERTIFICATES.authority))


class Doctor:
    """Makes the doctor's checks, and does what it says."""

    def __init__(self, deployment: Deployment, run: Run) -> None:
        self.deployment = deployment
        self._run = run

    def findings(self, *checks: str) -> Findings:
        """Return what was found, by the check: all of them, or some."""
        examination = Examination(self.deployment.stack.connection, self.deployment.stack.name)
        made = [check for check in CHECKS if not checks or check.name in (*checks, "credentials", "stack")]
        return {finding.check: finding for finding in examine(examination, made)}

    def ill(self, *checks: str, state: State = State.BROKEN) -> Finding:
        """Return the first of these checks, which alone are in this state."""
        found = self.findings()
        ill = {name: each.state for name, each in found.items() if each.state not in (State.WELL, State.NOT_CHECKED)}
        assert ill == dict.fromkeys(checks, state), found
        return found[checks[0]]

    def mend(self, finding: Finding, typed: str | None = None) -> None:
        """Run the commands that a finding names, ours and AWS's, and see it healed."""
        cloud = self.deployment.stack.cloud
        commands = aws_lines(finding.mend)
        for line in commands:
            run_aws(session_of(cloud), line, cloud.endpoint_url)
        for line in re.findall(r"`imagescribe ([^`]+)`", finding.mend):
            commands.append(line)
            self._run(*shlex.split(line), typed=typed)
        assert commands
        self.healed(finding)

    def healed(self, finding: Finding) -> None:
        assert self.findings(finding.check)[finding.check].state is State.WELL


@pytest.fixture
def doctor(deployment: Deployment, run: Run) -> Doctor:
    return Doctor(deployment, run)


@pytest.fixture
def events(deployment: Deployment) -> Any:
    return events_client(deployment.stack.cloud)


def client(deployment: Deployment, service: str) -> Any:
    session: Any = session_of(deployment.stack.cloud)
    return session.client(service, endpoint_url=deployment.stack.cloud.endpoint_url)


def resource(deployment: Deployment, logical_id: str) -> str:
    answer = deployment.stack.connection.cloudformation().describe_stack_resource(
        StackName=deployment.stack.name, LogicalResourceId=logical_id
    )
    return answer["StackResourceDetail"]["PhysicalResourceId"]


def assert_all_well(run: Run) -> None:
    *lines, summary = run("doctor").stdout.splitlines()
    assert all(re.match(r"✓  [\w' ]+  ", line) for line in lines), lines
    assert summary == f"{len(lines)} well."
    assert len(lines) == len(CHECKS)


def test_where_all_is_well_each_link_has_its_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[str] = set()
    ask: Any = BaseClient._make_api_call  # type: ignore[attr-defined]

    def note(client: BaseClient, operation: str, parameters: Any) -> Any:
        asked.add(operation)
        return ask(client, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", note)
    assert_all_well(run)
    assert asked - set(ACTIONS) == {"GetCallerIdentity"}, "whoever lacks a permission is told which"


# ── The way in ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bucket_that_does_not_tell_eventbridge(deployment: Deployment, doctor: Doctor) -> None:
    deployment.s3.put_bucket_notification_configuration(Bucket=deployment.bucket, NotificationConfiguration={})
    doctor.mend(doctor.ill("bucket's events"))


def test_a_disabled_rule(deployment: Deployment, doctor: Doctor, events: Any) -> None:
    events.disable_rule(Name=resource(deployment, "UploadRule"))
    doctor.mend(doctor.ill("rule"))


def test_a_rule_that_is_gone(deployment: Deployment, doctor: Doctor, events: Any) -> None:
    rule = resource(deployment, "UploadRule")
    events.remove_targets(Rule=rule, Ids=["UploadQueue"])
    events.delete_rule(Name=rule)
    doctor.mend(doctor.ill("rule"))


def test_a_pattern_that_matches_another_bucket(deployment: Deployment, doctor: Doctor, events: Any) -> None:
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": ["another"]}}}
    events.put_rule(Name=resource(deployment, "UploadRule"), EventPattern=json.dumps(pattern))
    doctor.mend(doctor.ill("rule's pattern"))


def test_a_rule_that_sends_nothing_to_the_queue(deployment: Deployment, doctor: Doctor, events: Any) -> None:
    events.remove_targets(Rule=resource(deployment, "UploadRule"), Ids=["UploadQueue"])
    doctor.mend(doctor.ill("rule's target"))


@pytest.mark.parametrize("effect", ["nothing", "denial"])
def test_a_queue_that_does_not_let_the_rule_send(deployment: Deployment, doctor: Doctor, effect: str) -> None:
    url = deployment.outputs.upload_queue_url
    answer = deployment.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    policy = json.loads(answer["Attributes"]["Policy"])
    if effect == "nothing":
        policy["Statement"] = [{**policy["Statement"][0], "Principal": {"Service": "s3.amazonaws.com"}}]
    else:
        policy["Statement"].append(
            {"Effect": "Deny", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:Send*", "Resource": "*"}
        )
    deployment.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    doctor.mend(doctor.ill("queue's policy"))


# ── Who takes it on ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_mappings_that_somebody_disabled(deployment: Deployment, doctor: Doctor) -> None:
    functions = deployment.lambda_functions
    for mapping in functions.list_event_source_mappings(FunctionName=deployment.outputs.describe_function_name)[
        "EventSourceMappings"
    ]:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    doctor.mend(doctor.ill("uploads", "backfill"))


def test_mappings_that_a_pause_disabled_are_so_on_purpose(doctor: Doctor, run: Run) -> None:
    run("pause", "--reason", "who uploads this?")
    finding = doctor.ill("uploads", "backfill", "calls", state=State.WARNING)
    assert "who uploads this?" in finding.found
    doctor.mend(finding)


def test_a_function_that_may_not_run_side_by_side(deployment: Deployment, doctor: Doctor) -> None:
    name = deployment.outputs.describe_function_name
    deployment.lambda_functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    doctor.mend(doctor.ill("concurrency"))


# ── What is asked for the prompt ─────────────────────────────────────────────────────────────────────────────────────


def test_a_key_that_the_endpoint_refuses(stacks: Stacks, deployment: Deployment, doctor: Doctor) -> None:
    stacks.keys.add(WRONG_KEY)
    secret = deployment.outputs.api_key_secret_arn
    deployment.secretsmanager.put_secret_value(SecretId=secret, SecretString=WRONG_KEY)
    doctor.mend(doctor.ill("API key"), typed=deployment.stack.cloud.api_key)


def test_a_balance_that_pays_for_nothing(deployment: Deployment, doctor: Doctor) -> None:
    deployment.simulator.configure(credits_usd=0.5)
    assert doctor.findings("API key", "balance")["balance"].state is State.WARNING
    deployment.simulator.configure(credits_usd=0.0)
    finding = doctor.ill("balance")
    deployment.simulator.reset()
    doctor.mend(finding)


# ── Who looks after it ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_dead_letter(deployment: Deployment, doctor: Doctor, run: Run) -> None:
    deployment.sqs.send_message(QueueUrl=deployment.outputs.dead_letter_queue_url, MessageBody="no JSON")
    finding = doctor.ill("dead letters", state=State.WARNING)
    assert "`imagescribe dead-letters show`" in finding.mend
    run("dead-letters", "purge", "--yes")
    doctor.healed(finding)


def test_schedules_that_are_disabled(deployment: Deployment, doctor: Doctor, events: Any) -> None:
    for kind in ("Recover", "Backfill"):
        events.disable_rule(Name=resource(deployment, f"{kind}FunctionEveryMinute"))
    doctor.mend(doctor.ill("schedules"))


def test_what_runs_by_the_time_is_seen_in_its_log(deployment: Deployment, watch: Watch) -> None:
    examination = Examination(deployment.stack.connection, deployment.stack.name)
    examination.description["CreationTime"] -= timedelta(hours=1)
    watch.minute()
    deployment.lambda_functions.invoke(FunctionName=deployment.outputs.snapshot_function_name)
    for check in (care.recover_runs, care.snapshot_runs):
        assert check(examination).found.startswith("it has run in the last")
    examination.clock = lambda: time.time() + 3600
    assert [check(examination).state for check in (care.recover_runs, care.snapshot_runs)] == ["broken", "warning"]


def test_alarms_that_nobody_hears_of(deployment: Deployment, doctor: Doctor) -> None:
    sns = client(deployment, "sns")
    (heard,) = sns.list_subscriptions()["Subscriptions"]
    sns.unsubscribe(SubscriptionArn=heard["SubscriptionArn"])
    finding = doctor.ill("alarms told")
    doctor.mend(replace(finding, mend=finding.mend.replace("ADDRESS", "ann@example.com")))
    sns.subscribe(TopicArn=heard["TopicArn"], Protocol="sqs", Endpoint=heard["Endpoint"])


def test_an_alarm_that_rings(doctor: Doctor, watch: Watch) -> None:
    watch.told("dead-letters", "ALARM")
    finding = doctor.ill("alarms ringing", state=State.WARNING)
    assert "Runbook: Dead letters." in finding.found
    watch.told("dead-letters", "OK")
    doctor.healed(finding)


# ── What can't be checked ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stack_that_is_not_there(deployment: Deployment) -> None:
    found = list(examine(Examination(deployment.stack.connection, "nowhere")))
    (broken,) = [each for each in found if each.state is State.BROKEN]
    assert (broken.check, broken.found) == ("stack", "There is no stack 'nowhere' in us-east-1.")
    assert {each.waits_for for each in found if each.state is State.NOT_CHECKED} == {"stack"}


def test_credentials_that_aws_does_not_know(deployment: Deployment) -> None:
    cloud = deployment.stack.cloud
    connection = Connection(
        region=cloud.region,
        endpoint_url=cloud.endpoint_url,
        access_key_id="AKIAIOSFODNN7EXAMPLE",
        secret_access_key="nobody's",
    )
    found = {each.check: each for each in examine(Examination(connection, deployment.stack.name))}
    assert found["credentials"].state is State.BROKEN
    assert "AWS does not take the credentials" in found["credentials"].found
    assert {name for name, each in found.items() if each.state is State.WELL} == {"clock"}


@pytest.fixture
def as_user(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Findings]:
    """The doctor as a user runs it who may do everything but some actions."""

    def look(*denied: str) -> Findings:
        cloud = deployment.stack.cloud
        iam = iam_client(cloud)
        name = unique("user")
        iam.create_user(UserName=name)
        statements = [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {"Effect": "Deny", "Action": list(denied), "Resource": "*"},
        ]
        iam.put_user_policy(UserName=name, PolicyName="most", PolicyDocument=json.dumps({"Statement": statements}))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        environment = {
            "AWS_ENDPOINT_URL": cloud.endpoint_url,
            "AWS_REGION": cloud.region,
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }
        result = CliRunner().invoke(app, ["doctor", "--json", "--stack", deployment.stack.name], env=environment)
        assert result.exit_code == 0, result.output
        return {each["check"]: Finding(**each) for each in json.loads(result.stdout)}

    return look


def test_what_may_not_be_looked_at_is_not_checked_and_never_well(as_user: Callable[..., Findings]) -> None:
    denied = {
        "bucket's events": "s3:GetBucketNotification",
        "rule": "events:DescribeRule",
        "rule's target": "events:ListTargetsByRule",
        "queue's policy": "sqs:GetQueueAttributes",
        "uploads": "lambda:ListEventSourceMappings",
        "functions": "lambda:GetFunctionConfiguration",
        "KMS keys": "s3:GetEncryptionConfiguration",
        "concurrency": "cloudwatch:GetMetricStatistics",
        "tables": "dynamodb:DescribeTable",
        "API key": "secretsmanager:GetSecretValue",
        "budget": "dynamodb:GetItem",
        "alarms told": "sns:ListSubscriptionsByTopic",
        "alarms ringing": "cloudwatch:DescribeAlarms",
    }
    found = as_user(*denied.values())
    expected = {check: (State.NOT_CHECKED, f"The permission {action} is missing.") for check, action in denied.items()}
    assert {check: (found[check].state, found[check].found) for check in denied} == expected


def test_a_pattern_that_may_not_be_tried_is_compared(as_user: Callable[..., Findings]) -> None:
    assert as_user("events:TestEventPattern")["rule's pattern"].found == "it is the template's own"


def test_a_stack_that_may_not_be_looked_at_leaves_the_rest_unchecked(as_user: Callable[..., Findings]) -> None:
    found = as_user("cloudformation:*")
    assert "cloudformation:DescribeStacks" in found["stack"].found
    well = {name for name, each in found.items() if each.state == State.WELL}
    assert well == {"credentials", "clock"}


# ── A trial ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trial_is_one_call_and_leaves_nothing_behind(deployment: Deployment, run: Run) -> None:
    before = deployment.simulator.counts().billed
    *_, trial = json.loads(run("doctor", "--try", "--yes", "--json").stdout)
    assert trial["state"] == "well", trial
    steps = r"uploaded in [\d.]+ s, seen [\d.]+ s later, described [\d.]+ s later, its record gone [\d.]+ s after .+"
    assert re.fullmatch(rf"{steps} Its prompt: Simulated .+", trial["found"])
    assert deployment.simulator.counts().billed == before + 1
    listed = deployment.s3.list_objects_v2(Bucket=deployment.bucket).get("Contents", [])
    assert not [each for each in listed if "doctor" in each["Key"]]


def test_nothing_is_tried_where_it_would_fail(deployment: Deployment, doctor: Doctor, run: Run, events: Any) -> None:
    events.disable_rule(Name=resource(deployment, "UploadRule"))
    before = deployment.simulator.counts().calls
    *_, trial = json.loads(run("doctor", "--try", "--yes", "--json", ends_with=1).stdout)
    assert (trial["state"], trial["found"]) == ("not checked", "Not tried: the check 'rule' says why it would fail.")
    assert deployment.simulator.counts().calls == before
    doctor.mend(doctor.ill("rule"))


def test_the_runbook_begins_with_commands_that_work(run: Run) -> None:
    commands = runbook.commands_in(runbook.opening())
    assert ["uv", "run", "imagescribe", "doctor", "--try"] in commands
    for words in commands:
        run(*words[3:], *(["--yes"] if "--try" in words else []))


def test_whatever_was_broken_all_is_well_in_the_end(run: Run) -> None:
    assert_all_well(run)
