"""`sam deploy` of a built template into an emulator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError, WaiterError

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.deployment.sam import sam
from imagescribe_ops.errors import OperationError
from imagescribe_ops.local.emulator import Credentials

DEPLOY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stack is deployed to: an emulator.

    Attributes
    ----------
    endpoint_url, region, credentials
        How to talk to it.
    artifact_bucket
        An existing bucket for the functions' zips.
    """

    endpoint_url: str
    region: str
    credentials: Credentials
    artifact_bucket: str


def deploy(built_template: Path, *, stack: str, parameters: Mapping[str, str], target: Target, directory: Path) -> None:
    """Deploy a built template with `sam deploy` and return when the stack is complete.

    Parameters
    ----------
    directory
        Where files that SAM needs for the time of the run are written.

    Raises
    ------
    OperationError
        The deployment failed; what SAM said is in the message.
    """
    # A file, since on the command line SAM would split values at spaces and read quotes.
    parameter_file = directory / f"parameters-{stack}.yaml"  # JSON is YAML; SAM takes this suffix
    parameter_file.write_text(json.dumps(dict(parameters)), encoding="utf-8")
    overrides = {"--parameter-overrides": f"file://{parameter_file}"} if parameters else {}
    sam(
        "deploy",
        {
            "--template-file": built_template,
            "--stack-name": stack,
            "--region": target.region,
            "--s3-bucket": target.artifact_bucket,
            "--s3-prefix": stack,
            **overrides,
        },
        [
            "--capabilities",
            "CAPABILITY_IAM",
            "CAPABILITY_AUTO_EXPAND",  # asked for where a stack with a transform has a nested one
            "--no-confirm-changeset",
            "--no-fail-on-empty-changeset",
            "--no-progressbar",
        ],
        directory=directory,
        extra={
            "AWS_ENDPOINT_URL": target.endpoint_url,
            "AWS_ACCESS_KEY_ID": target.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": target.credentials.secret_access_key,
            # Between looks at the change set and the stack; 0.5 s is the default, and the emulator is quick.
            "SAM_CLI_POLL_DELAY": "0.2",
        },
        seconds=DEPLOY_SECONDS,
    )


def deploy_again(
    connection: Connection, template: str, *, stack: str, parameters: Mapping[str, str], artifact_bucket: str
) -> None:
    """Deploy what `sam deploy` has deployed before, under another name, and return when the stack is complete.

    The zips are in their bucket already, so CloudFormation is asked itself: the SAM CLI would take three times as long.

    Parameters
    ----------
    template
        As `sam deploy` sent it.
    artifact_bucket
        Where the template is put, since a request holds no more than 51,200 bytes of one.

    Raises
    ------
    OperationError
        The deployment failed.
    """
    cloudformation = connection.cloudformation()
    s3, key = connection.s3(), f"{stack}/template"
    try:
        s3.put_object(Bucket=artifact_bucket, Key=key, Body=template.encode())
        cloudformation.create_stack(
            StackName=stack,
            TemplateURL=f"{s3.meta.endpoint_url}/{artifact_bucket}/{key}",
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        cloudformation.get_waiter("stack_create_complete").wait(
            StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": int(DEPLOY_SECONDS)}
        )
    except (ClientError, WaiterError) as error:
        raise OperationError(f"The stack {stack} could not be deployed: {error}", "See its events.") from error


def restate_concurrency(connection: Connection, function_name: str) -> None:
    """Set the concurrency of a function's queue once more, as a number.

    The emulator keeps a number that comes from a template's parameter as text, which its poller then fails to compare.
    """
    functions = connection.lambda_functions()
    for mapping in functions.list_event_source_mappings(FunctionName=function_name)["EventSourceMappings"]:
        concurrency = int(mapping["ScalingConfig"]["MaximumConcurrency"])
        functions.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": concurrency})
