"""`sam build` and `sam deploy` of the template, from the locked SAM CLI and away from the user's own settings.

What was built is compiled too, which `sam build` has no step for.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from botocore.exceptions import ClientError, WaiterError

from imagescribe_ops.errors import OperationError
from imagescribe_ops.local.emulator import Credentials, no_proxy_for_loopback
from imagescribe_ops.local.processes import Child
from imagescribe_ops.local.tools import PROJECT_DIRECTORY, Tool, tool_binaries
from imagescribe_ops.stack import Connection

TEMPLATE = PROJECT_DIRECTORY / "template.yaml"
CACHE_DIRECTORY = PROJECT_DIRECTORY / ".aws-sam" / "imagescribe"
"""What builds share: `sam build`'s cache of unpacked requirements, and the lock that keeps builds apart."""

BUILD_SECONDS = 300.0
COMPILE_SECONDS = 60.0
DEPLOY_SECONDS = 300.0

TASK_ROOT: Final = "/var/task"
"""Where Lambda unpacks a function: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html"""

LAYER_ROOT: Final = "/opt"
"""Where Lambda unpacks a layer: https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html"""

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


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


def architecture() -> str:
    """Return the architecture of this machine as Lambda calls it: an emulator runs the functions on nothing else."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


def build(directory: Path, template: Path = TEMPLATE, authority: Path | None = None) -> Path:
    """Build the functions with `sam build` into a directory, compile them, and return the built template.

    The source directories in the template are relative to the project, wherever the template itself is. Builds of
    several processes take turns; what they build is kept apart by ``directory``.

    Parameters
    ----------
    authority
        A PEM file of an authority for certificates that the functions trust besides the public ones, where the
        endpoint is one of this machine.

    Raises
    ------
    OperationError
        The template is missing, or the build failed; what SAM or Python said is in the message.
    """
    if not template.is_file():
        raise OperationError(f"{template} is missing.", "Run `imagescribe` from a checkout of the project.")
    with _build_lock():
        # `sam build` keeps what it knows of earlier builds beside the build directory, so that has to be the same one
        # each time; the next build empties it, so what is to be deployed is copied away.
        latest = CACHE_DIRECTORY / "build"
        _sam(
            "build",
            {
                "--template-file": template,
                "--base-dir": PROJECT_DIRECTORY,
                "--build-dir": latest,
                "--cache-dir": CACHE_DIRECTORY / "cache",
                "--parameter-overrides": f"Architecture={architecture()}",
            },
            ["--cached"],
            directory=directory,
            extra={},
            seconds=BUILD_SECONDS,
        )
        built = directory / "build"
        shutil.copytree(latest, built, symlinks=True)
    built_template = built / "template.yaml"
    for part in _built(built_template):
        _compile(part, directory)
        authorities = part.code / "certifi" / "cacert.pem"  # of a function that calls somebody over TLS
        if authority and authorities.exists():
            with authorities.open("ab") as trusted:
                trusted.write(authority.read_bytes())
    return built_template


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
    _sam(
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


@dataclass(frozen=True, slots=True)
class _Built:
    """What `sam build` made of a function or a layer.

    Attributes
    ----------
    runtime
        Such as ``python3.13``.
    root
        Where Lambda unpacks it.
    """

    code: Path
    runtime: str
    root: str


def _built(built_template: Path) -> list[_Built]:
    # `sam build` writes the functions of CloudFormation in their long form, which is plain YAML.
    content: dict[str, Any] = yaml.safe_load(built_template.read_text(encoding="utf-8"))
    shared = content.get("Globals", {}).get("Function", {})
    found: dict[Path, _Built] = {}
    for resource in content["Resources"].values():
        properties = resource.get("Properties", {})
        match resource["Type"]:
            case "AWS::Serverless::Function":
                function = shared | properties
                code = built_template.parent / function["CodeUri"]
                found[code] = _Built(code, function["Runtime"], TASK_ROOT)
            case "AWS::Serverless::LayerVersion":
                code = built_template.parent / properties["ContentUri"]
                found[code] = _Built(code, properties["CompatibleRuntimes"][0], LAYER_ROOT)
    return list(found.values())


def _compile(built: _Built, directory: Path) -> None:
    """Compile what was built for its runtime.

    Lambda cannot write beside the code: what comes uncompiled is compiled again at each cold start, nearly half of it.
    """
    # A runtime has the name of its interpreter. `sam build` found it here too, and another version's compiled modules
    # would be passed over without a word.
    python = tool_binaries(Tool.SAM) / built.runtime
    if not python.exists():
        raise OperationError(
            f"The template asks for {built.runtime}, which the locked tools do not have.",
            "Bring `requires-python` in infra/tools/sam in line with the template's runtime.",
        )
    # unchecked-hash: valid whatever the time of the source, which a zip does not keep. -s, -p: modules name the place
    # where they will be, not the one where they were built.
    options = ["-q", "--invalidation-mode", "unchecked-hash", "-s", str(built.code), "-p", built.root]
    _run(
        f"compileall {built.code.name}",
        [python, "-m", "compileall", *options, built.code],
        environment={},  # the user's PYTHONPYCACHEPREFIX would put them elsewhere
        log_path=directory / f"compile-{built.code.name}.log",
        seconds=COMPILE_SECONDS,
    )


def _sam(
    verb: str,
    options: Mapping[str, str | Path],
    flags: Sequence[str],
    *,
    directory: Path,
    extra: Mapping[str, str],
    seconds: float,
) -> None:
    binaries = tool_binaries(Tool.SAM)
    # An empty one: the project's samconfig.toml is for real deployments.
    config = directory / "samconfig.toml"
    config.write_text("version = 0.1\n", encoding="utf-8")
    arguments = [str(part) for pair in {**options, "--config-file": config}.items() for part in pair]
    _run(
        f"sam {verb}",
        [binaries / "sam", verb, *arguments, *flags],
        environment={**_environment(binaries, directory), **extra},
        log_path=directory / f"sam-{verb}.log",
        seconds=seconds,
    )


def _run(
    name: str, command: Sequence[str | Path], *, environment: Mapping[str, str], log_path: Path, seconds: float
) -> None:
    with (
        log_path.open("w+b") as log,
        Child(command, environment=environment, output=log, directory=PROJECT_DIRECTORY) as child,
    ):
        try:
            status = child.wait(seconds)
        except TimeoutError:
            raise OperationError(
                f"`{name}` took longer than {seconds:.0f} s:\n{_essence(log_path)}", "Try again."
            ) from None
    if status != 0:
        raise OperationError(f"`{name}` failed:\n{_essence(log_path)}", "What it said is above.")


def _environment(binaries: Path, directory: Path) -> dict[str, str]:
    # HOME stays, for pip's and the network's settings; everything that could choose another account, region,
    # template or Python goes.
    gone = ("AWS_", "SAM_", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "DOCKER_HOST")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(gone)}
    # The SAM CLI's notes about itself: not in the user's home, and no look for a newer version over the network.
    notes = directory / "sam-notes"
    notes.mkdir(exist_ok=True)
    note = {"telemetryEnabled": False, "lastVersionCheck": time.time()}
    (notes / "metadata.json").write_text(json.dumps(note), encoding="utf-8")
    return (
        environment
        | no_proxy_for_loopback()
        | {
            # `sam build` looks for an interpreter of the runtime's version with pip: this environment has both.
            "PATH": os.pathsep.join([str(binaries), environment.get("PATH", os.defpath)]),
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "SAM_CLI_TELEMETRY": "0",
            "__SAM_CLI_APP_DIR": str(notes),
            "NO_COLOR": "1",
            "PYTHONWARNINGS": "ignore",
        }
    )


@contextmanager
def _build_lock() -> Iterator[None]:
    CACHE_DIRECTORY.mkdir(parents=True, exist_ok=True)
    with (CACHE_DIRECTORY / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, however this process ends
        yield


def _essence(path: Path, lines: int = 30) -> str:
    """Return what failed and the error that SAM ends with, or its last lines where it does not say."""
    said = _ESCAPES.sub("", path.read_text(encoding="utf-8", errors="replace")).splitlines()
    said = [line.rstrip() for line in said if line.strip()]
    error_at = next((number for number, line in enumerate(said) if line.startswith("Error:")), len(said))
    failures = [line for line in said[:error_at] if "_FAILED" in line]
    return "\n".join([*failures, *said[error_at:]] or said[-lines:])
