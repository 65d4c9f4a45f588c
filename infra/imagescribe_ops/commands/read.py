"""The commands that show images and their prompts: `get` and `list`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from imagescribe.stores.catalog import Status
from imagescribe_ops.catalog_view import CatalogView, ImageRecord, Page
from imagescribe_ops.commands.base import READ, ImageArgument, StackOptions, app, image_address, on_stack
from imagescribe_ops.display import STATUS_STYLES, cut, print_json, print_record, safe, shown
from imagescribe_ops.errors import NotFoundError


@app.command(rich_help_panel=READ)
@on_stack
def get(
    options: StackOptions,
    image: ImageArgument,
) -> None:
    """Show one image's record: status, prompt, and the reason if it has no prompt.

    Example: `imagescribe get 's3://my-bucket/holiday/IMG 0001.jpg'`
    """
    image_address(image)
    connection, outputs = options.outputs()
    record = CatalogView(connection, outputs.catalog_table_name).get(image)
    if record is None:
        raise NotFoundError(
            f"There is no record of {image}.",
            f"The stack describes what is uploaded to s3://{outputs.bucket_name}, usually within seconds; "
            "`imagescribe list` shows the images that it knows.",
        )
    if options.as_json:
        print_json(asdict(record))
    else:
        _show_record(record)


def _show_record(record: ImageRecord) -> None:
    print_record(
        Console(highlight=False, soft_wrap=not sys.stdout.isatty()),
        [
            ("image", record.image),
            ("status", shown(record.status, STATUS_STYLES.get(record.status, ""))),
            ("prompt", record.prompt),
            ("model", record.model),
            ("reason", record.error if record.status != Status.DESCRIBED else ""),
            ("rendered from", record.rendered_from),
            ("waiting until", record.waiting_until if record.status == Status.WAITING else ""),
            ("object tags", record.tags),
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
    prefix: Annotated[str, typer.Option(help="Only keys that begin with this.")] = "",
    status: Annotated[Status | None, typer.Option(help="Only images with this status, newest first.")] = None,
    day: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="Only images uploaded on this day (UTC)."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="At most so many; 0 lists all.")] = 100,
    after: Annotated[str, typer.Option(metavar="CURSOR", help="Go on where the page before ended.")] = "",
) -> None:
    """List images by prefix, by status and by day.

    Where standard output is no terminal, each image is a line of upload time, status, image and prompt (or the reason
    there is none), separated by tabs. With `--json`: `{"images": […], "more": true|false, "after": CURSOR|null}`.

    Examples: `imagescribe list --prefix holiday/` · `imagescribe list --status rejected --day 2026-11-23`
    """
    connection, outputs = options.outputs()
    page = CatalogView(connection, outputs.catalog_table_name).find(
        bucket=outputs.bucket_name,
        prefix=prefix,
        status=status,
        day=day.date() if day else None,
        limit=limit,
        after=after,
    )
    if options.as_json:
        print_json(
            {"images": [asdict(record) for record in page.records], "more": page.more, "after": page.after or None}
        )
        return
    _show_page(page)


def _show_page(page: Page) -> None:
    if sys.stdout.isatty():
        table = Table("uploaded", "status", "image", "prompt", box=None, header_style="bold", pad_edge=False)
        table.columns[0].no_wrap = table.columns[1].no_wrap = True
        table.columns[2].overflow = "fold"
        for record in page.records:
            style = STATUS_STYLES.get(record.status, "")
            text = cut(record.prompt or record.error, 120)
            table.add_row(record.uploaded_at[:19], shown(record.status, style), shown(record.image), shown(text))
        Console(highlight=False).print(table)
    else:
        for record in page.records:
            fields = (record.uploaded_at, record.status, record.image, record.prompt or record.error)
            print("\t".join(safe(field) for field in fields))
    note = Console(stderr=True, highlight=False)
    if not page.records and not page.more:
        note.print("No images match.")
    elif page.more:
        note.print(shown(f"There are more: --after {page.after} goes on there, --limit 0 lists all."), soft_wrap=True)
