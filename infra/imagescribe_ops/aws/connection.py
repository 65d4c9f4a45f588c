"""The connection to an AWS account, or to an emulator of one."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError

from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.errors import OperationError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+){1,2}-\d{1,2}")


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
        The profile does not exist, or region or address are none.
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
        host = _host(endpoint_url or os.environ.get("AWS_ENDPOINT_URL", ""))
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


def _host(endpoint_url: str) -> str:
    """Return the host of an emulator, or nothing where none is named."""
    try:
        parts = urlsplit(endpoint_url)
        if not endpoint_url or (parts.scheme in {"http", "https"} and parts.hostname):
            return parts.hostname or ""
    except ValueError:
        pass
    raise OperationError(
        f"{endpoint_url!r} is no address that AWS could be at.",
        "Unset AWS_ENDPOINT_URL, or set it to an emulator's, such as http://127.0.0.1:4566.",
    )


def _unconfigured_session() -> botocore.session.Session:
    """Return a session that knows nothing of the user's profiles: an emulator needs none, and one may be missing."""
    nothing = {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull}
    # Each variable: its name in a configuration file, its environment variable, its value, its conversion.
    return botocore.session.Session(session_vars={name: (None, None, value, None) for name, value in nothing.items()})
