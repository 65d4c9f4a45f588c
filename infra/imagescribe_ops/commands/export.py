"""The command `imagescribe export`: the catalog as files."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from imagescribe.stores.catalog import Status
from imagescribe_ops.catalog_view import CatalogView
from imagescribe_ops.commands.base import (
    LocalOption,
    ProfileOption,
    RegionOption,
    StackOption,
    app,
    complain,
    connect,
)
from imagescribe_ops.commands.operate import utf8
from imagescribe_ops.display import Steps, cut, safe
from imagescribe_ops.errors import OperationError
from imagescribe_ops.export.export import Cursor, Export, Query, Sink, TornError
from imagescribe_ops.export.parquet import Parquet
from imagescribe_ops.export.sidecars import Sidecars
from imagescribe_ops.export.texts import Csv, JsonLines, Output
from imagescribe_ops.local.processes import Interrupted, interruptible, shielded
from imagescribe_ops.stack import DEFAULT_STACK, StackOutputs


class Form(StrEnum):
    """What an export is written as."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


@app.command()
def export(
    *,
    prefix: Annotated[str, typer.Option(help="Only keys that begin with this.")] = "",
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"],
            metavar="DATE",
            help="Only images that were described, rejected, … then or later (UTC): 2026-11-23, 2026-11-23T18:00:00Z.",
        ),
    ] = None,
    status: Annotated[Status | None, typer.Option(help="Only images with this status.")] = None,
    form: Annotated[Form, typer.Option("--format", help="What is written.")] = Form.JSONL,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; else to standard output.")
    ] = None,
    sidecars: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write each prompt into a text file under this folder: a/b.jpg's as a/b.txt."),
    ] = None,
    after: Annotated[
        str, typer.Option(metavar="CURSOR", help="Go on where an export stopped that printed this cursor.")
    ] = "",
    stack: StackOption = DEFAULT_STACK,
    region: RegionOption = None,
    profile: ProfileOption = None,
    local: LocalOption = False,
) -> None:
    """Write the catalog's records to a file: JSON Lines, CSV or Parquet, in the order of their keys.

    An export that is stopped (Ctrl-C, a lost connection) prints a cursor; the same command with `--after CURSOR` goes
    on in the same file, without a record twice or missing. A file that is there is never overwritten.

    **CSV** is UTF-8, with a byte order mark in files, so that spreadsheets read it right. A value that one of them
    would take for a formula (it begins with `=`, `+`, `-`, `@`, a tab or a line break) gets an apostrophe before it.

    **Parquet** needs `-o`, and pyarrow: `uv run --extra parquet imagescribe export …`. Times are TIMESTAMP (UTC),
    `size` and `attempts` BIGINT, all else text; what a record lacks is null. What goes on is another file.

    **Sidecars** are what trainers of image models look for: the prompt on one line, under the picture's name. With
    `--sidecars` alone nothing else is written. Left out, and said, are keys with `.` or `..` in their path, and the
    second of two pictures whose names differ in the suffix alone.

    Examples: `imagescribe export --status described -o prompts.jsonl` · `imagescribe export --sidecars captions/`
    """
    path = None if output is None or str(output) == "-" else output
    if form is Form.PARQUET and path is None:
        raise typer.BadParameter("Parquet goes into a file: add -o FILE", param_hint="--format")
    connection = connect(stack, region, profile, local=local)
    outputs = StackOutputs.read(connection, stack)
    query = Query(outputs.bucket_name, utf8(prefix, "--prefix"), status, since.isoformat() if since else "", form)
    cursor = Cursor.decoded(utf8(after, "--after"), query) if after else Cursor()
    steps = Steps(Console(stderr=True, highlight=False, soft_wrap=True))
    folder = Sidecars(sidecars, steps.say) if sidecars is not None else None
    with ExitStack() as files:
        sinks: list[Sink] = [folder] if folder else []
        if folder is None or output is not None:
            sinks.append(_file(form, path, cursor, files))
        is_on_terminal = sinks[-1] is not folder and path is None and sys.stdout.isatty()
        view = CatalogView(connection, outputs.catalog_table_name)
        run = Export(view, query, sinks, cursor, _nothing if is_on_terminal else _progress(steps))
        places: dict[str, object] = {
            "-o": "ANOTHER-FILE" if form is Form.PARQUET else output,
            "--sidecars": sidecars,
            "--stack": stack if stack != DEFAULT_STACK else None,
            "--region": region,
            "--profile": profile,
            "--local": local,
        }
        _run(run, files, steps, lambda: _way_on(run.cursor, query, places))
    if sinks[-1] is not folder:
        steps.say(f"Exported {run.written:,} of {run.read:,} records{f' to {path}' if path else ''}.")
    if folder:
        left_out = f"; {folder.left_out:,} pictures have none" if folder.left_out else ""
        steps.say(f"{folder.written:,} sidecars are in {sidecars}{left_out}.")


def _file(form: Form, path: Path | None, cursor: Cursor, files: ExitStack) -> Sink:
    if form is Form.PARQUET and path is not None:
        parquet = Parquet(path)
        files.callback(parquet.close)
        return parquet
    output = Output(path, cursor)
    files.callback(output.close)
    return Csv(output, is_file=path is not None) if form is Form.CSV else JsonLines(output)


def _run(run: Export, files: ExitStack, steps: Steps, way_on: Callable[[], list[str]]) -> None:
    """Run an export; where it is stopped, complete its files as far as it came and say how to go on."""
    try:
        with steps, interruptible():
            run.run()
            with shielded():
                files.close()
            steps.end()
    except TornError:
        raise
    except Interrupted as interrupted:
        files.close()
        steps.say(f"Stopped by {interrupted}.")
        status = 128 + interrupted.signal_number
    except OperationError as error:
        files.close()
        complain(error)
        status = 1
    else:
        return
    for line in way_on():
        steps.say(line)
    raise typer.Exit(status)


def _progress(steps: Steps) -> Callable[[Export], None]:
    steps.begin("Exporting")
    began = time.monotonic()

    def show(export: Export) -> None:
        speed = export.read / max(0.001, time.monotonic() - began)
        place = cut(safe(export.cursor.key), 30)
        steps.show(f"Exporting: {export.written:,} of {export.read:,} records, {speed:,.0f} a second, at {place}")

    return show


def _nothing(_export: Export) -> None:
    """Show no progress, where the records go to the same terminal."""


def _way_on(cursor: Cursor, query: Query, places: Mapping[str, object]) -> list[str]:
    """Return lines with the command that goes on where an export stopped."""
    if not cursor.key:
        return ["Nothing was written yet."]
    options = {"--prefix": query.prefix, "--status": query.status, "--since": query.since and f"{query.since}Z"}
    words = ["imagescribe", "export", "--format", query.form]
    for name, value in {**options, **places, "--after": cursor.encoded(query)}.items():
        words += [name] if value is True else [name, str(value)] if value else []
    return ["Go on where it stopped with:", f"  {shlex.join(words)}"]
