"""The commands that show images and their prompts: `get` and `list`."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from imagescribe.aws.s3 import Objects
from imagescribe.model.events import Deletion
from imagescribe.model.record import Status
from imagescribe.model.tags import TagState
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.aws.stack import StackOutputs
from imagescribe_ops.catalog_view import CatalogView, ImageRecord, Page
from imagescribe_ops.commands.base import (
    READ,
    ImageArgument,
    PrefixOption,
    StackOptions,
    TimeoutOption,
    app,
    day_of,
    image_address,
    on_stack,
    utf8,
)
from imagescribe_ops.commands.hints import pasteable
from imagescribe_ops.commands.waiting import wait_for
from imagescribe_ops.display import STATUS_STYLES, Steps, cut_start, print_json, print_record, safe, shown
from imagescribe_ops.errors import NotFoundError, OperationError
from imagescribe_ops.operations import Operations
from imagescribe_ops.standing import queued_sentence

OTHER_COLUMNS = 34
"""What status, time and the spaces between take of a line."""


@app.command(rich_help_panel=READ)
@on_stack
def get(
    options: StackOptions,
    image: ImageArgument,
    *,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has come to its end.")] = False,
    timeout: TimeoutOption = None,
) -> None:
    """Show one image's record: status, prompt, and the reason if it has no prompt.

    With `--wait` ends with 1 where it was not described. The whole story is told by `imagescribe explain`.

    Examples: `imagescribe get 's3://my-bucket/holiday/IMG 0001.jpg'` · `imagescribe get s3://my-bucket/a.png --wait`
    """
    image_address(image)
    connection, outputs = options.outputs()
    catalog = CatalogView(connection, outputs.catalog_table_name)
    if wait and (catalog.get(image) or _exists(options, image)):
        with Steps() as steps:
            list(wait_for(options.operations(), {image: ""}, steps, timeout))
    record = catalog.get(image)
    if record is None:
        raise _no_record(options, outputs, image)
    if options.as_json:
        print_json(asdict(record))
    else:
        _show_record(record)
    if wait and record.status != Status.DESCRIBED:
        raise typer.Exit(1)


def _no_record(options: StackOptions, outputs: StackOutputs, image: str) -> NotFoundError:
    """Say what is known of an image without a record: it may wait in the queue, where nobody can look for it."""
    bucket, _ = image_address(image)
    if bucket != outputs.bucket_name:
        return NotFoundError(
            f"There is no record of {image}.",
            f"The stack describes what is uploaded to s3://{outputs.bucket_name}; `imagescribe list` shows its images.",
        )
    operations = options.operations()
    try:
        exists, queued = _exists(options, image), _queued(operations)
    except OperationError:  # whoever may only read the catalog is told what that says
        exists, queued = True, ""
    if not exists:
        return NotFoundError(f"There is no object {image}.", f"`imagescribe upload FILE` puts one into s3://{bucket}.")
    return NotFoundError(
        f"{image} has no record yet.",
        queued or "It usually has one within seconds after its upload. If it stays so, `imagescribe audit` finds out.",
    )


def _exists(options: StackOptions, image: str) -> bool:
    bucket, key = image_address(image)
    with readable_errors():
        return Objects(options.connection().s3()).head(Deletion(bucket, key, "", "")) is not None


def _queued(operations: Operations) -> str:
    depth = QueueDepth.read(operations.connection, operations.outputs.upload_queue_url)
    return queued_sentence(depth, operations.intake()) if depth.visible or depth.delayed else ""


def _show_record(record: ImageRecord) -> None:
    print_record(
        Console(highlight=False, soft_wrap=not sys.stdout.isatty()),
        [
            ("image", record.image),
            ("status", shown(record.status, STATUS_STYLES.get(record.status, ""))),
            ("prompt", record.prompt),
            ("labels", ", ".join(record.labels)),
            ("model", record.model),
            ("reason", record.error if record.status != Status.DESCRIBED else ""),
            ("rendered from", record.rendered_from),
            ("waiting until", record.waiting_until if record.status == Status.WAITING else ""),
            ("object tags", record.tags),
            ("annotation", record.annotation if record.annotation != TagState.OFF else ""),
            ("attempts", str(record.attempts or "")),
            ("uploaded", record.uploaded_at),
            ("described", record.described_at),
            ("size", f"{record.size:,} bytes" if record.size else ""),
            ("etag", record.etag),
            ("version", record.version_id),
        ],
    )


@app.command("list", rich_help_panel=READ)
@on_stack
def list_images(
    options: StackOptions,
    *,
    prefix: PrefixOption = "",
    status: Annotated[
        Status | None, typer.Option(case_sensitive=False, help="Only images with this status, newest first.")
    ] = None,
    day: Annotated[
        datetime | None,
        typer.Option(parser=day_of, metavar="YYYY-MM-DD", help="Only images uploaded on this day (UTC)."),
    ] = None,
    label: Annotated[
        str, typer.Option(help="Only images that have this label. The record of each other one is looked at for that.")
    ] = "",
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 lists all.")] = 100,
    after: Annotated[str, typer.Option(metavar="CURSOR", help="Go on where the page before ended.")] = "",
) -> None:
    """List images by prefix, by status, by day and by label.

    Where standard output is no terminal, each image is a line of upload time, status, image and prompt (or the reason
    there is none), separated by tabs. With `--json`: `{"images": […], "more": true|false, "after": CURSOR|null}`.

    Examples: `imagescribe list --prefix holiday/` · `imagescribe list --status rejected --day 2026-11-23` ·
    `imagescribe list --label boat`
    """
    connection, outputs = options.outputs()
    page = CatalogView(connection, outputs.catalog_table_name).find(
        bucket=outputs.bucket_name,
        prefix=outputs.own_prefix(utf8(prefix, "--prefix")),
        status=status,
        day=day.date() if day else None,
        label=utf8(label, "--label").strip().lower(),
        limit=limit,
        after=after,
    )
    if options.as_json:
        print_json(
            {"images": [asdict(record) for record in page.records], "more": page.more, "after": page.after or None}
        )
        return
    _show_page(page, outputs.bucket_name)
    note = Console(stderr=True, highlight=False, soft_wrap=True)
    count = len(page.records)
    images = "1 image" if count == 1 else f"{count:,} images"
    if page.more:
        note.print(shown(f"{images}, and there are more: --after {page.after} goes on there, --limit 0 lists all."))
    else:
        note.print(images if count else "No images match.")
    with suppress(OperationError):  # whoever may only read the catalog has its images all the same
        if queued := _queued(options.operations()):
            note.print(shown(pasteable(f"Images without a record may be among them: {queued}", str(options))))


def _show_page(page: Page, bucket: str) -> None:
    """Print a line for each image: for people cut to the width of the terminal, for programs whole, with tabs."""
    if not sys.stdout.isatty():
        for record in page.records:
            fields = (record.uploaded_at, record.status, record.image, record.prompt or record.error)
            print("\t".join(safe(field) for field in fields))
        return
    console = Console(highlight=False)
    names = [safe(each.key if each.bucket == bucket else each.image) for each in page.records]
    # A name's end says more than its beginning; the prompt has at least as much room.
    width = min(max(map(cell_len, names), default=0), max(12, (console.width - OTHER_COLUMNS) // 2))
    table = Table("image", "status", "uploaded", "prompt", box=None, header_style="bold", pad_edge=False, expand=True)
    for column in table.columns:
        column.no_wrap, column.overflow = True, "ellipsis"
    table.columns[3].ratio = 1
    for name, record in zip(names, page.records, strict=True):
        table.add_row(
            Text(cut_start(name, width)),
            shown(record.status, STATUS_STYLES.get(record.status, "")),
            record.uploaded_at[:16].replace("T", " "),
            shown(record.prompt or record.error),
        )
    if page.records:
        console.print(table)
