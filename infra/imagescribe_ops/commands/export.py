"""The command `imagescribe export`: the catalog as files."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from imagescribe.model.record import Status
from imagescribe_ops.catalog_view import CatalogView
from imagescribe_ops.commands.base import READ, StackOptions, app, moment_of, on_stack, utf8
from imagescribe_ops.commands.hints import complain, program
from imagescribe_ops.display import Steps, cut, print_json, safe
from imagescribe_ops.errors import OperationError
from imagescribe_ops.export.export import Cursor, Export, Query, Sink, TornError
from imagescribe_ops.export.parquet import Parquet
from imagescribe_ops.export.sidecars import Sidecars
from imagescribe_ops.export.texts import Csv, JsonLines, Output
from imagescribe_ops.export.xmp import XMP_SUFFIX, xmp_text
from imagescribe_ops.local.processes import Interrupted, interruptible, shielded


class Form(StrEnum):
    """What an export is written as."""

    JSONL = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


@app.command(rich_help_panel=READ)
@on_stack
def export(
    options: StackOptions,
    *,
    prefix: Annotated[str, typer.Option(help="Only keys that begin with this.")] = "",
    since: Annotated[
        datetime | None,
        typer.Option(
            parser=moment_of,
            metavar="DATE",
            help="Only images that were described, rejected, … then or later (UTC): 2026-11-23, 2026-11-23T18:00:00Z.",
        ),
    ] = None,
    status: Annotated[Status | None, typer.Option(help="Only images with this status.")] = None,
    form: Annotated[
        Form | None, typer.Option("--format", help="What is written; without it, what FILE's ending says, or jsonl.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; else to standard output.")
    ] = None,
    sidecars: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write each prompt into a text file under this folder: a/b.jpg's as a/b.txt."),
    ] = None,
    xmp: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Write each prompt and its labels as XMP under this folder: a/b.jpg's as a/b.xmp."
        ),
    ] = None,
    after: Annotated[
        str, typer.Option(metavar="CURSOR", help="Go on where an export stopped that printed this cursor.")
    ] = "",
) -> None:
    """Write the catalog's records to a file: JSON Lines, CSV or Parquet, in the order of their keys.

    An export that is stopped (Ctrl-C, a lost connection) prints a cursor; the same command with `--after CURSOR` goes
    on in the same file, without a record twice or missing. A file that is there is never overwritten.

    **CSV** is UTF-8, with a byte order mark in files, so that spreadsheets read it right. A value that one of them
    would take for a formula (it begins with `=`, `+`, `-`, `@`, a tab or a line break) gets an apostrophe before it.

    **Parquet** needs `-o`, and pyarrow: `uv run --extra parquet imagescribe export …`. Times are TIMESTAMP (UTC),
    `size` and `attempts` BIGINT, `labels` a list, all else text; what a record lacks is null. What goes on is another
    file.

    **Sidecars** are what trainers of image models look for: the prompt on one line, under the picture's name. **XMP**
    is what photographers' programs look for there: the prompt as `dc:description`, the labels as `dc:subject`. With
    `--sidecars` or `--xmp` alone nothing else is written. Left out, and said, are keys with `.` or `..` in their path,
    and the second of two pictures whose names differ in the suffix alone.

    Examples: `imagescribe export --status described -o prompts.jsonl` · `imagescribe export --sidecars captions/`
    """
    path = None if output is None or str(output) == "-" else output
    form = form or _form_of(path)
    if form is Form.PARQUET and path is None:
        raise typer.BadParameter("Parquet goes into a file: add -o FILE", param_hint="--format")
    if options.as_json and (path or sidecars or xmp) is None:
        raise typer.BadParameter("tells what was done, and needs -o FILE, --sidecars or --xmp", param_hint="--json")
    connection, outputs = options.outputs()
    query = Query(
        outputs.bucket_name,
        utf8(prefix, "--prefix"),
        status,
        since.replace(tzinfo=None).isoformat() if since else "",
        form,
    )
    cursor = Cursor.decoded(utf8(after, "--after"), query) if after else Cursor()
    steps = Steps(Console(stderr=True, highlight=False, soft_wrap=True))
    folders = []
    if sidecars is not None:
        folders.append(Folder("sidecars", sidecars, Sidecars(sidecars, steps.say)))
    if xmp is not None:
        folders.append(Folder("xmp", xmp, Sidecars(xmp, steps.say, XMP_SUFFIX, xmp_text)))
    with ExitStack() as files:
        sinks: list[Sink] = [folder.files for folder in folders]
        writes_file = not folders or output is not None
        if writes_file:
            sinks.append(_file(form, path, cursor, files))
        is_on_terminal = writes_file and path is None and sys.stdout.isatty()
        view = CatalogView(connection, outputs.catalog_table_name)
        run = Export(view, query, sinks, cursor, _nothing if is_on_terminal else _progress(steps))
        stopped = _run(run, files, steps, options)
    told = Told(run, query, path, output, folders, options)
    if options.as_json:
        print_json(told.as_json(is_complete=not stopped))
    else:
        for line in told.way_on() if stopped else told.summary():
            steps.say(line)
    if stopped:
        raise typer.Exit(stopped)


def _form_of(path: Path | None) -> Form:
    """Return what a file's ending says."""
    try:
        return Form(path.suffix[1:].lower() if path else "")
    except ValueError:
        return Form.JSONL


def _file(form: Form, path: Path | None, cursor: Cursor, files: ExitStack) -> Sink:
    if form is Form.PARQUET and path is not None:
        parquet = Parquet(path)
        files.callback(parquet.close)
        return parquet
    output = Output(path, cursor)
    files.callback(output.close)
    return Csv(output, is_file=path is not None) if form is Form.CSV else JsonLines(output)


def _run(run: Export, files: ExitStack, steps: Steps, options: StackOptions) -> int:
    """Run an export; return the status to end with where it was stopped. Its files are complete as far as it came."""
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
        return 128 + interrupted.signal_number
    except OperationError as error:
        files.close()
        complain(error, str(options))
        return 1
    return 0


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


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of files beside pictures, and the option that asked for it."""

    option: str
    directory: Path
    files: Sidecars


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of an export in the end."""

    run: Export
    query: Query
    path: Path | None
    output: Path | None
    folders: list[Folder]
    options: StackOptions

    def summary(self) -> list[str]:
        """Return what was done."""
        lines = []
        if not self.folders or self.output:
            place = f" to {self.path}" if self.path else ""
            lines.append(f"Exported {self.run.written:,} of {self.run.read:,} records{place}.")
        for folder in self.folders:
            files = folder.files
            left_out = f"; {files.left_out:,} pictures have none" if files.left_out else ""
            kind = "XMP sidecars" if folder.option == "xmp" else "sidecars"
            lines.append(f"{files.written:,} {kind} are in {folder.directory}{left_out}.")
        return lines

    def way_on(self) -> list[str]:
        """Return the command that goes on where the export stopped."""
        if not self.run.cursor.key:
            return ["Nothing was written yet."]
        query = self.query
        given = {
            "--format": query.form,
            "--prefix": query.prefix,
            "--status": query.status,
            "--since": query.since and f"{query.since}Z",
            "-o": "ANOTHER-FILE" if query.form == Form.PARQUET else self.output,
            **{f"--{folder.option}": folder.directory for folder in self.folders},
            "--after": self.run.cursor.encoded(query),
        }
        words = [word for name, value in given.items() if value for word in (name, str(value))]
        own = f" {self.options}" if str(self.options) else ""
        return ["Go on where it stopped with:", f"  {program()} export{own} {shlex.join(words)}"]

    def as_json(self, *, is_complete: bool) -> dict[str, object]:
        """Return the same for a program."""
        beside = {
            folder.option: {"written": folder.files.written, "left_out": folder.files.left_out}
            for folder in self.folders
        }
        return {
            "complete": is_complete,
            "cursor": "" if is_complete or not self.run.cursor.key else self.run.cursor.encoded(self.query),
            "read": self.run.read,
            "written": self.run.written,
            "file": str(self.path) if self.path else "",
            "sidecars": beside.get("sidecars"),
            "xmp": beside.get("xmp"),
        }
