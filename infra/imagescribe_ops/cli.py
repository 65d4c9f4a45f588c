"""The `imagescribe` command: its arguments and what it prints. The work is done in the modules beside this one."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import sys
import time
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from imagescribe.catalog import Status
from imagescribe_ops import local_state
from imagescribe_ops.catalog_view import CatalogView, ImageRecord, Page
from imagescribe_ops.demo import Demo, DemoResult
from imagescribe_ops.deploy import CACHE_DIRECTORY, TEMPLATE
from imagescribe_ops.display import STATUS_STYLES, Steps, cut, print_json, print_record, safe, shown, tags_text
from imagescribe_ops.errors import NotFoundError, OperationError
from imagescribe_ops.local import LocalStack, local_stack
from imagescribe_ops.local_state import LocalState
from imagescribe_ops.pictures import Selection, samples, select
from imagescribe_ops.processes import Interrupted, interruptible
from imagescribe_ops.stack import DEFAULT_STACK, Connection, QueueDepth, StackOutputs, read_outputs, set_api_key
from imagescribe_ops.template import parameter_names

DEMO_LATENCY_SECONDS = 1.0
DEMO_LOG = CACHE_DIRECTORY / "demo.log"
"""What the emulator and the functions wrote in the last demo that did not end well."""

MAX_KEY_LENGTH = 4096
_STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")


class _Commands(TyperGroup):
    """The commands, with every expected error told in a sentence and never as a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except OperationError as error:
            _complain(error)
            raise typer.Exit(1) from error


def _complain(error: OperationError) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    first, *details = error.problem.splitlines() or [""]
    console.print(Text.assemble(("Error: ", "bold red"), safe(first)))
    for line in details:
        console.print(shown(f"  {line.expandtabs()}"))
    console.print(shown(error.advice))


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Describe every image that lands in an S3 bucket.\n\n"
    "Try it on this machine with `imagescribe demo`; nothing but Python is needed for that. "
    "The other commands talk to the stack that the AWS settings lead to, or with `--local` to the one that "
    "`imagescribe local` keeps up.",
)
key_app = typer.Typer(no_args_is_help=True, help="The describe endpoint's API key.")
app.add_typer(key_app, name="key")


def _stack_name(value: str) -> str:
    if not _STACK_NAME.fullmatch(value):
        raise typer.BadParameter("a stack's name is letters, digits and hyphens, and begins with a letter")
    return value


StackOption = Annotated[str, typer.Option("--stack", metavar="NAME", callback=_stack_name, help="The stack's name.")]
RegionOption = Annotated[
    str | None, typer.Option("--region", metavar="REGION", help="AWS region, in place of AWS_REGION.")
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", metavar="NAME", help="AWS profile, in place of AWS_PROFILE.")
]
LocalOption = Annotated[bool, typer.Option("--local", help="Talk to the stack that `imagescribe local` keeps up.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON on standard output.")]


def _connect(stack: str, region: str | None, profile: str | None, *, local: bool) -> Connection:
    if local:
        if region or profile:
            raise typer.BadParameter("goes without --region and --profile", param_hint="--local")
        return local_state.running(stack).connection()
    return Connection(region=region, profile=profile)


# ── On this machine ──────────────────────────────────────────────────────────────────────────────────────────────────


@app.command()
def demo(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", show_default=False, help="Images, or folders of them; without: samples."),
    ] = None,
    *,
    latency: Annotated[
        float, typer.Option(min=0, max=60, metavar="SECONDS", help="How long the simulator takes for a description.")
    ] = DEMO_LATENCY_SECONDS,
    as_json: JsonOption = False,
) -> None:
    """Describe images on this machine: the whole pipeline, with an emulator of AWS and a simulated endpoint.

    Deploys the real template, uploads the samples or your own images, and prints what became of each. Exits with 0 only
    if every image was described, tagged and paid for once. Nothing is left running or deployed, and nothing costs
    anything: the prompts are the simulator's, made from each picture's size, colours and light.

    Examples: `imagescribe demo` · `imagescribe demo ~/Pictures holiday.jpg`
    """
    try:
        selection = select(paths) if paths else samples()
    except OperationError as error:
        _complain(error)
        raise typer.Exit(2) from error
    steps = Steps()
    for left in selection.left_out:
        steps.say(f"Left out {left.path}: {left.reason}")
    try:
        with interruptible():
            result = _run_demo(selection, latency, steps)
    except Interrupted as interrupted:
        steps.abandon()
        steps.say(f"Stopped by {interrupted}; nothing is left running.")
        raise typer.Exit(128 + interrupted.signal_number) from None
    except BaseException:
        steps.abandon()
        raise
    if as_json:
        print_json(result.as_json())
    else:
        _show_demo(result)
    if result.problems:
        raise typer.Exit(1)


def _run_demo(selection: Selection, latency: float, steps: Steps) -> DemoResult:
    began = time.monotonic()
    with local_stack(latency_s=latency, report=steps.begin) as stack:
        with steps.counting("Describing images", len(selection.pictures)) as counter:
            result = Demo(stack).run(selection.pictures, selection.left_out, counter.advance)
        if result.problems:
            DEMO_LOG.write_text(stack.cloud.emulator.log_text(), encoding="utf-8")
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
                ("tags", tags_text(image.tags)),
                ("time", seconds),
            ],
        )
    console.print()
    console.print(
        f"{result.described} of {len(result.images)} images described, {result.paid_calls} paid calls, "
        f"${result.usd:.3f} (simulated), {result.seconds:.1f} s"
    )
    for problem in result.problems:
        console.print(Text.assemble(("Problem: ", "bold red"), safe(problem)))
    if result.problems:
        console.print(
            f"Look at the reasons above, and at the functions' and the emulator's log in {DEMO_LOG}; "
            "`imagescribe local` keeps the same stack up, to look around in.",
            markup=False,
        )


@app.command()
def local(
    *,
    describe_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Another describe endpoint in place of the simulator.")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A template parameter; may be given several times.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The emulator's port; 0 takes a free one.")] = 0,
    latency: Annotated[
        float, typer.Option(min=0, max=60, metavar="SECONDS", help="How long the simulator takes for a description.")
    ] = DEMO_LATENCY_SECONDS,
    stack: StackOption = DEFAULT_STACK,
    as_json: JsonOption = False,
) -> None:
    """Keep the stack up on this machine until Ctrl-C or SIGTERM, which leave nothing behind.

    With `--json`, one line of JSON says where everything is as soon as it is ready, and nothing else is printed on
    standard output. From another terminal, the other commands reach it with `--local`.

    Examples: `imagescribe local` · `imagescribe local --parameter MaxAttempts=3 --json`
    """
    parameters = _parameters(parameter or [])
    steps = Steps()
    try:
        with (
            interruptible(),
            local_stack(
                stack,
                parameters=parameters,
                describe_url=describe_url,
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
                    _show_local(up, simulated=describe_url is None)
                _stay(up)
    except Interrupted:
        steps.abandon()
        steps.say("Stopped; nothing is left running.")
    except BaseException:
        steps.abandon()
        raise


def _parameters(pairs: list[str]) -> dict[str, str]:
    known = parameter_names(TEMPLATE) if TEMPLATE.is_file() else []
    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--parameter")
        if known and name not in known:
            raise typer.BadParameter(
                f"the template has no {name!r}; it has {', '.join(known)}", param_hint="--parameter"
            )
        parameters[name] = value
    return parameters


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


def _show_local(up: LocalStack, *, simulated: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    cloud = up.cloud
    console.print()
    print_record(
        console,
        [
            ("AWS emulator", f"{cloud.endpoint_url} (region {cloud.region})"),
            ("describe endpoint", cloud.describe_url + (" (the simulator)" if simulated else "")),
            ("stack", up.name),
            *up.all_outputs.items(),
        ],
    )
    option = "" if up.name == DEFAULT_STACK else f" --stack {up.name}"
    bucket = up.outputs.bucket_name
    lines = ["", "From another terminal:", ""]
    if not simulated:
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


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@app.command()
def get(
    image: Annotated[str, typer.Argument(metavar="S3URI", help="The image, as s3://BUCKET/KEY.")],
    *,
    stack: StackOption = DEFAULT_STACK,
    region: RegionOption = None,
    profile: ProfileOption = None,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show one image's record: status, prompt, and the reason if it has no prompt.

    Example: `imagescribe get 's3://my-bucket/holiday/IMG 0001.jpg'`
    """
    if not re.fullmatch(r"s3://[^/]+/.+", image, flags=re.DOTALL):
        raise typer.BadParameter("an image is s3://BUCKET/KEY", param_hint="S3URI")
    connection = _connect(stack, region, profile, local=local)
    outputs = StackOutputs.read(connection, stack)
    record = CatalogView(connection, outputs.catalog_table_name).get(image)
    if record is None:
        raise NotFoundError(
            f"There is no record of {image}.",
            f"The stack describes what is uploaded to s3://{outputs.bucket_name}, usually within seconds; "
            "`imagescribe list` shows the images that it knows.",
        )
    if as_json:
        print_json(asdict(record))
    else:
        _show_record(record)


def _show_record(record: ImageRecord) -> None:
    print_record(
        Console(highlight=False, soft_wrap=not sys.stdout.isatty()),
        [
            ("image", record.image),
            ("status", shown(record.status, STATUS_STYLES.get(record.status, ""))),
            ("prompt", record.prompt),
            ("reason", record.error if record.status != Status.DESCRIBED else ""),
            ("waiting until", record.waiting_until if record.status == Status.WAITING else ""),
            ("object tags", record.tags),
            ("attempts", str(record.attempts or "")),
            ("uploaded", record.uploaded_at),
            ("described", record.described_at),
            ("size", f"{record.size:,} bytes" if record.size else ""),
            ("etag", record.etag),
            ("version", record.version_id),
        ],
    )


@app.command(name="list")
def list_images(
    *,
    prefix: Annotated[str, typer.Option(help="Only keys that begin with this.")] = "",
    status: Annotated[Status | None, typer.Option(help="Only images with this status, newest first.")] = None,
    day: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Only images uploaded on this day (UTC)."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 lists all.")] = 100,
    stack: StackOption = DEFAULT_STACK,
    region: RegionOption = None,
    profile: ProfileOption = None,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """List images by prefix, by status and by day.

    Where standard output is no terminal, each image is a line of upload time, status, image and prompt (or the reason
    there is none), separated by tabs. With `--json`: `{"images": […], "more": true|false}`.

    Examples: `imagescribe list --prefix holiday/` · `imagescribe list --status rejected --day 2026-11-23`
    """
    connection = _connect(stack, region, profile, local=local)
    outputs = StackOutputs.read(connection, stack)
    page = CatalogView(connection, outputs.catalog_table_name).find(
        bucket=outputs.bucket_name,
        prefix=prefix,
        status=status,
        day=day.date() if day else None,
        limit=limit,
    )
    if as_json:
        print_json({"images": [asdict(record) for record in page.records], "more": page.more})
        return
    _show_page(page)


def _show_page(page: Page) -> None:
    if sys.stdout.isatty():
        table = Table("uploaded", "status", "image", "prompt", box=None, header_style="bold", pad_edge=False)
        table.columns[0].no_wrap = table.columns[1].no_wrap = True
        table.columns[2].overflow = "fold"
        for record in page.records:
            style = STATUS_STYLES.get(record.status, "")
            text = cut(record.prompt or record.error, 120)
            table.add_row(record.uploaded_at[:19], shown(record.status, style), shown(record.image), shown(text))
        Console(highlight=False).print(table)
    else:
        for record in page.records:
            fields = (record.uploaded_at, record.status, record.image, record.prompt or record.error)
            print("\t".join(safe(field) for field in fields))
    note = Console(stderr=True, highlight=False)
    if not page.records:
        note.print("No images match.")
    elif page.more:
        note.print(f"These are the first {len(page.records)}; --limit 0 lists all.")


@app.command()
def status(
    *,
    stack: StackOption = DEFAULT_STACK,
    region: RegionOption = None,
    profile: ProfileOption = None,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show how the stack stands: its queues, its images by status, and where its parts are."""
    connection = _connect(stack, region, profile, local=local)
    all_outputs = read_outputs(connection, stack)
    outputs = StackOutputs.of_outputs(all_outputs, stack)
    uploads = QueueDepth.read(connection, outputs.upload_queue_url)
    dead_letters = QueueDepth.read(connection, outputs.dead_letter_queue_url)
    images = CatalogView(connection, outputs.catalog_table_name).count()
    if as_json:
        print_json(
            {
                "stack": stack,
                "outputs": all_outputs,
                "queues": {"upload": asdict(uploads), "dead_letter": asdict(dead_letters)},
                "images": {str(name): count for name, count in images.counts.items()},
                "images_complete": images.complete,
            }
        )
        return
    console = Console(highlight=False, soft_wrap=True)
    at_least = "" if images.complete else " (at least)"
    counts = ", ".join(f"{count} {name}" for name, count in images.counts.items() if count)
    print_record(
        console,
        [
            ("stack", stack),
            ("images", (counts or "none yet") + at_least),
            ("upload queue", _depth_text(uploads)),
            ("dead letters", shown(_depth_text(dead_letters), "red" if dead_letters.total else "")),
        ],
    )
    console.print()
    print_record(console, list(all_outputs.items()))


def _depth_text(depth: QueueDepth) -> str:
    return f"{depth.visible} to be received, {depth.in_flight} in work or deferred, {depth.delayed} delayed"


# ── The key ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@key_app.command("set")
def key_set(
    *,
    stack: StackOption = DEFAULT_STACK,
    region: RegionOption = None,
    profile: ProfileOption = None,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Store the endpoint's API key in the stack's secret. It is read from a hidden prompt, or from standard input.

    Never from the command line, where other users of the machine and the shell's history would see it.

    Examples: `imagescribe key set` · `imagescribe key set < key.txt`
    """
    connection = _connect(stack, region, profile, local=local)
    outputs = StackOutputs.read(connection, stack)
    version = set_api_key(connection, outputs.api_key_secret_arn, _read_key())
    if as_json:
        print_json({"secret_arn": outputs.api_key_secret_arn, "version_id": version})
    else:
        console = Console(highlight=False, soft_wrap=True)
        console.print(shown(f"The key is stored in {outputs.api_key_secret_arn}."))


def _read_key() -> str:
    if sys.stdin.isatty():
        key = getpass.getpass("API key of the describe endpoint: ").strip()
    else:
        key = sys.stdin.read(MAX_KEY_LENGTH + 1).strip()
    if not key:
        raise OperationError("The key is empty, so nothing was stored.", "Pipe the key in, or type it at the prompt.")
    if len(key) > MAX_KEY_LENGTH or not key.isascii() or not key.isprintable() or " " in key:
        raise OperationError(
            "That does not look like a key, so nothing was stored.",
            "A key is one line of letters, digits and signs, without spaces.",
        )
    return key


def main() -> None:
    """Run the command."""
    # Where standard output cannot show a character, an escape of it is better than an error.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="backslashreplace")
    app(prog_name="imagescribe")


if __name__ == "__main__":
    main()
