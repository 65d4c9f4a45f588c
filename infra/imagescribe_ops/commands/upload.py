"""The command `imagescribe upload`: files go up, and with `--wait` their prompts come back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from imagescribe.model.record import Status
from imagescribe_ops.catalog_view import ImageRecord
from imagescribe_ops.commands.base import READ, StackOptions, TimeoutOption, app, on_stack, utf8
from imagescribe_ops.commands.waiting import wait_for
from imagescribe_ops.display import STATUS_STYLES, Steps, print_json, safe, shown
from imagescribe_ops.errors import OperationError
from imagescribe_ops.local.pictures import Selection, select
from imagescribe_ops.uploads import Uploaded, upload_all

MAX_OWN_TAGS = 9
"""S3 takes ten, and the prompt is one: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html"""


@app.command(rich_help_panel=READ)
@on_stack
def upload(
    options: StackOptions,
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Images, or folders of them.")],
    *,
    prefix: Annotated[str, typer.Option(help="Put before each key, such as `holiday/`.")] = "",
    tag: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="A tag for each object; may be given several times.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the prompts, and print them.")] = False,
    timeout: TimeoutOption = None,
) -> None:
    """Upload images to the stack's bucket, under the names that the files have, and print their addresses.

    With `--wait`, each is printed when it has come to its end, with its prompt or the reason why there is none; ends
    with 1 if one was not described. Without, `imagescribe get` shows what becomes of them.

    Examples: `imagescribe upload cat.jpg --wait` · `imagescribe upload ~/Pictures --prefix 2026/ --tag owner=Ann`
    """
    tags = _tags(tag or [])
    selection = _chosen(paths, utf8(prefix, "--prefix"))
    operations = options.operations()
    bucket = operations.outputs.bucket_name
    for picture in selection.pictures:
        operations.check_is_ours(bucket, picture.key)
    uploaded: list[Uploaded] = []
    with Steps() as steps:
        for left in selection.left_out:
            steps.say(f"Left out {left.path}: {left.reason}")
        with steps.counting("Uploading", len(selection.pictures)) as counter:
            for one in upload_all(operations.connection.s3(), bucket, selection.pictures, tags):
                uploaded.append(one)
                counter.advance()
                if not wait and not options.as_json:
                    with steps.aside():
                        print(safe(one.image))
        records: list[ImageRecord] = []
        if wait:
            for record in wait_for(operations, {one.image: one.etag for one in uploaded}, steps, timeout):
                records.append(record)
                if not options.as_json:
                    with steps.aside():
                        _show(record)
    if options.as_json:
        print_json(_as_json(uploaded, records, waited=wait))
    if wait and sum(record.status == Status.DESCRIBED for record in records) < len(uploaded):
        raise typer.Exit(1)


def _chosen(paths: Sequence[Path], prefix: str) -> Selection:
    try:
        selection = select(paths)
    except OperationError as error:
        raise typer.BadParameter(f"{error.problem} {error.advice}", param_hint="FILE") from error
    return Selection([replace(each, key=prefix + each.key) for each in selection.pictures], selection.left_out)


def _tags(pairs: Sequence[str]) -> dict[str, str]:
    tags = {}
    for pair in pairs:
        name, equals, value = utf8(pair, "--tag").partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{pair!r} is not NAME=VALUE", param_hint="--tag")
        tags[name] = value
    if len(tags) > MAX_OWN_TAGS:
        raise typer.BadParameter(f"at most {MAX_OWN_TAGS}: S3 takes ten, and one is the prompt's", param_hint="--tag")
    return tags


def _show(record: ImageRecord) -> None:
    words = record.prompt or record.error
    if not sys.stdout.isatty():
        print("\t".join(safe(each) for each in (record.image, record.status, words)))
        return
    console = Console(highlight=False)
    console.print(shown(record.image, "bold"), soft_wrap=True)
    console.print(shown(record.status, STATUS_STYLES.get(record.status, "")).append(f"  {safe(words)}", "default"))


def _as_json(uploaded: Sequence[Uploaded], records: Sequence[ImageRecord], *, waited: bool) -> dict[str, object]:
    by_image = {record.image: record for record in records}
    images = []
    for one in uploaded:
        image: dict[str, object] = {"file": str(one.picture.path), "image": one.image}
        if waited:
            record = by_image.get(one.image)
            image |= {
                "status": record.status if record else "",
                "prompt": record.prompt if record else "",
                "error": record.error if record else "",
            }
        images.append(image)
    return {"images": images}
