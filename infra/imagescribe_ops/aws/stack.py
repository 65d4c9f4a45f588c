"""A deployed stack: where its parts are, and what it was deployed with."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Self

from botocore.exceptions import ClientError

from imagescribe.model.times import iso_utc
from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.display import safe
from imagescribe_ops.errors import NotFoundError, OperationError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

DEFAULT_STACK = "imagescribe"


@dataclass(frozen=True, slots=True)
class StackOutputs:
    """Where the parts of a stack are: the outputs of the template, under the names that Python gives things.

    What has a default is empty in a stack that has none. `BucketName` is ``bucket_name``, and so on.
    """

    bucket_name: str
    upload_queue_url: str
    dead_letter_queue_url: str
    catalog_table_name: str
    ledger_table_name: str
    describe_function_name: str
    api_key_secret_arn: str
    recover_function_name: str = ""
    backfill_queue_url: str = ""
    backfill_function_name: str = ""
    jobs_table_name: str = ""
    query_function_name: str = ""
    query_url: str = ""
    snapshot_function_name: str = ""
    index_bucket_name: str = ""
    imaging_function_name: str = ""
    derived_bucket_name: str = ""

    @classmethod
    def read(cls, connection: Connection, stack: str) -> Self:
        """Ask CloudFormation for a stack's outputs.

        Raises
        ------
        NotFoundError
            There is no such stack in this account and region.
        OperationError
            It is not an ImageScribe stack, or CloudFormation cannot be asked.
        """
        return cls.of_outputs(read_outputs(connection, stack), stack)

    @classmethod
    def of_outputs(cls, outputs: dict[str, str], stack: str) -> Self:
        """Make it from the template's own output names."""
        of_template = {field.name.title().replace("_", ""): field for field in fields(cls)}
        required = (name for name, field in of_template.items() if field.default is MISSING)
        if missing := next((name for name in required if name not in outputs), None):
            raise OperationError(
                f"The stack {stack} has no output {missing}.",
                "Give the name of an ImageScribe stack with --stack; if it is one, wait until its deployment is done.",
            )
        return cls(**{field.name: outputs[name] for name, field in of_template.items() if name in outputs})

    def own_prefix(self, prefix: str) -> str:
        """Take a prefix that is written as an address, if it is of this bucket.

        Raises
        ------
        OperationError
            It is of another one.
        """
        if not prefix.startswith("s3://"):
            return prefix
        bucket, _, rest = prefix.removeprefix("s3://").partition("/")
        if bucket != self.bucket_name:
            raise OperationError(
                f"The stack does not describe what is in the bucket {safe(bucket)}.",
                f"Its bucket is s3://{self.bucket_name}; name another stack with --stack.",
            )
        return rest


def read_outputs(connection: Connection, stack: str) -> dict[str, str]:
    """Return all outputs of a stack by the template's names.

    Raises
    ------
    NotFoundError
        There is no such stack in this account and region.
    """
    outputs = describe_stack(connection, stack).get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def read_deployed(connection: Connection, stack: str) -> tuple[dict[str, str], str]:
    """Return the parameters of a stack, and the second of its first deployment (ISO 8601); see `read_outputs`."""
    described = describe_stack(connection, stack)
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in described.get("Parameters", [])}
    created = described.get("CreationTime")
    return parameters, iso_utc(int(created.timestamp())) if created else ""


def describe_stack(connection: Connection, stack: str) -> StackTypeDef:
    """Return a stack as CloudFormation describes it; see `read_outputs`."""
    with readable_errors():
        try:
            answer = connection.cloudformation().describe_stacks(StackName=stack)
        except ClientError as error:
            # CloudFormation's word for a missing stack is a ValidationError like any other.
            if "does not exist" not in error.response.get("Error", {}).get("Message", ""):
                raise
            raise NotFoundError(
                f"There is no stack {stack!r} in {connection.region}.",
                "Deploy it with `imagescribe deploy --guided`, or name another with --stack and --region; "
                "for a stack on this machine, run `imagescribe local` and add --local.",
            ) from error
    return answer["Stacks"][0]
