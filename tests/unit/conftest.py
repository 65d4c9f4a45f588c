"""What the unit tests share: AWS as moto plays it, a clock that a test moves, and the simulator of the endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import boto3
import hypothesis
import pytest
from moto import mock_aws

from imagescribe.aws.s3 import CLIENT_CONFIG
from imagescribe_ops.simulator import Simulator, SimulatorClient, SimulatorSettings
from tests import sam_template
from tests.factories import API_KEY, Clock, unique
from tests.unit import quicker_moto, stages
from tests.unit.stage import Stage

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

# The same examples each time, so that the test command says the same of the same code. `--hypothesis-profile=search`
# looks for new ones. No deadline, since a machine may be busy with other things.
hypothesis.settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.register_profile("search", deadline=None, max_examples=2_000)
hypothesis.settings.load_profile("repeatable")

quicker_moto.cut_short()

REGION: Final = "eu-central-1"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def session() -> boto3.Session:
    """One for all tests, with its clients: making them takes longer than most tests."""
    return boto3.Session("testing", "testing", "session/token+of=testing", REGION)


@pytest.fixture(scope="module")
def aws(session: boto3.Session) -> Iterator[boto3.Session]:
    """A session with moto's AWS, for one module: tests in it share it, under names of their own."""
    with mock_aws():
        yield session


@pytest.fixture(scope="session")
def s3_client(session: boto3.Session) -> S3Client:
    return session.client("s3", config=CLIENT_CONFIG)


@pytest.fixture(scope="session")
def dynamodb_client(session: boto3.Session) -> DynamoDBClient:
    return session.client("dynamodb")


@pytest.fixture(scope="session")
def sqs_client(session: boto3.Session) -> SQSClient:
    return session.client("sqs")


@pytest.fixture(scope="module")
def s3(aws: boto3.Session, s3_client: S3Client) -> S3Client:
    return s3_client


@pytest.fixture(scope="module")
def dynamodb(aws: boto3.Session, dynamodb_client: DynamoDBClient) -> DynamoDBClient:
    return dynamodb_client


@pytest.fixture(scope="module")
def sqs(aws: boto3.Session, sqs_client: SQSClient) -> SQSClient:
    return sqs_client


@pytest.fixture(scope="module")
def eventbridge(aws: boto3.Session) -> EventBridgeClient:
    return aws.client("events")


@pytest.fixture(scope="module")
def secrets(aws: boto3.Session) -> SecretsManagerClient:
    return aws.client("secretsmanager")


@pytest.fixture(scope="module")
def bucket(s3: S3Client) -> str:
    return make_bucket(s3)


@pytest.fixture(scope="module")
def versioned_bucket(s3: S3Client) -> str:
    name = make_bucket(s3)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture(scope="module")
def ledger_table(dynamodb: DynamoDBClient) -> str:
    return make_table(dynamodb, "LedgerTable")


@pytest.fixture(scope="module")
def catalog_table(dynamodb: DynamoDBClient) -> str:
    return make_table(dynamodb, "CatalogTable")


def make_bucket(s3: S3Client) -> str:
    name = unique("imagescribe-test")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


def make_table(dynamodb: DynamoDBClient, logical_id: str) -> str:
    """A table as the template defines it, so that the tests can't know another schema than what is deployed."""
    name = unique(logical_id)
    dynamodb.create_table(TableName=name, **sam_template.table_definition(logical_id))
    return name


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[SimulatorClient]:
    with Simulator(SimulatorSettings(api_key=API_KEY, latency_s=0.0, refusal_s=0.0)) as simulator:
        client = SimulatorClient(simulator.url)
        yield client
        client.close()


@pytest.fixture
def simulator(running_simulator: SimulatorClient) -> SimulatorClient:
    """The simulator of the endpoint, as it was at its start."""
    running_simulator.reset()
    return running_simulator


@pytest.fixture(scope="module")
def clients(s3: S3Client, dynamodb: DynamoDBClient, sqs: SQSClient, secrets: SecretsManagerClient) -> dict[str, object]:
    return {"s3": s3, "dynamodb": dynamodb, "sqs": sqs, "secretsmanager": secrets}


@pytest.fixture
def stage() -> Iterator[Stage]:
    """The describe function among services in memory."""
    with stages.in_memory_stage() as stage:
        yield stage


@pytest.fixture
def moto_stage(aws: boto3.Session, clients: dict[str, object], bucket: str) -> Iterator[Stage]:
    """The same among moto's services, which cost fifty times as much: for what only they know."""
    with stages.moto_stage(aws, clients, bucket) as stage:
        yield stage


@pytest.fixture(params=["moto_stage", "stage"])
def either(request: pytest.FixtureRequest) -> Stage:
    """First the one, then the other, for what has to be the same on both."""
    stage: Stage = request.getfixturevalue(request.param)
    return stage
