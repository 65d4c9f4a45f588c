"""How things are shown: to people by Rich, to programs as JSON; what comes from a bucket never steers the terminal."""

from __future__ import annotations

import json
import sys
import time
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

from rich.cells import cell_len
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.status import Status
from rich.table import Table
from rich.text import Text

STATUS_STYLES = {
    "described": "green",
    "describing": "cyan",
    "waiting": "cyan",
    "skipped": "yellow",
    "rejected": "yellow",
    "dead": "red",
    "missing": "red",
}


def safe(text: str) -> str:
    r"""Return a text on one line with nothing in it that a terminal would obey.

    Control characters (escape sequences begin with one), those that are not seen or turn the direction of writing, line
    and paragraph separators and lone surrogates are written out as ``\x1b`` or ``\u202e``.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        return character.encode("unicode_escape").decode("ascii")
    return character


def shown(text: str, style: str = "") -> Text:
    """Return a text as Rich prints it literally: safe, and with square brackets that are no markup."""
    return Text(safe(text), style=style)


def cut(text: str, length: int) -> str:
    """Cut a text to a length, with an ellipsis where something is left out."""
    return text if len(text) <= length else text[: length - 1] + "…"


def cut_start(text: str, cells: int) -> str:
    """Cut a text to so many columns of a terminal, with an ellipsis where its beginning is left out."""
    if cell_len(text) <= cells:
        return text
    while cell_len(text) > cells - 1:
        text = text[1:]
    return f"…{text}"


def print_json(value: object) -> None:
    """Print one JSON document on one line of standard output; only ASCII, so that it is safe on any terminal."""
    # DEL is ASCII, and json leaves it as it is.
    sys.stdout.write(json.dumps(value).replace("\x7f", "\\u007f") + "\n")
    sys.stdout.flush()


def print_record(console: Console, rows: Sequence[tuple[str, str | Text]]) -> None:
    """Print names and values below each other, leaving out empty ones; where it is piped, each on one line."""
    rows = [(name, value) for name, value in rows if value]
    if not console.is_terminal:
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            console.print(Text(f"{name:{width}}  ").append_text(_text(value)), soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(name, _text(value))
    console.print(grid)


def _text(value: str | Text) -> Text:
    return value if isinstance(value, Text) else shown(value)


def duration(seconds: float) -> str:
    """Return a time in the two units that fit it, such as ``3 h 20 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours / 24:,.1f} days"


def tags_text(tags: Mapping[str, str]) -> str:
    """Return tags as ``name=value`` pairs."""
    return ", ".join(f"{name}={value}" for name, value in tags.items())


class Steps:
    """Progress on standard error: a spinner and a bar on a terminal, plain lines where it is piped.

    As a context manager it stops the spinner where something goes wrong, so that it does not turn under the message.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._step = ""
        self._began = 0.0
        self._status = self._console.status("")
        self._turning: Status | Progress | None = None

    def begin(self, step: str) -> None:
        """Begin a step; the one before it is done."""
        self.end()
        self._step, self._began = step, time.monotonic()
        if self._console.is_terminal:
            self._status.update(Text(step))
            self._status.start()
            self._turning = self._status

    def show(self, text: str) -> None:
        """Say how far the step is; only on a terminal."""
        self._status.update(Text(text))

    def end(self) -> None:
        """Say how long the step took that is done now."""
        if self._step:
            self._stop()
            self._console.print(Text(f"{self._step}: {time.monotonic() - self._began:.1f} s"))
        self._step = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._stop()
            self._step = ""

    def _stop(self) -> None:
        self._status.stop()
        self._turning = None

    def say(self, line: str | Text) -> None:
        """Print a line."""
        self._console.print(line if isinstance(line, Text) else shown(line))

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[Counter]:
        """Show how many of a total are done."""
        self.end()
        if not self._console.is_terminal:
            counter = Counter(None, total)
            yield counter
            self._console.print(Text(f"{what}: {counter.done} of {total}"))
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), console=self._console, transient=True) as progress:
            progress.add_task(what, total=total)
            self._turning = progress
            try:
                yield Counter(progress, total)
            finally:
                self._turning = None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Take the spinner or the bar away while a result is printed, which would stand beside it on a terminal."""
        turning = self._turning
        if turning is not None:
            turning.stop()
        yield
        if turning is not None:
            turning.start()


class Counter:
    """How many are done."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self.total = total
        self.done = 0

    def advance(self) -> None:
        """One more is done."""
        self.done += 1
        if self._progress is not None:
            self._progress.advance(self._progress.task_ids[0])
