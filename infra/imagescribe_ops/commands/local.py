"""The command `imagescribe local`: the stack on this machine, kept up."""

from __future__ import annotations

import os
import shlex
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Console

from imagescribe.model.record import Status
from imagescribe_ops.aws.logs import Logs
from imagescribe_ops.aws.stack import DEFAULT_STACK
from imagescribe_ops.catalog_view import CatalogView
from imagescribe_ops.commands.base import HERE, LATENCY_SECONDS, JsonOption, LatencyOption, StackOption, app
from imagescribe_ops.commands.gateway import (
    DEFAULT_CONCURRENCY,
    InstructionOption,
    MaxConcurrencyOption,
    ModelKeyFileOption,
    ModelOption,
    ModelUrlOption,
    OptionOption,
    model_settings,
)
from imagescribe_ops.commands.hints import program
from imagescribe_ops.commands.story import styled
from imagescribe_ops.contract.addresses import is_loopback
from imagescribe_ops.deployment.parameters import ParameterError, check, read_pairs
from imagescribe_ops.display import Steps, print_json, print_record
from imagescribe_ops.errors import OperationError
from imagescribe_ops.local import state as local_state
from imagescribe_ops.local.pictures import Selection, samples, select, shown_path
from imagescribe_ops.local.processes import Interrupted, interruptible
from imagescribe_ops.local.stack import LocalStack, local_stack
from imagescribe_ops.local.state import LocalState
from imagescribe_ops.project import TEMPLATE
from imagescribe_ops.template import parameter_definitions

LOOK_SECONDS = 0.5
REACH_SECONDS = 3.0


@app.command(rich_help_panel=HERE)
def local(
    *,
    describe_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Another describe endpoint on this machine, in place of the simulator."),
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A template parameter; may be given several times.")
    ] = None,
    before: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Images, or a folder of them, that are in the bucket before the stack is there, to try `backfill` "
            "and `audit`; may be given several times.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The emulator's port; 0 takes a free one.")] = 0,
    latency: LatencyOption = LATENCY_SECONDS,
    model_url: ModelUrlOption = None,
    model: ModelOption = None,
    model_key_file: ModelKeyFileOption = None,
    instruction: InstructionOption = None,
    max_concurrency: MaxConcurrencyOption = DEFAULT_CONCURRENCY,
    option: OptionOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not print what becomes of each image.")] = False,
    stack: StackOption = DEFAULT_STACK,
    as_json: JsonOption = False,
) -> None:
    """Keep the stack up on this machine until Ctrl-C or SIGTERM, which leave nothing behind.

    Prints a line for each image's outcome. With `--json`, one line of JSON says where everything is as soon as it is
    ready, and nothing else is printed on standard output. From another terminal, the other commands reach it with
    `--local`.

    An endpoint is told where a picture is and fetches it, so one elsewhere cannot be used here: this machine's bucket
    is out of its reach. For the real endpoint deploy to AWS. A vision model gets the pictures themselves, so
    `--model-url` and `--model` take any, here or hosted.

    Examples: `imagescribe local` · `imagescribe local --parameter MaxAttempts=3 --json` ·
    `imagescribe local --before ~/Pictures`
    """
    parameters = _parameters(parameter or [])
    there_before = _there_before(before or [], parameters)
    if describe_url is not None:
        _check("DescribeUrl", describe_url, "--describe-url")
    described_by = model_settings(
        model_url,
        model,
        model_key_file=model_key_file,
        instruction=instruction,
        max_concurrency=max_concurrency,
        option=option,
    )
    if describe_url is not None and described_by is not None:
        raise typer.BadParameter("goes without --model-url", param_hint="--describe-url")
    if describe_url is not None:
        _check_reachable(describe_url)
    local_state.check_free(stack)
    steps = Steps()
    for left in there_before.left_out:
        steps.say(f"Left out {left.path}: {left.reason}")
    try:
        with (
            steps,
            interruptible(),
            local_stack(
                stack,
                parameters=parameters,
                describe_url=describe_url,
                model=described_by,
                port=port,
                latency_s=latency,
                before=there_before.pictures,
                report=steps.begin,
            ) as up,
        ):
            steps.end()
            with local_state.published(_state(up)):
                if as_json:
                    print_json(_where(up))
                else:
                    _show_local(up, has_key=describe_url is None, before=len(there_before.pictures))
                _stay(up, quiet=quiet or as_json)
    except Interrupted:
        steps.say("Stopped; nothing is left running.")


def _parameters(pairs: list[str]) -> dict[str, str]:
    try:
        parameters = read_pairs(pairs, _known_parameters())
    except ParameterError as error:
        raise typer.BadParameter(str(error), param_hint="--parameter") from None
    if "DescribeUrl" in parameters:
        _check("DescribeUrl", parameters["DescribeUrl"], "--parameter")
    return parameters


def _there_before(paths: list[Path], parameters: Mapping[str, str]) -> Selection:
    """Find what is in the bucket before the stack is there."""
    if not paths:
        return Selection([], [])
    if "ExistingBucketName" in parameters:
        raise typer.BadParameter("makes a bucket, so it goes without ExistingBucketName", param_hint="--before")
    try:
        return select(paths)
    except OperationError as error:
        raise typer.BadParameter(f"{error.problem} {error.advice}", param_hint="--before") from error


def _known_parameters() -> dict[str, dict[str, Any]]:
    return parameter_definitions(TEMPLATE) if TEMPLATE.is_file() else {}


def _check(name: str, value: str, option: str) -> None:
    """Refuse, before anything is built, what the deployment would refuse or could not work with."""
    try:
        check(name, value, _known_parameters())
    except ParameterError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
    if name == "DescribeUrl" and not is_loopback(value):
        raise typer.BadParameter(
            f"an endpoint on {urlsplit(value).hostname} cannot fetch pictures from this machine's 127.0.0.1, so it "
            "would describe none. What works is an endpoint that runs on this machine, such as "
            "http://127.0.0.1:8080/describe; for the real one, deploy to AWS with `imagescribe deploy --guided`",
            param_hint=option,
        )


def _check_reachable(url: str) -> None:
    """Refuse, before anything is built, an endpoint that nobody listens at."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    try:
        with socket.create_connection(address, REACH_SECONDS):
            pass
    except OSError as error:
        raise typer.BadParameter(
            f"nobody listens at {parts.netloc} ({error.strerror or error}). Start your endpoint first",
            param_hint="--describe-url",
        ) from error


def _state(up: LocalStack) -> LocalState:
    return LocalState(
        pid=os.getpid(),
        stack=up.name,
        endpoint_url=up.cloud.endpoint_url,
        region=up.cloud.region,
        access_key_id=up.cloud.credentials.access_key_id,
        secret_access_key=up.cloud.credentials.secret_access_key,
    )


def _where(up: LocalStack) -> dict[str, object]:
    where: dict[str, object] = asdict(_state(up))
    del where["pid"]
    return where | {"outputs": dict(up.all_outputs)}


def _show_local(up: LocalStack, *, has_key: bool, before: int) -> None:
    console = Console(highlight=False, soft_wrap=True)
    cloud = up.cloud
    if model := cloud.describer.model:
        describes = f" ({model.model} at {model.model_url})"
    else:
        describes = " (the simulator)" if has_key else ""
    console.print()
    print_record(
        console,
        [
            ("AWS emulator", f"{cloud.endpoint_url} (region {cloud.region})"),
            ("describe endpoint", cloud.describe_url + describes),
            ("log", str(cloud.emulator.log_path)),
            ("stack", up.name),
            ("bucket", f"s3://{up.outputs.bucket_name}"),
        ],
    )
    option = "" if up.name == DEFAULT_STACK else f" --stack {up.name}"
    sample = samples().pictures[0]
    run = f"  {program()}"
    lines = ["", "From another terminal:", ""]
    if not has_key:
        lines += ["  # first of all, the endpoint's key", f"{run} key set --local{option}", ""]
    if before:
        lines += [
            f"  # describe what was in the bucket before: {before} image{'s' * (before > 1)}",
            f"{run} backfill --local{option}",
            "  # is anything missing?",
            f"{run} audit --local{option}",
        ]
    lines += [
        "  # upload an image, and wait for its prompt",
        f"{run} upload --local{option} --wait {shlex.quote(str(shown_path(sample.path)))}",
        "  # what became of it",
        f"{run} get --local{option} s3://{up.outputs.bucket_name}/{shlex.quote(sample.path.name)}",
        f"{run} list --local{option}",
        f"{run} status --local{option} --watch",
        f"{run} logs --local{option} --follow",
        "  # with the AWS CLI",
        f"  AWS_ENDPOINT_URL={cloud.endpoint_url} AWS_REGION={cloud.region} \\",
        f"    AWS_ACCESS_KEY_ID={cloud.credentials.access_key_id} \\",
        f"    AWS_SECRET_ACCESS_KEY={shlex.quote(cloud.credentials.secret_access_key)} \\",
        f"    aws s3 ls s3://{up.outputs.bucket_name}",
        "",
        "Ctrl-C ends it all.",
        "",
    ]
    console.print("\n".join(lines), markup=False)


def _stay(up: LocalStack, *, quiet: bool) -> None:
    """Show what becomes of each image, until the emulator ends or this is interrupted."""
    console = Console(highlight=False, soft_wrap=True)
    catalog = CatalogView(up.connection, up.outputs.catalog_table_name)
    log, looked_at = Logs.of_stack(up.connection, up.outputs), time.time()
    news = log.follow(looked_at, seconds=0)
    while up.cloud.emulator.is_running():
        began = time.time()
        try:
            lines = [] if quiet else next(news)
            ended = [line.image for line in lines if line.status in {Status.DESCRIBED, Status.SKIPPED, Status.REJECTED}]
            words = {record.image: record.prompt or record.error for record in catalog.get_many(ended)}
        except OperationError:  # it ends just now, or did not answer for once
            lines, words, began = [], {}, looked_at
            news = log.follow(looked_at, seconds=0)
        looked_at = began
        for line in lines:
            text = styled(line, words.get(line.image, ""))
            if console.is_terminal:
                text.truncate(console.width, overflow="ellipsis")
            console.print(text)
        time.sleep(LOOK_SECONDS)
    raise OperationError(f"The AWS emulator ended:\n{up.cloud.emulator.log_tail()}", "See its log above.")
