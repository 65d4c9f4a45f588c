"""The command `imagescribe dead-letters`: look at them, and delete them for good."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from imagescribe.errors import MalformedMessageError
from imagescribe.model.dead_letter import DeadLetter
from imagescribe.model.events import parse_body
from imagescribe.model.times import iso_utc
from imagescribe_ops.commands.base import OPERATE, StackOptions, app, image_address, on_stack
from imagescribe_ops.commands.operate import DeadReason
from imagescribe_ops.display import cut, print_json, safe
from imagescribe_ops.errors import OperationError

BODY_LENGTH = 200
"""Characters that are shown of the body of one that tells of no image."""

letters_app = typer.Typer(no_args_is_help=True, help="Messages that were given up: show them, delete them.")
app.add_typer(letters_app, name="dead-letters", rich_help_panel=OPERATE)

ReasonOption = Annotated[DeadReason, typer.Option("--reason", case_sensitive=False, help="Only those of this reason.")]
ImageOption = Annotated[str, typer.Option("--image", metavar="S3URI", help="Only those of this image.")]


@letters_app.command("show")
@on_stack
def show_letters(options: StackOptions, *, reason: ReasonOption = DeadReason.ALL, image: ImageOption = "") -> None:
    """Show dead letters: since when, the reason, the image, and what happened. They stay as they are.

    Of a long queue it is a sample, 500 at the most. What is piped is a line each, separated by tabs.

    Examples: `imagescribe dead-letters show` · `imagescribe dead-letters show --reason malformed --json`
    """
    letters = [each for each in options.operations().dead_letters() if _meant(reason, image)(each)]
    letters.sort(key=lambda each: each.sent_at)
    if options.as_json:
        print_json({"dead_letters": [_as_json(each) for each in letters]})
        return
    for each in letters:
        about = ", ".join(images_of(each)) or cut(each.body, BODY_LENGTH)
        fields = [safe(text) for text in (iso_utc(each.sent_at), each.reason, about, each.detail)]
        print("\n  ".join(["  ".join(fields[:3]), fields[3]]) if sys.stdout.isatty() else "\t".join(fields))
    if not letters:
        options.say(_none(reason, image))


@letters_app.command("purge")
@on_stack
def purge_letters(
    options: StackOptions,
    *,
    reason: ReasonOption = DeadReason.ALL,
    image: ImageOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Delete without asking.")] = False,
) -> None:
    """Delete dead letters for good. Their images keep the status `dead`, and `imagescribe retry` still works.

    Rather `imagescribe redrive` or `imagescribe retry` them: this is for what nobody wants described.

    Examples: `imagescribe dead-letters purge --reason malformed` ·
    `imagescribe dead-letters purge --image s3://my-bucket/cat.jpg --yes`
    """
    is_meant, operations = _meant(reason, image), options.operations()
    if not yes:
        letters = [each for each in operations.dead_letters() if is_meant(each)]
        some = "1 dead letter" if len(letters) == 1 else f"{len(letters)} dead letters"
        if letters and (options.as_json or not sys.stdin.isatty()):
            raise OperationError(f"{some} would be deleted for good.", "Add --yes to delete.")
        if letters:
            typer.confirm(f"Delete {some} for good?", abort=True)
    purged = operations.purge(is_meant)
    if options.as_json:
        print_json({"purged": {str(name): count for name, count in purged.items()}})
    else:
        counts = ", ".join(f"{count} {name}" for name, count in purged.items())
        options.say(f"Deleted: {counts}." if counts else _none(reason, image))


def _none(reason: DeadReason, image: str) -> str:
    return f"There are no {'such ' if image or reason is not DeadReason.ALL else ''}dead letters."


def _meant(reason: DeadReason, image: str) -> Callable[[DeadLetter], bool]:
    if image:
        image_address(image)
    return lambda letter: reason in (DeadReason.ALL, letter.reason) and (not image or image in images_of(letter))


def images_of(letter: DeadLetter) -> list[str]:
    """Return the images that a dead letter tells of; none where it can't be read."""
    try:
        return list(dict.fromkeys(event.image for event in parse_body(letter.body)))
    except MalformedMessageError:
        return []


def _as_json(letter: DeadLetter) -> dict[str, object]:
    return {
        "sent_at": iso_utc(letter.sent_at),
        "reason": str(letter.reason),
        "detail": letter.detail,
        "images": images_of(letter),
        "redrives": letter.redrives,
        "body": letter.body,
    }
