"""The commands that say what happened: `explain` for one image, `logs` for what the functions wrote."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from imagescribe_ops.aws.logs import LogLine, Logs
from imagescribe_ops.commands.base import OPERATE, ImageArgument, StackOptions, app, image_address, on_stack, seconds_of
from imagescribe_ops.display import STATUS_STYLES, print_json, safe
from imagescribe_ops.story import tell

HOUR_SECONDS = 3_600.0
WEEK_SECONDS = 7 * 86_400.0

SinceOption = Annotated[
    float | None,
    typer.Option(parser=seconds_of, metavar="TIME", show_default=False, help="How far back, such as 2h or 7d."),
]


@app.command(rich_help_panel=OPERATE)
@on_stack
def explain(options: StackOptions, image: ImageArgument, *, since: SinceOption = None) -> None:
    """Tell one image's story in the order of time: object, catalog, ledger, dead letters, log; and how it stands.

    It only reads. The log is looked through for the last week, or as `--since` says.

    Example: `imagescribe explain s3://my-bucket/cat.jpg`
    """
    bucket, key = image_address(image)
    story = tell(options.operations(), bucket, key, WEEK_SECONDS if since is None else since)
    if options.as_json:
        print_json(asdict(story))
        return
    for chapter in story.chapters:
        if sys.stdout.isatty():
            print(f"{chapter.time[:19].replace('T', ' ')}  {chapter.place:12}  {safe(chapter.what)}")
        else:
            print("\t".join(safe(text) for text in (chapter.time, chapter.place, chapter.what)))
    options.say(f"Now: {story.now}")
    for missing in story.missing:
        options.say(f"Could not be read: {missing}")


@app.command(rich_help_panel=OPERATE)
@on_stack
def logs(
    options: StackOptions,
    image: Annotated[
        str, typer.Argument(metavar="[S3URI]", show_default=False, help="Only this image; without: all.")
    ] = "",
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    since: SinceOption = None,
) -> None:
    """Show what the describe function logged: a line for each outcome, and errors. Of the last hour, unless told.

    With `--json` each line is printed as the function wrote it.

    Examples: `imagescribe logs --follow` · `imagescribe logs s3://my-bucket/cat.jpg --since 7d`
    """
    if image:
        image_address(image)
    connection, outputs = options.outputs()
    log, began = Logs.of_stack(connection, outputs), time.time() - (HOUR_SECONDS if since is None else since)
    if not follow:
        lines = log.read(began, image)
        _show(lines, as_json=options.as_json)
        if not lines and not options.as_json:
            Console(stderr=True, highlight=False).print(f"Nothing was logged since then in {log.group}.")
        return
    with suppress(KeyboardInterrupt):
        for lines in log.follow(began, image):
            _show(lines, as_json=options.as_json)


def _show(lines: Iterable[LogLine], *, as_json: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for line in lines:
        if as_json:
            print_json(line.fields or {"text": line.text})
        elif sys.stdout.isatty():
            console.print(styled(line))
        else:
            print("\t".join(safe(text) for text in (line.time, line.status, line.image, line.detail)), flush=True)


def styled(line: LogLine, words: str = "") -> Text:
    """Return a line for people: the time of the day, what became of the image, its key, and why."""
    style = STATUS_STYLES.get(line.status, "red" if line.status in {"ERROR", "CRITICAL"} else "")
    key = line.image.split("/", 3)[-1]
    rest = safe(" ".join(filter(None, (line.detail, words))))
    return Text.assemble(
        line.time[11:19], "  ", (f"{line.status:10}", style), " ", (safe(key), "bold"), f"  {rest}" if rest else ""
    )
