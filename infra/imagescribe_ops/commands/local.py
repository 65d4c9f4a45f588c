"""The commands that need no AWS: `demo` and `local`."""

from __future__ import annotations

import os
import shlex
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.text import Text

from imagescribe.stores.catalog import Status
from imagescribe_ops.commands.base import HERE, JsonOption, StackOption, app, complain
from imagescribe_ops.commands.gallery import show_gallery
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
from imagescribe_ops.display import STATUS_STYLES, Steps, print_json, print_record, safe, shown, tags_text
from imagescribe_ops.errors import OperationError
from imagescribe_ops.gateway.settings import GatewaySettings
from imagescribe_ops.local import state as local_state
from imagescribe_ops.local.demo import Demo, DemoResult
from imagescribe_ops.local.deploy import CACHE_DIRECTORY, TEMPLATE
from imagescribe_ops.local.pictures import Selection, samples, select
from imagescribe_ops.local.processes import Interrupted, interruptible
from imagescribe_ops.local.stack import LocalStack, is_loopback, local_stack
from imagescribe_ops.local.state import LocalState
from imagescribe_ops.operations import Operations
from imagescribe_ops.stack import DEFAULT_STACK
from imagescribe_ops.template import constraint_broken, parameter_definitions

DEMO_LATENCY_SECONDS = 1.0
DEMO_LOG = CACHE_DIRECTORY / "demo.log"
"""What the emulator and the functions wrote in the last demo that did not end well."""


@app.command(rich_help_panel=HERE)
def demo(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", show_default=False, help="Images, or folders of them; without: samples."),
    ] = None,
    *,
    latency: Annotated[
        float, typer.Option(min=0, max=60, metavar="SECONDS", help="How long the simulator takes for a description.")
    ] = DEMO_LATENCY_SECONDS,
    model_url: ModelUrlOption = None,
    model: ModelOption = None,
    model_key_file: ModelKeyFileOption = None,
    instruction: InstructionOption = None,
    max_concurrency: MaxConcurrencyOption = DEFAULT_CONCURRENCY,
    option: OptionOption = None,
    open_gallery: Annotated[
        bool, typer.Option("--open", help="End in the gallery, in the browser, until Ctrl-C; see `gallery`.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Describe images on this machine: the whole pipeline, with an emulator of AWS and a simulated endpoint.

    Deploys the real template, uploads the samples or your own images, and prints what became of each. Exits with 0 only
    if every image was described, tagged and paid for once. Nothing is left running or deployed, and nothing costs
    anything: the prompts are the simulator's, made from each picture's size, colours and light.

    With `--model-url` and `--model` a vision model writes the prompts: one of this machine (Ollama, llama.cpp,
    LM Studio, vLLM), or a hosted one, which then gets the pictures and may cost what it costs.

    Examples: `imagescribe demo` · `imagescribe demo ~/Pictures holiday.jpg` ·
    `imagescribe demo --model-url http://127.0.0.1:11434/v1 --model qwen2.5vl`
    """
    described_by = model_settings(
        model_url,
        model,
        model_key_file=model_key_file,
        instruction=instruction,
        max_concurrency=max_concurrency,
        option=option,
    )
    if open_gallery and as_json:
        raise typer.BadParameter("goes without --json", param_hint="--open")
    try:
        selection = select(paths) if paths else samples()
    except OperationError as error:
        complain(error)
        raise typer.Exit(2) from error
    steps = Steps()
    for left in selection.left_out:
        steps.say(f"Left out {left.path}: {left.reason}")
    try:
        with steps, interruptible():
            result = _run_demo(selection, latency, described_by, steps, open_gallery=open_gallery)
    except Interrupted as interrupted:
        steps.say(f"Stopped by {interrupted}; nothing is left running.")
        raise typer.Exit(128 + interrupted.signal_number) from None
    if as_json:
        print_json(result.as_json())
    elif not open_gallery:
        _show_demo(result)
    if result.problems:
        raise typer.Exit(1)


def _run_demo(
    selection: Selection, latency: float, model: GatewaySettings | None, steps: Steps, *, open_gallery: bool
) -> DemoResult:
    began = time.monotonic()
    with local_stack(latency_s=latency, model=model, report=steps.begin) as stack:
        with steps.counting("Describing images", len(selection.pictures)) as counter:
            result = Demo(stack).run(selection.pictures, selection.left_out, counter.advance)
        if result.problems:
            DEMO_LOG.write_text(stack.cloud.emulator.log_text(), encoding="utf-8")
        if open_gallery:
            steps.end()
            _show_demo(result)
            with suppress(Interrupted):
                show_gallery(Operations.of_stack(stack.connection, stack.name))
        steps.begin("Putting everything away")
    steps.end()
    steps.say(f"Everything together: {time.monotonic() - began:.1f} s")
    return result


def _show_demo(result: DemoResult) -> None:
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    for image in result.images:
        console.print()
        console.print(shown(image.picture.key, "bold"))
        seconds = "" if image.seconds is None else f"{image.seconds:.1f} s"
        print_record(
            console,
            [
                ("status", shown(image.status, STATUS_STYLES.get(image.status, ""))),
                ("reason", image.error if image.status != Status.DESCRIBED else ""),
                ("prompt", image.prompt),
                ("model", image.model),
                ("tags", tags_text(image.tags)),
                ("time", seconds),
            ],
        )
    console.print()
    calls = (
        f"{result.paid_calls} calls of {safe(result.model)}"
        if result.model
        else f"{result.paid_calls} paid calls, ${result.usd:.3f} (simulated)"
    )
    console.print(
        f"{result.described} of {len(result.images)} images described, {calls}, {result.seconds:.1f} s", markup=False
    )
    for problem in result.problems:
        console.print(Text.assemble(("Problem: ", "bold red"), safe(problem)))
    if result.problems:
        console.print(
            f"Look at the reasons above, and at the functions' and the emulator's log in {DEMO_LOG}; "
            "`imagescribe local` keeps the same stack up, to look around in.",
            markup=False,
        )


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
    port: Annotated[int, typer.Option(min=0, max=65535, help="The emulator's port; 0 takes a free one.")] = 0,
    latency: Annotated[
        float, typer.Option(min=0, max=60, metavar="SECONDS", help="How long the simulator takes for a description.")
    ] = DEMO_LATENCY_SECONDS,
    model_url: ModelUrlOption = None,
    model: ModelOption = None,
    model_key_file: ModelKeyFileOption = None,
    instruction: InstructionOption = None,
    max_concurrency: MaxConcurrencyOption = DEFAULT_CONCURRENCY,
    option: OptionOption = None,
    stack: StackOption = DEFAULT_STACK,
    as_json: JsonOption = False,
) -> None:
    """Keep the stack up on this machine until Ctrl-C or SIGTERM, which leave nothing behind.

    With `--json`, one line of JSON says where everything is as soon as it is ready, and nothing else is printed on
    standard output. From another terminal, the other commands reach it with `--local`.

    An endpoint is told where a picture is and fetches it, so one elsewhere cannot be used here: this machine's bucket
    is out of its reach. For the real endpoint deploy to AWS. A vision model gets the pictures themselves, so
    `--model-url` and `--model` take any, here or hosted.

    Examples: `imagescribe local` · `imagescribe local --parameter MaxAttempts=3 --json`
    """
    parameters = _parameters(parameter or [])
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
    steps = Steps()
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
                report=steps.begin,
            ) as up,
        ):
            steps.end()
            with local_state.published(_state(up)):
                if as_json:
                    print_json(_where(up))
                else:
                    _show_local(up, has_key=describe_url is None)
                _stay(up)
    except Interrupted:
        steps.say("Stopped; nothing is left running.")


def _parameters(pairs: list[str]) -> dict[str, str]:
    known = _known_parameters()
    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--parameter")
        if known and name not in known:
            raise typer.BadParameter(
                f"the template has no {name!r}; it has {', '.join(known)}", param_hint="--parameter"
            )
        _check(name, value, "--parameter")
        parameters[name] = value
    return parameters


def _known_parameters() -> dict[str, dict[str, Any]]:
    return parameter_definitions(TEMPLATE) if TEMPLATE.is_file() else {}


def _check(name: str, value: str, option: str) -> None:
    """Refuse, before anything is built, what the deployment would refuse or could not work with."""
    definition = _known_parameters().get(name)
    if definition and (broken := constraint_broken(definition, value)):
        raise typer.BadParameter(f"{name} {broken}; it is {value!r}", param_hint=option)
    if name == "DescribeUrl" and not is_loopback(value):
        raise typer.BadParameter(
            f"an endpoint on {urlsplit(value).hostname} cannot fetch pictures from this machine's 127.0.0.1, so it "
            "would describe none. What works is an endpoint that runs on this machine, such as "
            "http://127.0.0.1:8080/describe; for the real one, deploy to AWS with `sam deploy --guided`",
            param_hint=option,
        )


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


def _show_local(up: LocalStack, *, has_key: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    cloud = up.cloud
    if cloud.model:
        describes = f" ({cloud.model.model} at {cloud.model.model_url})"
    else:
        describes = " (the simulator)" if has_key else ""
    console.print()
    print_record(
        console,
        [
            ("AWS emulator", f"{cloud.endpoint_url} (region {cloud.region})"),
            ("describe endpoint", cloud.describe_url + describes),
            ("stack", up.name),
            *up.all_outputs.items(),
        ],
    )
    option = "" if up.name == DEFAULT_STACK else f" --stack {up.name}"
    bucket = up.outputs.bucket_name
    lines = ["", "From another terminal:", ""]
    if not has_key:
        lines += ["  # first of all, the endpoint's key", f"  uv run imagescribe key set --local{option}", ""]
    lines += [
        "  # upload an image with the AWS CLI",
        f"  export AWS_ENDPOINT_URL={cloud.endpoint_url} AWS_REGION={cloud.region} \\",
        f"    AWS_ACCESS_KEY_ID={cloud.credentials.access_key_id} \\",
        f"    AWS_SECRET_ACCESS_KEY={shlex.quote(cloud.credentials.secret_access_key)}",
        f"  aws s3 cp photo.jpg s3://{bucket}/",
        "",
        "  # what became of it",
        f"  uv run imagescribe get --local{option} s3://{bucket}/photo.jpg",
        f"  uv run imagescribe list --local{option}",
        f"  uv run imagescribe status --local{option}",
        "",
        "Ctrl-C ends it all.",
    ]
    console.print("\n".join(lines), markup=False)


def _stay(up: LocalStack) -> None:
    while up.cloud.emulator.is_running():
        time.sleep(0.5)
    raise OperationError(f"The AWS emulator ended:\n{up.cloud.emulator.log_tail()}", "See its log above.")
