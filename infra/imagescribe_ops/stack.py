"""A deployed stack: the connection to its account, where its parts are, and how its queues stand."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    ProxyConnectionError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from imagescribe.model.times import iso_utc
from imagescribe.query.errors import QueryError
from imagescribe_ops.display import safe
from imagescribe_ops.errors import NotFoundError, OperationError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

DEFAULT_STACK = "imagescribe"

_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN_KEY = frozenset(
    {
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "AuthFailure",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


class Connection:
    """An AWS account, or an emulator of one, as the standard AWS settings or the arguments say.

    Parameters
    ----------
    region, profile
        In place of the ones in the environment.
    endpoint_url
        Of an emulator; None honours ``AWS_ENDPOINT_URL``.
    access_key_id, secret_access_key
        In place of the credentials in the environment.

    Raises
    ------
    OperationError
        The profile does not exist.
    """

    def __init__(
        self,
        *,
        region: str | None = None,
        profile: str | None = None,
        endpoint_url: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
    ) -> None:
        self._endpoint_url = endpoint_url
        self.profile = profile
        # boto3 by itself reads AWS_DEFAULT_REGION only; the AWS CLI and Lambda know this one.
        region = region or os.environ.get("AWS_REGION") or None
        if region and not _REGION.fullmatch(region):
            raise OperationError(f"{region!r} is no AWS region.", "One is named like eu-central-1 or us-east-1.")
        # A proxy cannot reach this machine's own loopback address.
        host = urlsplit(endpoint_url or os.environ.get("AWS_ENDPOINT_URL", "")).hostname
        no_proxies: dict[str, str] | None = {} if host == "127.0.0.1" else None
        self._config = Config(
            connect_timeout=5,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": 3},
            signature_version="s3v4" if endpoint_url else None,
            proxies=no_proxies,
            use_fips_endpoint=False if endpoint_url else None,
            use_dualstack_endpoint=False if endpoint_url else None,
        )
        with readable_errors():
            self._session = boto3.Session(
                region_name=region,
                profile_name=profile,
                aws_access_key_id=access_key_id,
                aws_secret_access_key=secret_access_key,
                botocore_session=_unconfigured_session() if endpoint_url else None,
            )

    @property
    def region(self) -> str | None:
        """The region that requests go to; None where none is set."""
        return self._session.region_name

    @property
    def endpoint_url(self) -> str | None:
        """The emulator that was named; None where the environment may name one."""
        return self._endpoint_url

    def client(self, service: str) -> Any:
        """Return a client of a service that has no method of its own here."""
        session: Any = self._session  # its types know only services by their literal names
        return session.client(service, endpoint_url=self._endpoint_url, config=self._config)

    def credentials(self) -> ReadOnlyCredentials:
        """Return what requests are signed with that boto3 does not make itself."""
        with readable_errors():
            credentials = self._session.get_credentials()
            if credentials is None:
                raise NoCredentialsError
            return credentials.get_frozen_credentials()

    def reachable(self, function_url: str) -> str:
        """Return a Function URL as it is reached: an emulator has it under its own address."""
        endpoint_url = self._endpoint_url or os.environ.get("AWS_ENDPOINT_URL")
        if not endpoint_url:
            return function_url
        address = urlsplit(function_url)
        url_id = (address.hostname or "").partition(".")[0]
        return f"{endpoint_url.rstrip('/')}/_aws/lambda-url/{url_id}{address.path}"

    def cloudformation(self) -> CloudFormationClient:
        """Return a client of CloudFormation."""
        return self._session.client("cloudformation", endpoint_url=self._endpoint_url, config=self._config)

    def dynamodb(self) -> DynamoDBClient:
        """Return a client of DynamoDB."""
        return self._session.client("dynamodb", endpoint_url=self._endpoint_url, config=self._config)

    def lambda_functions(self) -> LambdaClient:
        """Return a client of Lambda."""
        return self._session.client("lambda", endpoint_url=self._endpoint_url, config=self._config)

    def logs(self) -> CloudWatchLogsClient:
        """Return a client of CloudWatch Logs."""
        return self._session.client("logs", endpoint_url=self._endpoint_url, config=self._config)

    def s3(self) -> S3Client:
        """Return a client of S3."""
        return self._session.client("s3", endpoint_url=self._endpoint_url, config=self._config)

    def secretsmanager(self) -> SecretsManagerClient:
        """Return a client of Secrets Manager."""
        return self._session.client("secretsmanager", endpoint_url=self._endpoint_url, config=self._config)

    def sqs(self) -> SQSClient:
        """Return a client of SQS."""
        return self._session.client("sqs", endpoint_url=self._endpoint_url, config=self._config)


def _unconfigured_session() -> botocore.session.Session:
    """Return a session that knows nothing of the user's profiles: an emulator needs none, and one may be missing."""
    nothing = {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull}
    # Each variable: its name in a configuration file, its environment variable, its value, its conversion.
    return botocore.session.Session(session_vars={name: (None, None, value, None) for name, value in nothing.items()})


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn boto3's errors in the block into `OperationError`, with what to do about them."""
    try:
        yield
    except NoCredentialsError as error:
        raise OperationError(
            "There are no AWS credentials.",
            "Set AWS_PROFILE or run `aws configure`; for a stack that `imagescribe local` keeps up, add --local.",
        ) from error
    except PartialCredentialsError as error:
        raise OperationError(f"The AWS credentials are incomplete: {error}.", "Set both parts of the key.") from error
    except NoRegionError as error:
        raise OperationError("No AWS region is set.", "Add --region, or set AWS_REGION.") from error
    except ProfileNotFound as error:
        raise OperationError(f"{error}.", "See `aws configure list-profiles`.") from error
    except (SSOTokenLoadError, UnauthorizedSSOTokenError, TokenRetrievalError) as error:
        raise OperationError(f"The AWS sign-in has ended: {error}.", "Run `aws sso login`.") from error
    except (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError, HTTPClientError) as error:
        raise OperationError(
            f"AWS could not be reached: {error}.",
            "Check the region, the network and AWS_ENDPOINT_URL; with --local, that `imagescribe local` still runs.",
        ) from error
    except QueryError as error:
        raise OperationError(error.problem, error.advice) from error
    except ClientError as error:
        raise _of_client_error(error) from error
    except BotoCoreError as error:
        raise OperationError(f"{error}.", "Check the AWS settings (environment, ~/.aws/config).") from error


def _of_client_error(error: ClientError) -> OperationError:
    code = error.response.get("Error", {}).get("Code", "")
    message = error.response.get("Error", {}).get("Message", "") or code
    if code in _EXPIRED:
        return OperationError("The AWS credentials have expired.", "Sign in again (`aws sso login`, say).")
    if code in _UNKNOWN_KEY:
        return OperationError(
            f"AWS does not take the credentials ({code}).", "Check AWS_PROFILE or the key, and AWS_ENDPOINT_URL."
        )
    if code in _DENIED:
        return OperationError(
            f"{error.operation_name} is not allowed: {message}", "Use credentials that may, or ask for the permission."
        )
    return OperationError(f"{error.operation_name} failed ({code}): {message}", "Look the code up in AWS's manual.")


@dataclass(frozen=True, slots=True)
class StackOutputs:
    """Where the parts of a stack are: the outputs of the template, under the names that Python gives things.

    What has a default is empty in a stack that has none.
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
        missing = [output for output in _REQUIRED_OUTPUTS if output not in outputs]
        if missing:
            raise OperationError(
                f"The stack {stack} has no output {missing[0]}.",
                "Give the name of an ImageScribe stack with --stack; if it is one, wait until its deployment is done.",
            )
        return cls(**{attribute: outputs[name] for name, attribute in _OUTPUTS.items() if name in outputs})

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


_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+){1,2}-\d{1,2}")

_OUTPUTS = {
    "BucketName": "bucket_name",
    "UploadQueueUrl": "upload_queue_url",
    "DeadLetterQueueUrl": "dead_letter_queue_url",
    "CatalogTableName": "catalog_table_name",
    "LedgerTableName": "ledger_table_name",
    "DescribeFunctionName": "describe_function_name",
    "ApiKeySecretArn": "api_key_secret_arn",
    "RecoverFunctionName": "recover_function_name",
    "BackfillQueueUrl": "backfill_queue_url",
    "BackfillFunctionName": "backfill_function_name",
    "JobsTableName": "jobs_table_name",
    "QueryFunctionName": "query_function_name",
    "QueryUrl": "query_url",
    "SnapshotFunctionName": "snapshot_function_name",
    "IndexBucketName": "index_bucket_name",
    "ImagingFunctionName": "imaging_function_name",
    "DerivedBucketName": "derived_bucket_name",
}
_OPTIONAL_OUTPUTS = {
    "RecoverFunctionName",
    "BackfillQueueUrl",
    "BackfillFunctionName",
    "JobsTableName",
    "QueryFunctionName",
    "QueryUrl",
    "SnapshotFunctionName",
    "IndexBucketName",
    "ImagingFunctionName",
    "DerivedBucketName",
}
_REQUIRED_OUTPUTS = [name for name in _OUTPUTS if name not in _OPTIONAL_OUTPUTS]


def read_outputs(connection: Connection, stack: str) -> dict[str, str]:
    """Return all outputs of a stack by the template's names.

    Raises
    ------
    NotFoundError
        There is no such stack in this account and region.
    """
    outputs = _describe(connection, stack).get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}


def read_deployed(connection: Connection, stack: str) -> tuple[dict[str, str], str]:
    """Return the parameters of a stack, and the second of its first deployment (ISO 8601); see `read_outputs`."""
    described = _describe(connection, stack)
    parameters = {each["ParameterKey"]: each["ParameterValue"] for each in described.get("Parameters", [])}
    created = described.get("CreationTime")
    return parameters, iso_utc(int(created.timestamp())) if created else ""


def describe_stack(connection: Connection, stack: str) -> StackTypeDef:
    """Return a stack as CloudFormation describes it; see `read_outputs`."""
    return _describe(connection, stack)


def _describe(connection: Connection, stack: str) -> StackTypeDef:
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


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """How many messages a queue holds, as SQS estimates it.

    Attributes
    ----------
    visible
        Waiting to be received.
    in_flight
        Received and neither deleted nor visible again: being worked on, or deferred until a time.
    delayed
        Sent with a delay that is not over.
    """

    visible: int
    in_flight: int
    delayed: int

    @property
    def total(self) -> int:
        """All messages in the queue."""
        return self.visible + self.in_flight + self.delayed

    @classmethod
    def read(cls, connection: Connection, queue_url: str) -> Self:
        """Ask SQS."""
        with readable_errors():
            attributes = connection.sqs().get_queue_attributes(
                QueueUrl=queue_url,
                AttributeNames=[
                    "ApproximateNumberOfMessages",
                    "ApproximateNumberOfMessagesNotVisible",
                    "ApproximateNumberOfMessagesDelayed",
                ],
            )["Attributes"]
        return cls(
            visible=int(attributes["ApproximateNumberOfMessages"]),
            in_flight=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
            delayed=int(attributes["ApproximateNumberOfMessagesDelayed"]),
        )


def set_api_key(connection: Connection, secret_arn: str, key: str) -> str:
    """Store the describe endpoint's key, as a plain string, and return the new version's id."""
    with readable_errors():
        answer = connection.secretsmanager().put_secret_value(SecretId=secret_arn, SecretString=key)
    return answer["VersionId"]
