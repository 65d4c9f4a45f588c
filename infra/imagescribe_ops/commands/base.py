"""What the commands share: the application, the options that name a stack, and how things are told."""

from __future__ import annotations

import errno
import inspect
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import update_wrapper
from importlib.metadata import version
from typing import Annotated, Any, Concatenate

import typer
from rich.console import Console
from typer.core import TyperGroup

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.stack import DEFAULT_STACK, StackOutputs
from imagescribe_ops.commands.hints import complain, pasteable
from imagescribe_ops.display import shown
from imagescribe_ops.errors import OperationError
from imagescribe_ops.local import state as local_state
from imagescribe_ops.operations import Operations

HERE = "On this machine"
READ = "Images and their prompts"
OPERATE = "Operating a stack"
BEFORE = "What was there before"
PANELS = (HERE, READ, OPERATE, BEFORE)
FIRST = ("demo", "local", "upload", "get", "list", "search", "status", "doctor", "explain", "logs")
"""The order in which a newcomer needs them, in `--help`; the others of a panel come after these."""

NOT_WRITABLE = frozenset({errno.EACCES, errno.EDQUOT, errno.ENOSPC, errno.EPERM, errno.EROFS})
"""What a disk answers that is full or read-only, or another's."""

_STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")


class Commands(TyperGroup):
    """The commands, with every expected error told in a sentence and never as a traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands, those of a panel together."""

        def place(name: str) -> tuple[int, int]:
            panel = getattr(self.commands[name], "rich_help_panel", None)
            return (
                PANELS.index(panel) if panel in PANELS else len(PANELS),
                FIRST.index(name) if name in FIRST else len(FIRST),
            )

        return sorted(super().list_commands(ctx), key=place)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an expected error ends it with status 1."""
        try:
            with readable_errors():
                return super().invoke(ctx)
        except OperationError as error:
            complain(error)
            raise typer.Exit(1) from error
        except OSError as error:
            if error.errno not in NOT_WRITABLE:
                raise
            place = error.filename or "Standard output"
            complain(OperationError(f"{place} could not be written: {error.strerror}.", "Make room for it there."))
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Describe every image that lands in an S3 bucket.\n\n"
    "Try it on this machine with `imagescribe demo`; nothing but Python is needed for that. "
    "The other commands talk to the stack that the AWS settings lead to, or with `--local` to the one that "
    "`imagescribe local` keeps up.",
)


def _show_version(value: bool) -> None:
    if value:
        print(f"imagescribe {version('imagescribe')}")
        raise typer.Exit


@app.callback()
def _every_command(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


# ── Which stack ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _stack_name(value: str) -> str:
    if not _STACK_NAME.fullmatch(value):
        raise typer.BadParameter("a stack's name is letters, digits and hyphens, and begins with a letter")
    return value


_PANEL = "Which stack"
StackOption = Annotated[
    str,
    typer.Option("--stack", metavar="NAME", callback=_stack_name, rich_help_panel=_PANEL, help="The stack's name."),
]
RegionOption = Annotated[
    str | None,
    typer.Option("--region", metavar="REGION", rich_help_panel=_PANEL, help="AWS region, in place of AWS_REGION."),
]
ProfileOption = Annotated[
    str | None,
    typer.Option("--profile", metavar="NAME", rich_help_panel=_PANEL, help="AWS profile, in place of AWS_PROFILE."),
]
LocalOption = Annotated[
    bool, typer.Option("--local", rich_help_panel=_PANEL, help="The stack that `imagescribe local` keeps up.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one line of JSON on standard output.")]


@dataclass(frozen=True, slots=True)
class StackOptions:
    """Which stack a command speaks to, and whether it answers a person or a program; see `on_stack`."""

    stack: StackOption = DEFAULT_STACK
    region: RegionOption = None
    profile: ProfileOption = None
    local: LocalOption = False
    as_json: JsonOption = False

    def connection(self) -> Connection:
        """Return a connection to AWS, or to the stack that `imagescribe local` keeps up."""
        if not self.local:
            return Connection(region=self.region, profile=self.profile)
        if self.region or self.profile:
            raise typer.BadParameter("goes without --region and --profile", param_hint="--local")
        return local_state.running(self.stack).connection()

    def outputs(self) -> tuple[Connection, StackOutputs]:
        """Return the connection, and where the stack's parts are."""
        connection = self.connection()
        return connection, StackOutputs.read(connection, self.stack)

    def operations(self) -> Operations:
        """Return the operator's hand on the stack."""
        return Operations.of_stack(self.connection(), self.stack)

    def __str__(self) -> str:
        """Write them as they are typed."""
        words = ["--local"] if self.local else []
        words += ["--stack", self.stack] if self.stack != DEFAULT_STACK else []
        words += ["--region", self.region] if self.region else []
        words += ["--profile", self.profile] if self.profile else []
        return shlex.join(words)

    def say(self, sentence: str) -> None:
        """Print a sentence whose commands can be pasted as they stand."""
        Console(highlight=False, soft_wrap=True).print(shown(pasteable(sentence, str(self))))


def on_stack(function: Callable[Concatenate[StackOptions, ...], None]) -> Callable[..., None]:
    """Give a command the options that `StackOptions` has, after its own; it gets them as its first argument."""
    shared = inspect.signature(StackOptions, eval_str=True).parameters
    _, *own = inspect.signature(function, eval_str=True).parameters.values()

    def command(**given: Any) -> None:
        options = StackOptions(**{name: given.pop(name) for name in shared})
        if options.local and options.stack == DEFAULT_STACK and len(running := local_state.all_running()) == 1:
            options = replace(options, stack=running[0])  # whatever its name, there is no other that could be meant
        try:
            with readable_errors():
                function(options, **given)
        except OperationError as error:
            complain(error, str(options))
            raise typer.Exit(1) from error

    update_wrapper(command, function)
    keyword_only = [each.replace(kind=each.KEYWORD_ONLY) for each in shared.values()]
    command.__signature__ = inspect.Signature([*own, *keyword_only])  # type: ignore[attr-defined]  # Typer reads it
    return command


# ── Arguments ────────────────────────────────────────────────────────────────────────────────────────────────────────

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_TIME = re.compile(r"(\d{1,6})\s*(s|m|h|d|sec|min|hr|seconds?|minutes?|hours?|days?)\b")


def seconds_of(text: str) -> float:
    """Read a time such as ``90s``, ``5min``, ``2 hours`` or ``1h30m``."""
    compact = re.sub(r"(?<=[a-z])(?=\d)", " ", text.strip().lower())
    parts = _TIME.findall(compact)
    if not parts or _TIME.sub("", compact).strip() or not (seconds := sum(int(n) * _UNITS[u[0]] for n, u in parts)):
        raise typer.BadParameter(f"{text!r} is no time; one is a number and s, m, h or d, such as 30m")
    return seconds


def day_of(text: str) -> datetime:
    """Read a day of UTC, such as ``2026-11-23``."""
    return _time_of(text, "%Y-%m-%d", "2026-11-23")


def moment_of(text: str) -> datetime:
    """Read a day of UTC, or a second of it, such as ``2026-11-23T18:00:00Z``."""
    return _time_of(text, "%Y-%m-%dT%H:%M:%SZ", "2026-11-23T18:00:00Z") if "T" in text else day_of(text)


def _time_of(text: str, form: str, example: str) -> datetime:
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day; one is written as {example}") from None


LATENCY_SECONDS = 1.0
LatencyOption = Annotated[
    float, typer.Option(min=0, max=60, metavar="SECONDS", help="How long the simulator takes for a description.")
]
ImageArgument = Annotated[str, typer.Argument(metavar="S3URI", help="The image, as s3://BUCKET/KEY.")]
PrefixOption = Annotated[str, typer.Option("--prefix", help="Only keys that begin with this.")]
TimeoutOption = Annotated[
    float | None,
    typer.Option(parser=seconds_of, metavar="TIME", help="Wait no longer than this without news, such as 5m."),
]


def image_address(image: str) -> tuple[str, str]:
    """Split ``s3://bucket/key``."""
    parts = re.fullmatch(r"s3://([^/]+)/(.+)", image, flags=re.DOTALL)
    if parts is None:
        raise typer.BadParameter("an image is s3://BUCKET/KEY", param_hint="S3URI")
    return parts[1], utf8(parts[2], "S3URI")


def utf8(text: str, parameter: str) -> str:
    """Refuse bytes that are no UTF-8, which arrive as lone surrogates and which AWS takes nowhere."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise typer.BadParameter("this is not UTF-8", param_hint=parameter) from None
    return text
