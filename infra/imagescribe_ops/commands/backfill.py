"""The command `imagescribe backfill`: describe what was in the bucket before."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from imagescribe.backfill.jobs import Job, Phase
from imagescribe.backfill.selection import Only, Selection
from imagescribe.model.times import iso_utc
from imagescribe_ops.backfill.backfills import Backfills, Plan, Standing
from imagescribe_ops.backfill.estimate import Estimate
from imagescribe_ops.commands.base import BEFORE, StackOptions, app, day_of, image_address, on_stack, utf8
from imagescribe_ops.display import Steps, duration, print_json, print_record, safe, shown
from imagescribe_ops.errors import OperationError

WATCH_SECONDS = 3.0

backfill_app = typer.Typer(invoke_without_command=True)
app.add_typer(backfill_app, name="backfill", rich_help_panel=BEFORE)

JobArgument = Annotated[str, typer.Argument(metavar="[JOB]", show_default=False, help="Its id; without: the newest.")]


@backfill_app.callback()
@on_stack
def backfill(
    options: StackOptions,
    ctx: typer.Context,
    *,
    prefix: Annotated[str, typer.Option(help="Only keys that begin with this.")] = "",
    since: Annotated[
        datetime | None,
        typer.Option(parser=day_of, metavar="YYYY-MM-DD", help="Only what was uploaded on this day or later."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many images; 0 takes all.")] = 0,
    manifest: Annotated[
        str, typer.Option(metavar="S3URI", help="S3 Inventory's manifest.json, or a list of keys, one a line.")
    ] = "",
    only: Annotated[Only | None, typer.Option(help="Only these.")] = None,
    older_than: Annotated[
        datetime | None,
        typer.Option(
            parser=day_of, metavar="YYYY-MM-DD", help="Describe again what was described before. With --force."
        ),
    ] = None,
    not_by: Annotated[
        str, typer.Option(metavar="MODEL", help="Describe again what another model described. With --force.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Pay again, for what --older-than and --not-by take.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Begin without asking.")] = False,
) -> None:
    """Estimate what it costs to describe what was in the bucket before, and begin it if that is wanted.

    The stack does it by itself: the terminal may be closed. What is uploaded meanwhile goes first. With `--json` the
    estimate alone is printed, unless `--yes` begins it.

    Examples: `imagescribe backfill` · `imagescribe backfill --prefix 2025/ --limit 1000 --yes` ·
    `imagescribe backfill show` · `imagescribe backfill --not-by qwen3-vl --force`
    """
    if ctx.invoked_subcommand is not None:
        return
    if bool(older_than or not_by) != force:
        raise typer.BadParameter("goes with --older-than or --not-by, and they with it", param_hint="--force")
    if force and only:
        raise typer.BadParameter("goes without --older-than and --not-by", param_hint="--only")
    if manifest:
        image_address(manifest)
    selection = Selection(_day(since), only or "", _day(older_than), utf8(not_by, "--not-by"))
    backfills = Backfills(options.operations())
    with Steps() as steps:
        steps.begin("Looking through the bucket")

        def progress(estimate: Estimate) -> None:
            steps.show(f"Looking through the bucket: {estimate.objects:,} objects, {estimate.taken:,} to be sent")

        plan = backfills.plan(utf8(prefix, "--prefix"), selection, manifest=manifest, most=limit, progress=progress)
        steps.end()
    if not options.as_json:
        _show_plan(plan)
    begins = bool(plan.estimate.taken) and (yes or (not options.as_json and _asks(plan)))
    job = backfills.begin(plan) if begins else None
    if options.as_json:
        print_json({"estimate": _plan_json(plan), "job": _job_json(job) if job else None})
    elif not plan.estimate.taken:
        options.say("There is nothing to describe, so nothing was begun.")
    elif job:
        options.say(
            f"{job.id} has begun. `imagescribe backfill show {job.id}` tells how far it is. This may be closed."
        )
        if sys.stdout.isatty():
            _watch(options, lambda: backfills.standing(job.id))


def _asks(plan: Plan) -> bool:
    if not sys.stdin.isatty():
        raise OperationError("Nothing was begun: there is nobody to ask.", "Add --yes to begin it.")
    return typer.confirm(f"Begin, for about ${plan.usd:,.2f}?" if plan.price_usd else "Begin? It is free.")


def _day(value: datetime | None) -> str:
    return iso_utc(value.timestamp()) if value else ""


def _plan_json(plan: Plan) -> dict[str, Any]:
    # asdict can't copy a Counter.
    return {each.name: getattr(plan.estimate, each.name) for each in fields(plan.estimate)} | {
        "usd": plan.usd,
        "requests_per_minute": plan.requests_per_minute,
        "seconds": round(plan.seconds),
        "budget_usd": plan.budget_usd,
        "budget_days": round(plan.budget_days, 2),
    }


def _show_plan(plan: Plan) -> None:
    estimate = plan.estimate
    about = "" if estimate.is_exact else "about "
    kinds = ", ".join(
        f"{count:,} {kind} ({_size(estimate.kind_bytes[kind])})" for kind, count in estimate.kinds.most_common()
    )
    unfit = ", ".join(f"{about}{count:,} {reason}" for reason, count in estimate.unfit.most_common())
    models = ", ".join(
        f"{count:,} by {safe(model) or 'an unknown model'}" for model, count in estimate.models.most_common()
    )
    price = f"${plan.usd:,.2f}" if plan.price_usd else "free"
    budget = f"{plan.budget_days:,.1f} days of ${plan.budget_usd:g}" if plan.budget_usd else ""
    costs = [
        ("to be paid for", shown(f"{about}{estimate.pays:,} images, {price}", "bold")),
        ("time", f"{duration(plan.seconds)} at {plan.requests_per_minute:g} calls a minute"),
        ("budget", budget),
    ]
    print_record(
        Console(highlight=False, soft_wrap=True),
        [
            ("objects", f"{estimate.objects:,}, of which {estimate.described:,} are described already"),
            ("to be sent", f"{estimate.taken:,}" + (f": {kinds}" if kinds else "")),
            ("described before", models),
            ("skipped for nothing", unfit),
            ("paid for already", f"{estimate.paid:,} are copies of what is described" if estimate.paid else ""),
            ("duplicates", f"{about}{estimate.duplicates:,} are copies of each other" if estimate.duplicates else ""),
            *(costs if estimate.taken else ()),
        ],
    )


@backfill_app.command("list")
@on_stack
def list_jobs(
    options: StackOptions,
) -> None:
    """List all backfills there ever were, the newest first."""
    jobs = Backfills(options.operations()).all()
    if options.as_json:
        print_json({"jobs": [_job_json(job) for job in jobs]})
        return
    for job in jobs:
        what = job.manifest or job.prefix or "all"
        print("\t".join((job.id, job.phase, f"{job.sent} sent of {job.listed}", safe(what), safe(job.trouble))))
    if not jobs:
        options.say("There was no backfill yet.")


@backfill_app.command("show")
@on_stack
def show_job(
    options: StackOptions,
    job: JobArgument = "",
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing it until it ends.")] = False,
) -> None:
    """Show how far a backfill is, and how long it takes yet."""
    backfills = Backfills(options.operations())
    if watch:
        _watch(options, lambda: backfills.standing(job))
    standing = backfills.standing(job)
    if options.as_json:
        left = standing.seconds_left
        print_json(
            _job_json(standing.job)
            | {
                "waiting": standing.waiting,
                "handled": standing.handled,
                "requests_per_minute": standing.requests_per_minute,
                "seconds_left": None if left is None else round(left),
            }
        )
        return
    kept, left = standing.job, standing.seconds_left
    selection = kept.selection
    print_record(
        Console(highlight=False, soft_wrap=True),
        [
            ("backfill", kept.id),
            ("phase", shown(kept.phase, "bold")),
            ("of", kept.manifest or kept.prefix or "all"),
            ("only", selection.only),
            ("since", selection.since),
            ("described before", selection.described_before),
            ("not by", selection.not_by),
            ("listed", f"{kept.listed:,}" + ("" if kept.is_listed else " so far")),
            ("sent", f"{kept.sent:,}, of which {standing.handled:,} are through"),
            ("expected", f"{kept.expected:,} to be paid for, ${kept.expected_usd:,.2f}"),
            ("rate", f"{standing.requests_per_minute:g} calls a minute"),
            ("time left", "" if left is None else duration(left)),
            ("trouble", kept.trouble),
            ("begun", kept.created_at),
            ("changed", kept.updated_at),
        ],
    )


def _watch(options: StackOptions, look: Callable[[], Standing]) -> None:
    """Show progress on standard error until the job ends, or the terminal is closed."""
    standing = look()
    with Steps() as steps:
        steps.begin(standing.job.id)
        while standing.job.phase is Phase.RUNNING:
            left = standing.seconds_left
            steps.show(
                f"{standing.job.id}: {standing.handled:,} of {standing.job.sent:,} sent are through"
                + ("" if standing.job.is_listed else ", listing goes on")
                + ("" if left is None else f", {duration(left)} left")
            )
            time.sleep(WATCH_SECONDS)
            standing = look()
        steps.end()
    options.say(f"{standing.job.id} is {standing.job.phase}.")


def _changing(name: str, done: str, change: Callable[[Backfills, str], Job]) -> None:
    """Add a subcommand that brings a job into another phase."""

    def command(options: StackOptions, job: JobArgument = "") -> None:
        changed = change(Backfills(options.operations()), job)
        if options.as_json:
            print_json(_job_json(changed))
        else:
            options.say(f"{changed.id} {done}")

    backfill_app.command(name, help=f"{name.capitalize()} a backfill.")(on_stack(command))


_changing(
    "pause", "is paused. What it sent and nobody has begun with yet is dropped, and listed again.", Backfills.pause
)
_changing("resume", "goes on.", Backfills.resume)
_changing("cancel", "is cancelled. What is described stays; calls under way are finished.", Backfills.cancel)


def _job_json(job: Job) -> dict[str, Any]:
    kept = asdict(job)
    del kept["holder"], kept["lease_until"]
    return kept


def _size(count: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1_000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1_000
    return f"{count:,.1f} TB"
