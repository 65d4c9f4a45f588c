"""What the checks look at: a stack, its parts by the template's names, and who looks."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from imagescribe_ops.account import balance_usd
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.stack import StackOutputs, describe_stack
from imagescribe_ops.doctor.findings import NotCheckedError
from imagescribe_ops.operations import Operations
from imagescribe_ops.standing import Intake

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_lambda.type_defs import EventSourceMappingConfigurationTypeDef
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

DEPLOY: Final = "deploy it again: `imagescribe deploy`"
"""What mends what only a deployment makes."""

GONE: Final = frozenset(
    {
        "404",
        "NoSuchBucket",
        "NotFound",
        "NotFoundException",
        "QueueDoesNotExist",
        "AWS.SimpleQueueService.NonExistentQueue",
        "ResourceNotFoundException",
        "NotFoundError",
    }
)


def anew(part: str) -> str:
    """Say how to get back what CloudFormation believes to be there."""
    return (
        f"CloudFormation believes that it is there: take {part} and what names it out of the template, "
        "`imagescribe deploy`, put it back, and deploy again."
    )


def is_gone(error: ClientError) -> bool:
    """Tell whether AWS says that what was asked for does not exist."""
    return error.response.get("Error", {}).get("Code", "") in GONE


@dataclass
class Examination:
    """A stack that is looked at. What is asked for more than once is read once."""

    connection: Connection
    stack: str
    clock: Callable[[], float] = time.time
    skew_seconds: float | None = None
    """How far this machine's clock is ahead of AWS's, as soon as AWS has answered."""

    # ── The stack ────────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def operations(self) -> Operations:
        """The operator's hand on it."""
        return Operations.of_stack(self.connection, self.stack)

    @property
    def outputs(self) -> StackOutputs:
        """Where its parts are."""
        return self.operations.outputs

    @property
    def parameters(self) -> Mapping[str, str]:
        """What it was deployed with."""
        return self.operations.parameters

    @cached_property
    def description(self) -> StackTypeDef:
        """The stack as CloudFormation describes it."""
        return describe_stack(self.connection, self.stack)

    @cached_property
    def balance_usd(self) -> float | None:
        """What is left on the account; see `account.balance_usd`."""
        return balance_usd(self.operations)

    @cached_property
    def intake(self) -> Intake:
        """Whether calls may start, and how many."""
        return self.operations.intake()

    @cached_property
    def mappings(self) -> list[EventSourceMappingConfigurationTypeDef]:
        """The event source mappings of the describe function."""
        with readable_errors():
            pages = self.lambda_functions.get_paginator("list_event_source_mappings").paginate(
                FunctionName=self.outputs.describe_function_name
            )
            return [each for page in pages for each in page["EventSourceMappings"]]

    @cached_property
    def resources(self) -> dict[str, str]:
        """The physical id of each part, by its name in the template."""
        return self.resources_of(self.stack)

    def resources_of(self, stack: str) -> dict[str, str]:
        """Return the same of another stack, such as a nested one."""
        with readable_errors():
            pages = self.connection.cloudformation().get_paginator("list_stack_resources").paginate(StackName=stack)
            return {
                each["LogicalResourceId"]: each.get("PhysicalResourceId", "")
                for page in pages
                for each in page["StackResourceSummaries"]
            }

    def resource(self, logical_id: str) -> str:
        """Return the physical id of one part.

        Raises
        ------
        NotCheckedError
            The stack, which may be older than this, has none of that name.
        """
        found = self.resources.get(logical_id, "")
        if not found:
            raise NotCheckedError(f"The stack has no {logical_id}.", f"It may be an older one: {DEPLOY}.")
        return found

    # ── Who looks, and where ─────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def caller_arn(self) -> str:
        """Whose credentials these are."""
        with readable_errors():
            try:
                answer = self.client("sts").get_caller_identity()
            except ClientError as error:
                self._compare_clocks(error.response.get("ResponseMetadata", {}))
                raise
        self._compare_clocks(answer["ResponseMetadata"])
        return str(answer["Arn"])

    def _compare_clocks(self, answer: Mapping[str, Any]) -> None:
        date = answer.get("HTTPHeaders", {}).get("date")
        if date:
            self.skew_seconds = self.clock() - parsedate_to_datetime(date).timestamp()

    @property
    def partition(self) -> str:
        """Such as ``aws``."""
        return self.caller_arn.split(":")[1]

    @property
    def account(self) -> str:
        """The account's number."""
        return self.caller_arn.split(":")[4]

    @property
    def region(self) -> str:
        """Where the stack is."""
        return self.connection.region or ""

    def queue_arn(self, url: str) -> str:
        """Return the ARN of a queue of this account."""
        return f"arn:{self.partition}:sqs:{self.region}:{self.account}:{url.rpartition('/')[2]}"

    def rule_arn(self, name: str) -> str:
        """Return the ARN of a rule on the default bus."""
        return f"arn:{self.partition}:events:{self.region}:{self.account}:rule/{name}"

    def role_arn(self, logical_id: str) -> str:
        """Return the ARN of a role of the stack."""
        return f"arn:{self.partition}:iam::{self.account}:role/{self.resource(logical_id)}"

    # ── Clients ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def events(self) -> EventBridgeClient:
        """A client of EventBridge."""
        events: EventBridgeClient = self.client("events")
        return events

    @cached_property
    def lambda_functions(self) -> LambdaClient:
        """A client of Lambda."""
        return self.connection.lambda_functions()

    @cached_property
    def s3(self) -> S3Client:
        """A client of S3."""
        return self.connection.s3()

    @cached_property
    def sqs(self) -> SQSClient:
        """A client of SQS."""
        return self.connection.sqs()

    def client(self, service: str) -> Any:
        """Return a client of a service that is asked for one thing."""
        return self.connection.client(service)

    # ── What mends ───────────────────────────────────────────────────────────────────────────────────────────────────

    def aws(self, *words: str) -> str:
        """Return a command of AWS's own, as it can be pasted, between backticks."""
        where = ["--region", self.region]
        if self.connection.profile:
            where += ["--profile", self.connection.profile]
        if self.connection.endpoint_url:
            where += ["--endpoint-url", self.connection.endpoint_url]
        return f"`{shlex.join(['aws', *words, *where])}`"
