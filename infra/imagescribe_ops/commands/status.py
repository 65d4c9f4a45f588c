"""The command `imagescribe status`: how does the stack stand, once or live."""

from __future__ import annotations

import sys
import time
from collections import deque
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from imagescribe.model.times import iso_utc
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.aws.stack import read_outputs
from imagescribe_ops.commands.base import OPERATE, StackOptions, app, on_stack
from imagescribe_ops.commands.hints import pasteable
from imagescribe_ops.display import duration, print_json, print_record, shown
from imagescribe_ops.operations import Operations
from imagescribe_ops.standing import Intake, StackStatus, backfill_depth, why_nothing_happens

WATCH_SECONDS = 2.0
RATE_SECONDS = 60.0
"""How far back the rate of a live view looks."""


@app.command(rich_help_panel=OPERATE)
@on_stack
def status(
    options: StackOptions,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on showing rate, spend and what is left.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="The names and addresses of its parts too.")] = False,
) -> None:
    """Show how the stack stands, and why nothing is happening if nothing is.

    Queues, images by status, the rate, a pause with its reason, what was spent today, dead letters by reason. With
    `--watch` live until Ctrl-C, and where it is piped a line every two seconds.

    Examples: `imagescribe status` · `imagescribe status --watch` · `imagescribe status --json | jq .why`
    """
    operations = options.operations()
    if watch:
        _watch(options, operations)
        return
    standing = operations.status()
    if options.as_json:
        print_json(_as_json(standing, options.stack, read_outputs(operations.connection, options.stack)))
        return
    console = Console(highlight=False, soft_wrap=True)
    print_record(console, _rows(options, standing))
    if verbose:
        mappings = ", ".join(f"{mapping.id} {mapping.state}" for mapping in standing.intake.mappings)
        outputs = read_outputs(operations.connection, options.stack)
        console.print()
        print_record(console, [("mappings", mappings or "none"), *outputs.items()])


def _as_json(standing: StackStatus, stack: str, outputs: dict[str, str]) -> dict[str, object]:
    return {
        "stack": stack,
        "why": standing.why,
        "outputs": outputs,
        "queues": {
            "upload": asdict(standing.uploads),
            "backfill": asdict(standing.backfill),
            "dead_letter": asdict(standing.dead_letters) | {"by_reason": standing.dead_letters_by_reason},
        },
        "images": {str(name): count for name, count in standing.images.counts.items()},
        "images_complete": standing.images.complete,
        "oldest_waiting_at": standing.oldest_waiting_at or None,
        "last_back_at": standing.last_back_at or None,
        "intake": asdict(standing.intake),
    }


def _rows(options: StackOptions, standing: StackStatus) -> list[tuple[str, str | Text]]:
    images, intake = standing.images, standing.intake
    counts = ", ".join(f"{count} {name}" for name, count in images.counts.items() if count) or "none yet"
    reasons = ", ".join(f"{count} {reason}" for reason, count in standing.dead_letters_by_reason.items())
    counted = sum(standing.dead_letters_by_reason.values())
    if counted < standing.dead_letters.visible:
        reasons += f" (of {counted} that were read)"
    why = pasteable(standing.why, str(options))
    return [
        ("stack", options.stack),
        ("why", shown(why, "bold yellow" if intake.paused_by else "bold")),
        ("images", counts + ("" if images.complete else " (at least)")),
        ("oldest waiting", standing.oldest_waiting_at and f"uploaded {standing.oldest_waiting_at}"),
        ("told to wait", standing.last_back_at and f"the last one comes back at {standing.last_back_at}"),
        ("upload queue", _depth_text(standing.uploads)),
        ("backfill queue", _depth_text(standing.backfill) if standing.backfill.total else ""),
        ("dead letters", shown(_depth_text(standing.dead_letters), "red" if standing.dead_letters.total else "")),
        ("by reason", reasons),
        ("rate", f"{intake.requests_per_minute:g} calls a minute"),
        (
            "spent today",
            "nothing: calls are free"
            if intake.is_free
            else f"${intake.spent_today_usd:g}" + (f" of ${intake.budget_usd:g}" if intake.budget_usd else ""),
        ),
    ]


def _depth_text(depth: QueueDepth) -> str:
    parts = (
        (depth.visible, "to be received"),
        (depth.in_flight, "in work or told to wait"),
        (depth.delayed, "delayed"),
    )
    return ", ".join(f"{count} {what}" for count, what in parts if count) or "empty"


# ── Live ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _watch(options: StackOptions, operations: Operations) -> None:
    """Show figures until Ctrl-C: on a terminal in one place, otherwise a line each time."""
    spent: deque[tuple[float, float]] = deque()
    with Live(console=Console(highlight=False), auto_refresh=False) as live:
        while True:
            intake = operations.intake()
            uploads = QueueDepth.read(operations.connection, operations.outputs.upload_queue_url)
            backfill = backfill_depth(operations.connection, operations.outputs)
            dead = QueueDepth.read(operations.connection, operations.outputs.dead_letter_queue_url)
            spent.append((time.monotonic(), intake.spent_today_usd))
            while spent[-1][0] - spent[0][0] > RATE_SECONDS:
                spent.popleft()
            figures = _figures(intake, uploads, dead, calls_a_minute(list(spent), operations.price_usd))
            why, at = why_nothing_happens(uploads, backfill, dead, intake), iso_utc(time.time())
            if options.as_json:
                print_json({"at": at, "why": why} | figures)
            elif sys.stdout.isatty():
                live.update(_panel(pasteable(why, str(options)), figures), refresh=True)
            else:
                print("\t".join([at, *(f"{name} {value}" for name, value in figures.items())]), flush=True)
            time.sleep(WATCH_SECONDS)


def _figures(intake: Intake, uploads: QueueDepth, dead: QueueDepth, rate: float | None) -> dict[str, float | None]:
    return {
        "calls_a_minute": rate,
        "permitted_a_minute": intake.requests_per_minute,
        "waiting": uploads.visible + uploads.delayed,
        "in_work_or_told_to_wait": uploads.in_flight,
        "seconds_left": seconds_left(intake, uploads, rate),
        "spent_today_usd": intake.spent_today_usd,
        "dead_letters": dead.total,
    }


def calls_a_minute(spent: list[tuple[float, float]], price_usd: float) -> float | None:
    """Return how many calls were paid for a minute, by what was spent at different times (seconds).

    None where calls are free.
    """
    if not price_usd:
        return None
    (began, first), (ended, last) = spent[0], spent[-1]
    return 0.0 if ended <= began else round(max(0.0, last - first) / price_usd / (ended - began) * 60, 1)


def seconds_left(intake: Intake, uploads: QueueDepth, rate: float | None) -> int | None:
    """Return how long the backlog takes yet at the rate of the last minute; None where that is not known."""
    if not uploads.total:
        return 0
    a_minute = rate or intake.requests_per_minute
    return None if intake.paused_by or not a_minute else round(60 * uploads.total / a_minute)


def _panel(why: str, figures: dict[str, float | None]) -> Group:
    grid = Table.grid(padding=(0, 2))
    for name, value in figures.items():
        grid.add_row(shown(name.replace("_", " "), "bold"), shown(_words(name, value)))
    return Group(shown(why, "bold"), grid)


def _words(name: str, value: float | None) -> str:
    if value is None:
        return "not known"
    return f"{value:,g}" + (f" ({duration(value)})" if name == "seconds_left" and value else "")
