"""A stack for the command: its parts as moto plays them, and what the functions would do to them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cache, partialmethod
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from imagescribe.aws.sqs import message_attributes
from imagescribe.backfill.jobs import Jobs
from imagescribe.model.events import Upload, parse_body
from imagescribe.model.outcomes import Deferred
from imagescribe.model.record import Opened, Status
from imagescribe.model.tags import TagState
from imagescribe.stores.catalog import Catalog
from imagescribe.stores.dynamodb import get
from imagescribe.stores.ledger import Ledger, content_key
from imagescribe.stores.notebook import Notebook, Notes
from imagescribe.throttle import breaker as breakers
from imagescribe.throttle import rate as rates
from imagescribe.throttle.breaker import Breaker, OpenedBy
from imagescribe.throttle.budget import Budget, utc_day
from imagescribe.throttle.item import ThrottleItem
from imagescribe_ops.aws import stack
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.stack import StackOutputs
from imagescribe_ops.operations import Operations
from tests.factories import Clock, make_description, make_picture, make_upload, unique
from tests.unit.conftest import REGION, make_bucket, make_table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import EventSourceMappingConfigurationTypeDef
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient


@dataclass(frozen=True)
class QueuedMessage:
    """A message as it stands in a queue."""

    body: str
    attributes: dict[str, str]


@dataclass(frozen=True)
class StackInMoto:
    """The parts of a stack, as moto plays them, with what the functions would do to them."""

    outputs: dict[str, str]
    s3: S3Client
    sqs: SQSClient
    dynamodb: DynamoDBClient
    lambda_functions: LambdaClient
    parameters: dict[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)

    def operations(self) -> Operations:
        """The operator's hand on it."""
        connection = Connection(region=REGION, access_key_id="testing", secret_access_key="testing")
        outputs = StackOutputs.of_outputs(self.outputs, "moto")
        return Operations(connection, "moto", outputs, self.parameters, clock=self.clock)

    def describe(self) -> dict[str, Any]:
        """The stack as CloudFormation describes it."""
        return {
            "Outputs": [{"OutputKey": name, "OutputValue": value} for name, value in self.outputs.items()],
            "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in self.parameters.items()],
        }

    @property
    def bucket(self) -> str:
        return self.outputs["BucketName"]

    @property
    def jobs(self) -> Jobs:
        return Jobs(self.dynamodb, self.outputs["JobsTableName"], self.clock)

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.dynamodb, self.outputs["CatalogTableName"], self.clock)

    @property
    def notebook(self) -> Notebook:
        """Where the recover function notes what it did."""
        return Notebook(self.dynamodb, self.outputs["LedgerTableName"])

    @property
    def breaker(self) -> Breaker:
        return self._throttle_item().read().breaker

    def notes(self) -> Notes:
        return self.notebook.read()

    def fail(self, times: int) -> None:
        """Let so many calls have failed."""
        self._set_throttle(breaker=replace(self.breaker, failures=times))

    def spend(self, usd: float) -> None:
        """Let so much be spent today, and nothing before."""
        self._set_throttle(budget=Budget(utc_day(self.clock()), usd))

    def open(self, by: OpenedBy, why: str = "because", seconds: float = 900.0) -> None:
        """Let somebody have stopped the calls."""
        self._set_throttle(breaker=breakers.opened(self.breaker, self.clock(), by, why, seconds))

    def send_probe(self) -> None:
        """Let the time be over for which calls were stopped, and a probe be out."""
        self.clock.now = self.breaker.open_until
        self._set_throttle(breaker=breakers.probing(self.breaker, self.clock(), 80.0))

    def _set_throttle(self, *, breaker: Breaker | None = None, budget: Budget | None = None) -> None:
        """Replace parts of the throttle's state."""
        item = self._throttle_item()
        seen = item.read()
        item.replace(seen, replace(seen, breaker=breaker or seen.breaker, budget=budget or seen.budget))

    def _throttle_item(self) -> ThrottleItem:
        return ThrottleItem(self.dynamodb, self.outputs["LedgerTableName"], lambda: rates.fresh(self.clock()))

    def mapping_state(self) -> str:
        return self._mapping()["State"]

    def enable_mapping(self, *, enabled: bool) -> None:
        self.lambda_functions.update_event_source_mapping(UUID=self._mapping()["UUID"], Enabled=enabled)

    def _mapping(self) -> EventSourceMappingConfigurationTypeDef:
        function = self.outputs["DescribeFunctionName"]
        (mapping,) = self.lambda_functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
        return mapping

    def put(self, key: str = "cat.png", **changes: Any) -> Upload:
        """Put a picture into the bucket, and return what an event tells of it."""
        picture = make_picture()
        answer = self.s3.put_object(Bucket=self.bucket, Key=key, Body=picture)
        known = {"etag": answer["ETag"].strip('"'), "size": len(picture), "version_id": answer.get("VersionId")}
        return make_upload(bucket=self.bucket, key=key, **known | changes)

    def record(self, upload: Upload, status: Status, error: str = "no") -> None:
        """Bring the upload's record to a status."""
        assert isinstance(self.catalog.open(upload), Opened)
        match status:
            case Status.DESCRIBED:
                self.catalog.describe(upload, upload.uploaded_at, "a cat", TagState.WRITTEN, 0)
            case Status.WAITING:
                self.catalog.wait(upload, Deferred(self.clock() + 60, error), 1)
            case Status.REJECTED | Status.SKIPPED | Status.DEAD:
                self.catalog.give_up(upload, status, error, 1)

    def pay(self, upload: Upload, body: str = '["a cat"]') -> None:
        """Put a paid answer into the ledger."""
        ledger = Ledger(self.dynamodb, self.outputs["LedgerTableName"], self.clock, self.clock.sleep)
        ledger.save(upload, make_description(body=body), self.clock() + 60)

    def paid(self, upload: Upload) -> dict[str, Any] | None:
        return get(self.dynamodb, self.outputs["LedgerTableName"], content_key(upload))

    def bury(self, body: str, **attributes: str) -> None:
        """Put a message on the dead-letter queue."""
        self.sqs.send_message(
            QueueUrl=self.outputs["DeadLetterQueueUrl"],
            MessageBody=body,
            MessageAttributes=message_attributes(attributes),
        )

    def dead_letters(self) -> list[QueuedMessage]:
        """Look at the dead letters that are shown."""
        return self._messages("DeadLetterQueueUrl")

    def sent(self) -> list[QueuedMessage]:
        """Look at the messages on the upload queue."""
        return self._messages("UploadQueueUrl")

    def sent_to_backfill(self) -> list[QueuedMessage]:
        """Look at the messages on the backfill queue."""
        return self._messages("BackfillQueueUrl")

    def sent_upload(self) -> Upload:
        """Read the only message on the upload queue."""
        (message,) = self.sent()
        (event,) = parse_body(message.body)
        assert isinstance(event, Upload)
        return event

    def message_ids(self, output: str) -> set[str]:
        """Which messages can be received."""
        found = self.sqs.receive_message(
            QueueUrl=self.outputs[output], MaxNumberOfMessages=10, VisibilityTimeout=0
        ).get("Messages", [])
        return {message["MessageId"] for message in found}

    def _messages(self, output: str) -> list[QueuedMessage]:
        url = self.outputs[output]
        found = []
        while messages := self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            found += messages
        for message in found:
            self.sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
            )
        return [
            QueuedMessage(
                message["Body"],
                {name: each["StringValue"] for name, each in message.get("MessageAttributes", {}).items()},
            )
            for message in found
        ]


@dataclass(frozen=True)
class Clients:
    """Clients of one session: making one takes longer than most tests."""

    s3: S3Client
    sqs: SQSClient
    dynamodb: DynamoDBClient
    lambda_functions: LambdaClient
    secretsmanager: SecretsManagerClient

    @staticmethod
    @cache
    def of_session(aws: boto3.Session) -> Clients:
        sqs = aws.client("sqs")
        # The command waits a second for what may yet come, and moto would wait too.
        sqs.meta.events.register("before-parameter-build.sqs.ReceiveMessage", _ask_shortly)
        s3, dynamodb, functions = aws.client("s3"), aws.client("dynamodb"), aws.client("lambda")
        return Clients(s3, sqs, dynamodb, functions, aws.client("secretsmanager"))

    def lend(self, patch: pytest.MonkeyPatch) -> None:
        """Let the command use them."""
        for each in fields(self):
            patch.setattr(Connection, each.name, partialmethod(_lent, getattr(self, each.name)))


def _lent[T](_connection: Connection, client: T) -> T:
    return client


def _ask_shortly(params: dict[str, Any], **_: Any) -> None:
    params["WaitTimeSeconds"] = 0


def make_stack(aws: boto3.Session, **parameters: str) -> StackInMoto:
    """Make the parts of a stack, with the tables' schemas as the template has them."""
    clients = Clients.of_session(aws)
    sqs, functions = clients.sqs, clients.lambda_functions
    function = unique("describe")
    role = _iam(aws).create_role(RoleName=function, AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    functions.create_function(
        FunctionName=function, Runtime="python3.13", Role=role, Handler="a.b", Code={"ZipFile": b"nothing"}
    )
    uploads, dead, backfill, polled = (sqs.create_queue(QueueName=unique("queue"))["QueueUrl"] for _ in range(4))
    # Not the upload queue itself: moto would run the function for each message on it, in a container.
    arn = sqs.get_queue_attributes(QueueUrl=polled, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    functions.create_event_source_mapping(EventSourceArn=arn, FunctionName=function)
    outputs = {
        "BucketName": make_bucket(clients.s3),
        "UploadQueueUrl": uploads,
        "DeadLetterQueueUrl": dead,
        "CatalogTableName": make_table(clients.dynamodb, "CatalogTable"),
        "LedgerTableName": make_table(clients.dynamodb, "LedgerTable"),
        "DescribeFunctionName": function,
        "BackfillQueueUrl": backfill,
        "BackfillFunctionName": function,
        "JobsTableName": make_table(clients.dynamodb, "JobsTable"),
        "ApiKeySecretArn": clients.secretsmanager.create_secret(Name=unique("key"))["ARN"],
    }
    return StackInMoto(outputs, clients.s3, sqs, clients.dynamodb, functions, parameters)


def described(made: StackInMoto, monkeypatch: pytest.MonkeyPatch) -> StackInMoto:
    """Let CloudFormation know a stack, and let the command live by its clock."""
    monkeypatch.setattr(stack, "describe_stack", lambda _connection, _stack: made.describe())
    find = Operations.of_stack
    monkeypatch.setattr(Operations, "of_stack", lambda *names: replace(find(*names), clock=made.clock))
    return made


@cache
def _iam(aws: boto3.Session) -> IAMClient:
    return aws.client("iam")
