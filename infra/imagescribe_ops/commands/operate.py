"""The operator's commands that change something: pause, resume, redrive, retry."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from imagescribe.model.outcomes import Reason
from imagescribe.model.record import Status
from imagescribe.throttle.breaker import OpenedBy
from imagescribe_ops.commands.base import (
    OPERATE,
    PrefixOption,
    StackOptions,
    app,
    image_address,
    on_stack,
    seconds_of,
    utf8,
)
from imagescribe_ops.display import print_json
from imagescribe_ops.errors import OperationError
from imagescribe_ops.standing import pause_sentence


@app.command(rich_help_panel=OPERATE)
@on_stack
def pause(
    options: StackOptions,
    *,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Shown by `status` to others.")] = "by hand",
    lasting: Annotated[
        float | None,
        typer.Option(
            "--for", parser=seconds_of, metavar="TIME", help="End by itself after this, such as 90s, 5min or 2h."
        ),
    ] = None,
) -> None:
    """Stop calling the endpoint. Uploads wait, nothing is lost, and calls under way are finished.

    It ends by `imagescribe resume`, or by its time.

    Examples: `imagescribe pause --reason 'invoice dispute'` · `imagescribe pause --for 2h`
    """
    because = utf8(reason, "--reason").strip()
    if not because:
        raise typer.BadParameter("say why, or leave it out", param_hint="--reason")
    intake = options.operations().pause(because, lasting)
    if options.as_json:
        print_json({"stack": options.stack, "intake": asdict(intake)})
    else:
        options.say(f"{pause_sentence(intake)}. Calls under way are finished, uploads wait.")


@app.command(rich_help_panel=OPERATE)
@on_stack
def resume(
    options: StackOptions,
) -> None:
    """End a pause at once, whoever or whatever began it. A day's budget that is spent still holds.

    Images that were told to wait meanwhile are called back at once, the newest 500; the others come within two minutes.

    Example: `imagescribe resume`
    """
    operations = options.operations()
    intake = operations.resume()
    called_back = 0 if intake.paused_by else operations.call_back()
    if options.as_json:
        print_json({"stack": options.stack, "intake": asdict(intake), "called_back": called_back})
    elif intake.paused_by == OpenedBy.BUDGET:
        options.say(f"{pause_sentence(intake)}. A resume does not lift that; deploy with a larger DailyBudgetUsd.")
    elif intake.paused_by:
        options.say(f"{pause_sentence(intake)}. It began again right after the resume.")
    else:
        options.say(f"Resumed. {called_back_sentence(called_back)}")


def called_back_sentence(count: int) -> str:
    """Say what becomes of images that were told to wait."""
    if not count:
        return "What waits in the queue is received now."
    images = "1 image that was" if count == 1 else f"{count} images that were"
    return f"{images} told to wait {'is' if count == 1 else 'are'} called back at once."


class RetriedStatus(StrEnum):
    """What a retry of many takes: that came to its end without a prompt."""

    REJECTED = Status.REJECTED
    SKIPPED = Status.SKIPPED
    DEAD = Status.DEAD


class DeadReason(StrEnum):
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
    reason: Annotated[
        DeadReason, typer.Option("--reason", case_sensitive=False, help="Only dead letters of this reason.")
    ] = DeadReason.ALL,
) -> None:
    """Send dead letters back, those of a backfill behind the uploads.

    Nothing is paid twice: an answer that was paid for is kept. Those of the reasons transient, aws and crash come back
    by themselves three times. This is for after that, when they may come back three times again, and for the others
    once what was wrong is mended.

    Example: `imagescribe redrive --reason transient`
    """
    operations = options.operations()
    redriven = operations.redrive(None if reason is DeadReason.ALL else Reason(reason.value))
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
        options.say("There is no dead letter." if reason is DeadReason.ALL else f"There is no dead letter {reason}.")


@app.command(rich_help_panel=OPERATE)
@on_stack
def retry(
    options: StackOptions,
    image: Annotated[
        str, typer.Argument(metavar="[S3URI]", show_default=False, help="One image, as s3://BUCKET/KEY.")
    ] = "",
    *,
    prefix: PrefixOption = "",
    status: Annotated[
        RetriedStatus | None, typer.Option(case_sensitive=False, help="All images with this status.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Forget one image's answer that is paid for, and pay for another.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Retry many without asking.")] = False,
) -> None:
    """Describe again: one image, or all that were rejected, skipped or given up, by prefix or status.

    An answer that is paid for already is read again for nothing, unless --force pays for another. Dead letters of what
    is retried go. Of many, 1,000 at a time.

    Examples: `imagescribe retry s3://my-bucket/cat.jpg` · `imagescribe retry --force s3://my-bucket/cat.jpg` ·
    `imagescribe retry --status rejected --prefix 2026/`
    """
    if bool(image) == bool(prefix or status):
        raise typer.BadParameter("name one image, or --prefix or --status of many", param_hint="S3URI")
    if not image:
        if force:
            raise typer.BadParameter("is for one image; for many, see `imagescribe backfill -h`", param_hint="--force")
        _retry_many(options, utf8(prefix, "--prefix"), status, yes=yes)
        return
    bucket, key = image_address(image)
    operations = options.operations()
    retried = operations.retry(bucket, key, force=force)
    if options.as_json:
        print_json(asdict(retried))
        return
    cost = ""
    if retried.pays_again and operations.price_usd:
        cost = f" ${operations.price_usd:g} is paid for it once more."
    elif retried.reads_again:
        cost = " Its answer is paid for already and is read again for nothing; --force would pay for another."
    options.say(
        f"{retried.image} is on its way.{cost} `imagescribe get {shlex.quote(image)}` shows what becomes of it."
    )


def _retry_many(options: StackOptions, prefix: str, status: RetriedStatus | None, *, yes: bool) -> None:
    operations = options.operations()
    statuses = [Status(status.value)] if status else [Status(each.value) for each in RetriedStatus]
    records, more = operations.retryable(operations.outputs.own_prefix(prefix), statuses)
    if not records:
        if options.as_json:
            print_json({"retried": 0, "more": False})
        else:
            options.say("No image matches.")
        return
    if not yes:
        most = f"${len(records) * operations.price_usd:,.2f} at the most" if operations.price_usd else "nothing"
        if options.as_json or not sys.stdin.isatty():
            raise OperationError(f"{len(records)} images would be retried, for {most}.", "Add --yes to retry them.")
        typer.confirm(f"Retry {len(records)} images, for {most}?", abort=True)
    sent = operations.retry_all(records)
    if options.as_json:
        print_json({"retried": sent, "more": more})
    else:
        again = " There are more: run it again." if more else ""
        options.say(f"{sent} images are on their way. `imagescribe status` shows how it goes.{again}")
