"""`imagescribe search`: find images by the words of their prompts."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from imagescribe_ops.commands.base import READ, StackOptions, app, on_stack, utf8
from imagescribe_ops.display import print_json, safe
from imagescribe_ops.query_client import QueryClient

# A word that begins with a minus is not an option here: it is what a prompt must not have. -h would take -harbour.
_CONTEXT = {"ignore_unknown_options": True, "help_option_names": ["--help"]}


@app.command(rich_help_panel=READ, context_settings=_CONTEXT)
@on_stack
def search(
    options: StackOptions,
    words: Annotated[list[str], typer.Argument(metavar="WORDS…", help='Words, "phrases", beginnings*, -without, OR.')],
    *,
    prefix: Annotated[str, typer.Option(help="Only keys that begin with this.")] = "",
    label: Annotated[
        str, typer.Option(help="Only images that have this label. Each other match is looked at for that.")
    ] = "",
    since: Annotated[str, typer.Option(metavar="TIME", help="Only what was described since: 2026-11-26.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Only what was described before: 2026-11-26T09:30Z.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most so many.")] = 20,
    after: Annotated[str, typer.Option(metavar="CURSOR", help="Go on where the page before ended.")] = "",
    best: Annotated[bool, typer.Option("--best", help="The best first, not the newest.")] = False,
) -> None:
    """Find images by the words of their prompts, the newest first.

    All words must be in the prompt, in any form of them: `boats` finds boat. `"red boat"` is a phrase (in a shell:
    `'"red boat"'`), `boat*` the beginning of a word, `-people` leaves out, `boat OR ship` takes either.

    Where standard output is no terminal, each image is a line of the time of its description, the image and the prompt,
    separated by tabs. With `--json`: `{"images": […], "after": CURSOR|null}`.

    Examples: `imagescribe search red boat dusk` · `imagescribe search '"red boat"' -people --since 2026-11-01` ·
    `imagescribe search dusk --label boat`
    """
    for word in words:
        if word.startswith("--"):
            raise typer.BadParameter(f"there is no option {word}; a word to leave out has one minus")
        utf8(word, "WORDS")
    client = QueryClient(*options.outputs())
    asked: dict[str, str | int] = {"q": " ".join(words), "limit": limit, "best": str(best).lower()}
    asked |= {
        name: value
        for name, value in {
            "prefix": prefix,
            "label": utf8(label, "--label").strip().lower(),
            "since": since,
            "until": until,
            "after": after,
        }.items()
        if value
    }
    found = client.get("/search", asked)
    images: list[Mapping[str, Any]] = found["images"]
    while label and found["after"] and len(images) < limit:  # it looked through as many as one request does
        found = client.get("/search", asked | {"after": found["after"], "limit": limit - len(images)})
        images += found["images"]
    if options.as_json:
        print_json({"images": images, "after": found["after"]})
        return
    _show(images, found["after"])


def _show(images: Sequence[Mapping[str, Any]], after: str | None) -> None:
    if sys.stdout.isatty():
        console = Console(highlight=False)
        for image in images:
            console.print(Text(safe(image["image"]), style="cyan"), Text(image["described_at"][:10], style="dim"))
            console.print(_marked(image["prompt"], image["matches"]), end="\n\n")
    else:
        for image in images:
            print("\t".join(safe(image[name]) for name in ("described_at", "image", "prompt")))
    note = Console(stderr=True, highlight=False, soft_wrap=True)
    if not images and not after:
        note.print("No images match.")
    elif after:
        note.print(Text(f"There are more: --after {after}"))


def _marked(prompt: str, matches: Sequence[tuple[int, int]]) -> Text:
    """Return a prompt with the words in bold that it was found by, and nothing in it that a terminal would obey."""
    text, done = Text(), 0
    for start, end in matches:
        text.append(safe(prompt[done:start])).append(safe(prompt[start:end]), style="bold")
        done = end
    return text.append(safe(prompt[done:]))
