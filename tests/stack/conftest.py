"""One cloud for the whole run, and the stacks in it: each is deployed when a test first asks for it.

What takes long waits for most of its time: it begins before the first test and goes on beside the others, and the tests
that look at what came of it are marked with it (`beside`) and come last.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Protocol

import pytest
from typer.testing import CliRunner, Result

from imagescribe_ops.audit import audit
from imagescribe_ops.commands.main import app
from imagescribe_ops.local.stack import LocalCloud
from imagescribe_ops.simulator import SimulatorClient, SimulatorSettings, start_simulator
from tests.certificates import CERTIFICATES
from tests.conftest import ALONE, OPERATED
from tests.stack.bodies import SAMPLE_BUCKET
from tests.stack.deployment import Deployment, events_client, session_of
from tests.stack.secrecy import left_behind, secrets_in
from tests.stack.watch import Watch

# Retries and refusals come quickly, a failing image is given up soon, and a picture need not be large to be too large.
QUICK = {
    "RetryBaseSeconds": "1",
    "AnswerTimeoutSeconds": "5",
    "MaxAttempts": "3",
    "MaxImageBytes": "250000",
    "MaximumConcurrency": "2",
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "last: run after all other tests, for what only shows late")
    config.addinivalue_line(
        "markers", "beside(work): run last, on the `outcome` of some work that begins before all tests"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: any(item.iter_markers("beside")) or 2 * any(item.iter_markers("last")))


class Stacks:
    """What is deployed into the cloud."""

    def __init__(self, cloud: LocalCloud, exits: ExitStack) -> None:
        self.cloud = cloud
        self._exits = exits
        self.deployments: list[Deployment] = []
        self.keys = {cloud.api_key}
        """Every API key that was in use."""

    def deploy(
        self, name: str, simulator: SimulatorClient | None = None, *, recovers: bool = False, **parameters: str
    ) -> Deployment:
        """Deploy the template as it is, with quick parameters and those given.

        Unless it is told to recover, the schedules of its functions are off: dead letters stay where the tests look for
        them, and no stack starts a process each minute for nothing.
        """
        deployment = Deployment(self.cloud.deploy(name, parameters=QUICK | parameters), simulator)
        if not recovers:
            self._stop_schedules(deployment)
        self.deployments.append(deployment)
        return deployment

    def _stop_schedules(self, deployment: Deployment) -> None:
        events = events_client(self.cloud)
        outputs = deployment.outputs
        for name in (outputs.recover_function_name, outputs.backfill_function_name):
            function = deployment.lambda_functions.get_function_configuration(FunctionName=name)
            for rule in events.list_rule_names_by_target(TargetArn=function["FunctionArn"])["RuleNames"]:
                events.disable_rule(Name=rule)

    def bucket(self, name: str, *, versioned: bool = False) -> str:
        """Make a bucket that tells nobody of its objects."""
        s3 = self.cloud.connection.s3()
        s3.create_bucket(Bucket=name)
        if versioned:
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def with_own_simulator(
        self, name: str, *, settings: Mapping[str, Any] | None = None, recovers: bool = False, **parameters: str
    ) -> Deployment:
        """Deploy a stack that calls a simulator of its own, which can be broken without harm to others."""
        own = replace(SimulatorSettings(api_key=self.cloud.api_key, latency_s=0.1), **settings or {})
        # Over TLS, as the real endpoint is called.
        simulator = self._exits.enter_context(start_simulator(own, certificate=CERTIFICATES.server))
        url = {"DescribeUrl": simulator.describe_url}
        return self.deploy(name, simulator.client, recovers=recovers, **url | parameters)


type Work = Callable[[Stacks], Any]
"""Something that takes long."""


@pytest.fixture(scope="session", autouse=True)
def _no_settings_of_the_user() -> Iterator[None]:
    """Keep boto3 in this process off the user's account, whatever a test forgets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)  # hints say how the command is run
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(scope="session")
def stacks() -> Iterator[Stacks]:
    """The emulator and the simulator, and what is deployed in them."""
    with LocalCloud(latency_s=0.1, authority=CERTIFICATES.authority) as cloud, ExitStack() as exits:
        stacks = Stacks(cloud, exits)
        yield stacks
        assert secrets_in(stacks.keys, left_behind(stacks.deployments)) == []


@pytest.fixture(scope="session")
def _begun(request: pytest.FixtureRequest, _no_settings_of_the_user: None) -> Iterator[dict[Work, Future[Any]]]:
    """What goes on beside the tests. What is not done by the end of them ends with the cloud."""
    works = [mark.kwargs["work"] for item in request.session.items for mark in item.iter_markers("beside")]
    stacks: Stacks | None = request.getfixturevalue("stacks") if works else None
    if works:
        request.getfixturevalue("stack")  # before all else, so that the first tests do not wait for other deployments
    pool = ThreadPoolExecutor(4)
    yield {work: pool.submit(work, stacks) for work in dict.fromkeys(works)}
    pool.shutdown(wait=False, cancel_futures=True)


@pytest.fixture(scope="module", autouse=True)
def _goes_on_beside(request: pytest.FixtureRequest) -> None:
    """Begin it in the process whose tests wait for it."""
    if request.path.stem.removeprefix("test_") not in OPERATED + ALONE:
        request.getfixturevalue("_begun")


@pytest.fixture
def outcome(request: pytest.FixtureRequest, _begun: dict[Work, Future[Any]]) -> Any:
    """What came of the work that a test is marked with."""
    return _begun[request.node.get_closest_marker("beside").kwargs["work"]].result()


@pytest.fixture(scope="session")
def stack(stacks: Stacks) -> Deployment:
    """The stack that most tests use, with a bucket of its own."""
    return stacks.deploy("imagescribe")


@pytest.fixture(scope="session")
def by_hand(stacks: Stacks) -> Deployment:
    """A stack whose bucket tells of nothing, so that tests send the events themselves."""
    return stacks.deploy("by-hand", ExistingBucketName=stacks.bucket(SAMPLE_BUCKET))


@pytest.fixture(scope="session")
def versioned(stacks: Stacks) -> Deployment:
    """A stack on a bucket with versions, whose S3 notifications go straight into the upload queue.

    The emulator leaves `version-id` out of its EventBridge events, which real ones of such buckets always have.
    """
    bucket = stacks.bucket("versioned-pictures", versioned=True)
    deployment = stacks.deploy("versioned", ExistingBucketName=bucket)
    url = deployment.outputs.upload_queue_url
    attributes = deployment.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn", "Policy"])["Attributes"]
    policy = json.loads(attributes["Policy"])
    policy["Statement"].append(notifications_of(bucket, attributes["QueueArn"]))
    deployment.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    deployment.s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [
                {"QueueArn": attributes["QueueArn"], "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
            ]
        },
    )
    return deployment


@pytest.fixture(scope="session")
def watch(stacks: Stacks) -> Watch:
    """A stack of its own, whose alarms tell a topic."""
    session = session_of(stacks.cloud)
    sns: Any = session.client("sns", endpoint_url=stacks.cloud.endpoint_url)
    sqs = session.client("sqs", endpoint_url=stacks.cloud.endpoint_url)
    topic = sns.create_topic(Name="on-call")["TopicArn"]
    heard = sqs.create_queue(QueueName="on-call")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=heard, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "sns.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": arn,
            }
        ]
    }
    sqs.set_queue_attributes(QueueUrl=heard, Attributes={"Policy": json.dumps(policy)})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    deployment = stacks.with_own_simulator("watched", AlarmTopicArn=topic, DailyBudgetUsd="25")
    cloudwatch = session.client("cloudwatch", endpoint_url=stacks.cloud.endpoint_url)
    return Watch(deployment, cloudwatch, heard)


class Run(Protocol):
    """Runs the command, as typed with `typed` on its standard input."""

    def __call__(self, *arguments: str, typed: str | None = None, ends_with: int = 0) -> Result: ...


type Ask = Callable[..., Any]
"""Runs the command with `--json`, and returns what it answers."""


@pytest.fixture
def run(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command as a shell would run it on the module's own deployment. Its audit has no patience."""
    monkeypatch.setattr(audit, "UNDERWAY_SECONDS", -60.0)
    cloud = deployment.stack.cloud
    environment = {
        "AWS_ENDPOINT_URL": cloud.endpoint_url,
        "AWS_REGION": cloud.region,
        "AWS_ACCESS_KEY_ID": cloud.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": cloud.credentials.secret_access_key,
    }

    def invoke(*arguments: str, typed: str | None = None, ends_with: int = 0) -> Result:
        command = [*arguments, "--stack", deployment.stack.name]
        result = CliRunner().invoke(app, command, input=typed, env=environment)
        assert result.exit_code == ends_with, result.output
        return result

    return invoke


@pytest.fixture
def ask(run: Run) -> Ask:
    return lambda *arguments, **options: json.loads(run(*arguments, "--json", **options).stdout)


def notifications_of(bucket: str, queue_arn: str) -> dict[str, Any]:
    """Return the statement of a queue's policy that lets a bucket's notifications in."""
    return {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}},
    }
