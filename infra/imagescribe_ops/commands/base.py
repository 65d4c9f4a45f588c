"""What the commands share: the application, their common options, and how errors are told."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from imagescribe_ops.display import safe, shown
from imagescribe_ops.errors import OperationError
from imagescribe_ops.local import state as local_state
from imagescribe_ops.stack import Connection

_STACK_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}")


class Commands(TyperGroup):
    """The commands, with every expected error told in a sentence and never as a traceback."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the commands in the order in which a newcomer needs them."""
        order = [
            "demo",
            "local",
            "get",
            "list",
            "status",
            "pause",
            "resume",
            "redrive",
            "retry",
            "backfill",
            "audit",
            "key",
        ]
        return sorted(super().list_commands(ctx), key=order.index)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an expected error ends it with status 1."""
        try:
            return super().invoke(ctx)
        except OperationError as error:
            complain(error)
            raise typer.Exit(1) from error


def complain(error: OperationError) -> None:
    """Tell an error on standard error: what happened, and what to do."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    first, *details = error.problem.splitlines() or [""]
    console.print(Text.assemble(("Error: ", "bold red"), safe(first)))
    for line in details:
        console.print(shown(f"  {line.expandtabs()}"))
    console.print(shown(error.advice))


app = typer.Typer(
    cls=Commands,
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


def connect(stack: str, region: str | None, profile: str | None, *, local: bool) -> Connection:
    """Return a connection to AWS, or to the stack that `imagescribe local` keeps up."""
    if local:
        if region or profile:
            raise typer.BadParameter("goes without --region and --profile", param_hint="--local")
        return local_state.running(stack).connection()
    return Connection(region=region, profile=profile)
