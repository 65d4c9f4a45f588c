"""What was built goes up into a bucket, from where CloudFormation takes it: `sam package`."""

from __future__ import annotations

import os
import re
from hashlib import sha256
from pathlib import Path

from botocore.exceptions import ClientError

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.deployment.sam import sam
from imagescribe_ops.errors import OperationError

PACKAGE_SECONDS = 900.0
"""Some 30 MB go up."""

_PASSED_ON = ("AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")
_CODE = re.compile(r"^\s*(?:CodeUri|ContentUri): s3://([^/\s]+)/", re.MULTILINE)


def package(
    built_template: Path, connection: Connection, stack: str, *, artifact_bucket: str | None, directory: Path
) -> str:
    """Upload the built functions and the template, and return the template's URL.

    Parameters
    ----------
    artifact_bucket
        An existing bucket for them; None for the one that the SAM CLI keeps in each account and region.
    directory
        Where files that SAM needs for the time of the run are written.

    Raises
    ------
    OperationError
        They could not be uploaded.
    """
    packaged = directory / "packaged.yaml"
    bucket = {"--s3-bucket": artifact_bucket} if artifact_bucket else {}
    sam(
        "package",
        {
            "--template-file": built_template,
            "--output-template-file": packaged,
            "--region": connection.region or "",
            "--s3-prefix": stack,
            **bucket,
        },
        ["--no-progressbar", *([] if artifact_bucket else ["--resolve-s3"])],
        directory=directory,
        extra=_environment(connection),
        seconds=PACKAGE_SECONDS,
    )
    content = packaged.read_text(encoding="utf-8")
    found = _CODE.search(content)
    if not found:
        raise OperationError("`sam package` has uploaded no code.", "Try again.")
    # A request holds 51,200 bytes of a template, so CloudFormation gets an address of it.
    key = f"{stack}/{sha256(content.encode()).hexdigest()[:32]}.template"
    s3 = connection.s3()
    with readable_errors():
        account = connection.client("sts").get_caller_identity()["Account"]
        try:
            # Whoever owns the bucket decides what is deployed out of it.
            s3.put_object(Bucket=found[1], Key=key, Body=content.encode(), ExpectedBucketOwner=account)
        except ClientError as error:
            raise _refused(error, found[1]) from error
    return f"{s3.meta.endpoint_url}/{found[1]}/{key}"


def _refused(error: ClientError, bucket: str) -> Exception:
    match error.response.get("Error", {}).get("Code"):
        case "NoSuchBucket":
            return OperationError(f"There is no bucket {bucket}.", "Give another --artifact-bucket.")
        case "AccessDenied":
            return OperationError(
                f"The bucket {bucket} is another account's, or these credentials may not s3:PutObject into it.",
                "Give one of your own as --artifact-bucket.",
            )
        case _:
            return error


def _environment(connection: Connection) -> dict[str, str]:
    """Return the settings of the user's that lead SAM into the same account as the command itself."""
    # Their credentials as they are now, whatever made them: a profile, a sign-in, a role with a code.
    credentials = connection.credentials()
    own = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    environment = own | {
        "AWS_ACCESS_KEY_ID": credentials.access_key or "",
        "AWS_SECRET_ACCESS_KEY": credentials.secret_key or "",
    }
    return environment | ({"AWS_SESSION_TOKEN": credentials.token} if credentials.token else {})
