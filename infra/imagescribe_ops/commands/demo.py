"""The command `imagescribe demo`: the main job on this machine, and then nothing is left of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from imagescribe.model.record import Status
from imagescribe_ops.commands.base import HERE, LATENCY_SECONDS, JsonOption, LatencyOption, app
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
from imagescribe_ops.commands.hints import complain, pasteable
from imagescribe_ops.display import STATUS_STYLES, Steps, print_json, print_record, safe, shown, tags_text
from imagescribe_ops.errors import OperationError
from imagescribe_ops.gateway.settings import GatewaySettings
from imagescribe_ops.local.demo import Demo, DemoResult, ImageResult
from imagescribe_ops.local.pictures import Selection, samples, select, shown_path
from imagescribe_ops.local.processes import Interrupted, interruptible
from imagescribe_ops.local.stack import local_stack
from imagescribe_ops.operations import Operations
from imagescribe_ops.project import CACHE_DIRECTORY

DEMO_LOG = CACHE_DIRECTORY / "demo.log"
"""What the emulator and the functions wrote in the last demo that did not end well."""


@app.command(rich_help_panel=HERE)
def demo(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", show_default=False, help="Images, or folders of them; without: samples."),
    ] = None,
    *,
    latency: LatencyOption = LATENCY_SECONDS,
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
            show = _show_nothing if as_json else _show_image
            result = _run_demo(selection, latency, described_by, steps, show, open_gallery=open_gallery)
    except Interrupted as interrupted:
        steps.say(f"Stopped by {interrupted}; nothing is left running.")
        raise typer.Exit(128 + interrupted.signal_number) from None
    if as_json:
        print_json(result.as_json())
    else:
        _show_total(result)
    if result.problems:
        raise typer.Exit(1)


def _show_nothing(_result: ImageResult) -> None:
    pass


def _run_demo(
    selection: Selection,
    latency: float,
    model: GatewaySettings | None,
    steps: Steps,
    show: Callable[[ImageResult], None],
    *,
    open_gallery: bool,
) -> DemoResult:
    began = time.monotonic()
    with local_stack(latency_s=latency, model=model, report=steps.begin) as stack:
        with steps.counting("Describing images", len(selection.pictures)) as counter:

            def ended(result: ImageResult) -> None:
                with steps.aside():
                    show(result)
                counter.advance()

            result = Demo(stack).run(selection.pictures, selection.left_out, ended)
        if result.problems:
            DEMO_LOG.write_text(stack.cloud.emulator.log_text(), encoding="utf-8")
        if open_gallery:
            steps.end()
            with suppress(Interrupted):
                show_gallery(Operations.of_stack(stack.connection, stack.name))
        steps.begin("Putting everything away")
    steps.end()
    steps.say(f"Everything together: {time.monotonic() - began:.1f} s")
    return result


def _show_image(image: ImageResult) -> None:
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
    console.print()
    console.print(shown(image.picture.key, "bold").append(f"  {safe(str(shown_path(image.picture.path)))}", "dim"))
    tags = dict(image.tags)
    prompt = tags.pop("prompt", "")
    cut_prompt = f"prompt=(the prompt, {len(prompt)} characters of it)" if prompt else ""
    print_record(
        console,
        [
            ("status", shown(image.status, STATUS_STYLES.get(image.status, ""))),
            ("reason", image.error if image.status != Status.DESCRIBED else ""),
            ("prompt", image.prompt),
            ("model", image.model),
            ("tags", ", ".join(filter(None, (cut_prompt, tags_text(tags))))),
            ("time", "" if image.seconds is None else f"{image.seconds:.1f} s"),
        ],
    )


def _show_total(result: DemoResult) -> None:
    console = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
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
            + pasteable("`imagescribe local` keeps the same stack up, to look around in."),
            markup=False,
        )
