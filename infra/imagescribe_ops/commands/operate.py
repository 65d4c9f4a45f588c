"""The operator's commands: how does it stand, pause, resume, redrive, retry, and the key."""

from __future__ import annotations

import getpass
import re
import sys
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from imagescribe.model.answers import PRICE_USD
from imagescribe.model.outcomes import Reason
from imagescribe.throttle.breaker import OpenedBy
from imagescribe_ops.commands.base import OPERATE, ImageArgument, StackOptions, app, image_address, on_stack, utf8
from imagescribe_ops.display import print_json, print_record, shown
from imagescribe_ops.errors import OperationError
from imagescribe_ops.stack import QueueDepth, read_outputs, set_api_key
from imagescribe_ops.standing import Intake

MAX_KEY_LENGTH = 4096
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

key_app = typer.Typer(no_args_is_help=True, help="The describe endpoint's API key.")
app.add_typer(key_app, name="key", rich_help_panel=OPERATE)


@app.command(rich_help_panel=OPERATE)
@on_stack
def status(
    options: StackOptions,
) -> None:
    """Show how the stack stands, and why nothing is happening if nothing is.

    Queues, images by status, the rate, a pause with its reason, what was spent today, dead letters by reason, and where
    the stack's parts are.

    Examples: `imagescribe status` · `imagescribe status --json | jq .why`
    """
    operations = options.operations()
    standing = operations.status()
    all_outputs = read_outputs(operations.connection, options.stack)
    images, intake = standing.images, standing.intake
    if options.as_json:
        print_json(
            {
                "stack": options.stack,
                "why": standing.why,
                "outputs": all_outputs,
                "queues": {
                    "upload": asdict(standing.uploads),
                    "dead_letter": asdict(standing.dead_letters) | {"by_reason": standing.dead_letters_by_reason},
                },
                "images": {str(name): count for name, count in images.counts.items()},
                "images_complete": images.complete,
                "oldest_waiting_at": standing.oldest_waiting_at or None,
                "intake": asdict(intake),
            }
        )
        return
    console = Console(highlight=False, soft_wrap=True)
    counts = ", ".join(f"{count} {name}" for name, count in images.counts.items() if count) or "none yet"
    reasons = ", ".join(f"{count} {reason}" for reason, count in standing.dead_letters_by_reason.items())
    counted = sum(standing.dead_letters_by_reason.values())
    if counted < standing.dead_letters.visible:
        reasons += f" (of {counted} that were read)"
    budget = f" of ${intake.budget_usd:g}" if intake.budget_usd else ""
    print_record(
        console,
        [
            ("stack", options.stack),
            ("why", shown(standing.why, "bold yellow" if intake.paused_by else "bold")),
            ("images", counts + ("" if images.complete else " (at least)")),
            ("oldest waiting", standing.oldest_waiting_at and f"uploaded {standing.oldest_waiting_at}"),
            ("upload queue", _depth_text(standing.uploads)),
            ("dead letters", shown(_depth_text(standing.dead_letters), "red" if standing.dead_letters.total else "")),
            ("by reason", reasons),
            ("rate", f"{intake.requests_per_minute:g} calls a minute"),
            ("spent today", f"${intake.spent_today_usd:g}{budget}"),
            ("mappings", ", ".join(f"{mapping.id} {mapping.state}" for mapping in intake.mappings) or "none"),
        ],
    )
    console.print()
    print_record(console, list(all_outputs.items()))


def _depth_text(depth: QueueDepth) -> str:
    return f"{depth.visible} to be received, {depth.in_flight} in work or told to wait, {depth.delayed} delayed"


@app.command(rich_help_panel=OPERATE)
@on_stack
def pause(
    options: StackOptions,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Shown by `status` to others.")] = "by hand",
    lasting: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="End by itself after this, such as 90s, 30m, 2h or 1d."),
    ] = None,
) -> None:
    """Stop calling the endpoint. Uploads wait, nothing is lost, and calls under way are finished.

    It ends by `imagescribe resume`, or by its time.

    Examples: `imagescribe pause --reason 'invoice dispute'` · `imagescribe pause --for 2h`
    """
    seconds = None if lasting is None else _duration(lasting)
    because = utf8(reason, "--reason").strip()
    if not because:
        raise typer.BadParameter("say why, or leave it out", param_hint="--reason")
    intake = options.operations().pause(because, seconds)
    if options.as_json:
        print_json({"stack": options.stack, "intake": asdict(intake)})
    else:
        options.say(f"{_paused(intake)}. Calls under way are finished, uploads wait.")


def _paused(intake: Intake) -> str:
    until = intake.paused_until or "`imagescribe resume`"
    return f"Paused by the {intake.paused_by} until {until}: {intake.paused_because}"


def _duration(text: str) -> float:
    parts = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    if parts is None or not int(parts[1]):
        raise typer.BadParameter("a time is a number and s, m, h or d, such as 30m", param_hint="--for")
    return int(parts[1]) * _SECONDS[parts[2]]


@app.command(rich_help_panel=OPERATE)
@on_stack
def resume(
    options: StackOptions,
) -> None:
    """End a pause at once, whoever or whatever began it. A day's budget that is spent still holds.

    Images that were told to wait meanwhile come back when their time is over; `imagescribe get` shows it.

    Example: `imagescribe resume`
    """
    intake = options.operations().resume()
    if options.as_json:
        print_json({"stack": options.stack, "intake": asdict(intake)})
    elif intake.paused_by == OpenedBy.BUDGET:
        options.say(f"{_paused(intake)}. A resume does not lift that; deploy with a larger DailyBudgetUsd.")
    elif intake.paused_by:
        options.say(f"{_paused(intake)}. It began again right after the resume.")
    else:
        options.say("Resumed. Images that were told to wait come back when their time is over.")


class _Reason(StrEnum):
    """The reasons of dead letters, as the command line takes them."""

    ALL = "all"
    TRANSIENT = Reason.TRANSIENT
    AWS = Reason.AWS
    CRASH = Reason.CRASH
    UNREADABLE = Reason.UNREADABLE
    MALFORMED = Reason.MALFORMED


@app.command(rich_help_panel=OPERATE)
@on_stack
def redrive(
    options: StackOptions,
    *,
    reason: Annotated[_Reason, typer.Option("--reason", help="Only dead letters of this reason.")] = _Reason.ALL,
) -> None:
    """Send dead letters back to the upload queue. Nothing is paid twice: an answer that was paid for is kept.

    Those of the reasons transient, aws and crash come back by themselves three times. This is for after that, when they
    may come back three times again, and for the others once what was wrong is mended.

    Example: `imagescribe redrive --reason transient`
    """
    operations = options.operations()
    redriven = operations.redrive(None if reason is _Reason.ALL else Reason(reason.value))
    sent, more = redriven.by_reason, redriven.more
    if options.as_json:
        print_json(
            {"stack": options.stack, "redriven": {str(name): count for name, count in sent.items()}, "more": more}
        )
    elif sent:
        counts = ", ".join(f"{count} {name}" for name, count in sent.items())
        options.say(f"Sent back: {counts}." + (" There may be more: run it again." if more else ""))
    elif more:
        options.say("None was sent back in the time of one run, and there may be more: run it again.")
    else:
        options.say("There is no dead letter." if reason is _Reason.ALL else f"There is no dead letter {reason}.")


@app.command(rich_help_panel=OPERATE)
@on_stack
def retry(
    options: StackOptions,
    image: ImageArgument,
    *,
    force: Annotated[
        bool, typer.Option("--force", help=f"Forget an answer that is paid for, and pay ${PRICE_USD:g} for another.")
    ] = False,
) -> None:
    """Describe one image again: one that was rejected or skipped, that is dead or waits, or with --force any.

    An answer that is paid for already is read again for nothing, unless --force pays for another. The image's dead
    letters go.

    Examples: `imagescribe retry s3://my-bucket/cat.jpg` · `imagescribe retry --force s3://my-bucket/cat.jpg`
    """
    bucket, key = image_address(image)
    operations = options.operations()
    retried = operations.retry(bucket, key, force=force)
    if options.as_json:
        print_json(asdict(retried))
    else:
        cost = ""
        if retried.pays_again:
            cost = f" ${PRICE_USD:g} is paid for it once more."
        elif retried.reads_again:
            cost = " Its answer is paid for already and is read again for nothing; --force would pay for another."
        options.say(f"{retried.image} is on its way.{cost} `imagescribe get` shows what becomes of it.")


@key_app.command("set")
@on_stack
def key_set(
    options: StackOptions,
) -> None:
    """Store the endpoint's API key in the stack's secret. It is read from a hidden prompt, or from standard input.

    Never from the command line, where other users of the machine and the shell's history would see it. A pause for a
    fault of the account ends.

    Examples: `imagescribe key set` · `imagescribe key set < key.txt`
    """
    operations = options.operations()
    version = set_api_key(operations.connection, operations.outputs.api_key_secret_arn, _read_key())
    resumed = operations.resume_after_account_fault()
    if options.as_json:
        print_json({"secret_arn": operations.outputs.api_key_secret_arn, "version_id": version, "resumed": resumed})
    else:
        options.say(f"The key is stored in {operations.outputs.api_key_secret_arn}.")
        if resumed:
            options.say("Intake was paused by a fault of the account, and is resumed.")


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
