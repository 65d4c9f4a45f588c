"""`gateway`, and the options of it that `demo` and `local` have too."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Console

from imagescribe_ops.commands.base import HERE, JsonOption, app
from imagescribe_ops.contract.addresses import Reach
from imagescribe_ops.display import Steps, cut, print_json, print_record, safe
from imagescribe_ops.gateway.settings import MAX_SIDE, GatewaySettings
from imagescribe_ops.gateway.start import first_call, listening
from imagescribe_ops.local.processes import Interrupted, interruptible

if TYPE_CHECKING:
    from imagescribe_ops.gateway.gateway import Call

ModelUrlOption = Annotated[
    str | None,
    typer.Option(metavar="URL", help="A vision model's OpenAI-compatible API, such as http://127.0.0.1:11434/v1."),
]
ModelOption = Annotated[str | None, typer.Option(metavar="NAME", help="The model's name there, such as qwen2.5vl.")]
ModelKeyFileOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The key of a model that asks for one.", dir_okay=False)
]
InstructionOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="What the model is asked, in place of our words.", dir_okay=False)
]
MaxConcurrencyOption = Annotated[
    int, typer.Option(min=1, max=1000, metavar="CALLS", help="How many calls the model gets at once.")
]
OptionOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=JSON", help="For the model's request, such as max_tokens=600; several times."),
]
DEFAULT_CONCURRENCY = 2


def model_settings(
    model_url: str | None,
    model: str | None,
    *,
    model_key_file: Path | None,
    instruction: Path | None,
    max_concurrency: int,
    option: list[str] | None,
    **more: Any,
) -> GatewaySettings | None:
    """Return the settings that the options ask for; None where they ask for no model."""
    if model_url is None and model is None:
        return None
    if model_url is None:
        raise typer.BadParameter("goes with --model-url", param_hint="--model")
    if not model:
        raise typer.BadParameter("says which of its models, and is missing", param_hint="--model")
    _check_url(model_url)
    if model_key_file is not None:
        more["model_key"] = _read(model_key_file, "--model-key-file")
    if instruction is not None:
        more["instruction"] = _read(instruction, "--instruction")
    try:
        return GatewaySettings(model_url, model, max_concurrency=max_concurrency, options=_options(option), **more)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--model") from error


@app.command(rich_help_panel=HERE)
def gateway(
    *,
    model_url: ModelUrlOption = None,
    model: ModelOption = None,
    model_key_file: ModelKeyFileOption = None,
    instruction: InstructionOption = None,
    max_concurrency: MaxConcurrencyOption = DEFAULT_CONCURRENCY,
    option: OptionOption = None,
    timeout: Annotated[
        float, typer.Option(min=1, max=900, metavar="SECONDS", help="How long the model may take for a call.")
    ] = 55,
    max_side: Annotated[
        int, typer.Option(min=64, max=MAX_SIDE, metavar="PIXELS", help="Larger pictures are scaled down to this.")
    ] = 1024,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen; without TLS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen; 0 takes a free port.")] = 8080,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The key that callers give; made there if need be.", dir_okay=False),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST[:PORT]", help="Fetch pictures from here too: private, or plain HTTP; several times."
        ),
    ] = None,
    only_allowed_hosts: Annotated[
        bool, typer.Option("--only-allowed-hosts", help="Fetch pictures from nowhere else.")
    ] = False,
    check: Annotated[bool, typer.Option(help="Ask the model for a first description before listening.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Put the describe endpoint's contract in front of a vision model, until Ctrl-C.

    Takes what the endpoint takes, and answers what it answers; a stack uses it with the parameter `DescribeUrl`. It
    fetches pictures from public hosts over HTTPS, and from nowhere inside its own network unless told so, makes them
    smaller, and passes nothing on but their pixels. Whoever calls it from elsewhere needs TLS before it.

    Example: `imagescribe gateway --model-url http://127.0.0.1:11434/v1 --model qwen2.5vl`
    """
    own = {"api_key": _own_key(key_file)} if key_file else {}
    settings = model_settings(
        model_url,
        model,
        model_key_file=model_key_file,
        instruction=instruction,
        max_concurrency=max_concurrency,
        option=option,
        timeout_s=timeout,
        max_side=max_side,
        reach=Reach(frozenset(_host(each) for each in allow_host or []), public=not only_allowed_hosts),
        **own,
    )
    if settings is None:
        raise typer.BadParameter("which model? Such as http://127.0.0.1:11434/v1", param_hint="--model-url")
    steps = Steps()
    try:
        with steps, interruptible():
            _serve(settings, host, port, steps, check=check, key_file=key_file, as_json=as_json)
    except Interrupted:
        steps.say("Stopped.")


def _serve(
    settings: GatewaySettings,
    host: str,
    port: int,
    steps: Steps,
    *,
    check: bool,
    key_file: Path | None,
    as_json: bool,
) -> None:
    with listening(settings, host, port, _tell) as running:
        if check:
            steps.begin(f"Asking {settings.model} for a first description")
            first_call(running)
            steps.end()
        if as_json:
            made = {} if key_file else {"api_key": settings.api_key}
            print_json({"url": running.url, "describe_url": running.describe_url, "model": settings.model, **made})
        else:
            _show(settings, running.describe_url, key_file)
        while True:
            time.sleep(3600)


def _show(settings: GatewaySettings, describe_url: str, key_file: Path | None) -> None:
    reach = settings.reach
    places = [*(["public hosts, over HTTPS"] if reach.public else []), *sorted(reach.allowed)]
    print_record(
        Console(highlight=False, soft_wrap=True),
        [
            ("describe endpoint", describe_url),
            ("its key", f"in {key_file}" if key_file else f"{settings.api_key} (for this run; --key-file keeps one)"),
            ("model", f"{settings.model} at {settings.model_url}"),
            ("pictures from", ", ".join(places) or "nowhere"),
        ],
    )
    print("\nCtrl-C ends it. Calls:", flush=True)


def _tell(call: Call) -> None:
    """Print a line for a call: nothing of a URL but the object's path."""
    status, because = (call.answer.status, call.answer.because) if call.answer else ("gone", "the caller left")
    line = (
        f"{time.strftime('%H:%M:%S')}  {status:<4}  {call.seconds:5.1f} s  {because:<16}  {cut(call.object_path, 200)}"
    )
    sys.stderr.write(safe(line) + "\n")


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        is_url = False
    if not is_url:
        raise typer.BadParameter(f"{url!r} is no http or https URL", param_hint="--model-url")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise typer.BadParameter("is a plain URL; a key goes into --model-key-file", param_hint="--model-url")


def _read(path: Path, option: str) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise typer.BadParameter(f"{path} can't be read: {reason}", param_hint=option) from error
    if not text:
        raise typer.BadParameter(f"{path} is empty", param_hint=option)
    return text


def _own_key(path: Path) -> str:
    """Read the callers' key from a file, or make one there that only its owner can read."""
    if path.exists():
        return _read(path, "--key-file")
    key = GatewaySettings("", "made").api_key
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise typer.BadParameter(f"{path} can't be made: {error.strerror}", param_hint="--key-file") from error
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(key + "\n")
    return key


def _host(text: str) -> str:
    try:
        parts = urlsplit(f"//{text}")
        is_host = bool(parts.hostname) and parts.netloc == text and "@" not in text and (parts.port or 1) > 0
    except ValueError:
        is_host = False
    if not is_host:
        raise typer.BadParameter(f"{text!r} is no HOST or HOST:PORT, such as 127.0.0.1:4566", param_hint="--allow-host")
    return text.lower()


def _options(pairs: list[str] | None) -> dict[str, object]:
    options: dict[str, object] = {}
    for pair in pairs or []:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{pair!r} is not NAME=JSON", param_hint="--option")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value  # a word needs no quotes
    return options
