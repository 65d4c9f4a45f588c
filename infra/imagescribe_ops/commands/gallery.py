"""`imagescribe gallery`: the stack's pictures and their prompts, in a browser on this machine."""

from __future__ import annotations

import sys
import time
import webbrowser
from typing import Annotated

import typer
from rich.console import Console

from imagescribe_ops.commands.base import READ, StackOptions, app, on_stack
from imagescribe_ops.display import print_json
from imagescribe_ops.local.processes import Interrupted, interruptible
from imagescribe_ops.operations import Operations


@app.command(rich_help_panel=READ)
@on_stack
def gallery(
    options: StackOptions,
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Where it listens on 127.0.0.1; 0 takes a free port.")
    ] = 0,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open it in the browser, or only print its address.")
    ] = True,
) -> None:
    """Show the pictures and their prompts in a browser: look, search, copy, describe again.

    The page is served on 127.0.0.1 until Ctrl-C, to whoever has the address that is printed: it holds a token. What is
    shown is read with your own AWS credentials; nothing becomes public. With `--json`, one line `{"url": …}`.

    Examples: `imagescribe gallery` · `imagescribe gallery --local --no-open`
    """
    try:
        with interruptible():
            show_gallery(options.operations(), port=port, open_browser=open_browser, as_json=options.as_json)
    except Interrupted:
        Console(stderr=True).print("Stopped.")


def show_gallery(operations: Operations, *, port: int = 0, open_browser: bool = True, as_json: bool = False) -> None:
    """Serve the gallery of a stack until `Interrupted`."""
    # Web server and Pillow take a third of a second to import, which no other command needs.
    from imagescribe_ops.gallery.server import RunningGallery  # noqa: PLC0415

    with RunningGallery(operations, port) as running:
        if as_json:
            print_json({"url": running.url})
        else:
            Console(highlight=False, soft_wrap=True).print(f"The gallery: {running.url}\nCtrl-C ends it.", markup=False)
            sys.stdout.flush()
        if open_browser and not as_json:
            webbrowser.open(running.url_once)
        while True:
            time.sleep(3600)
