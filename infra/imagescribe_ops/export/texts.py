"""JSON Lines and CSV, on standard output or in a file that can be gone on with."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, astuple
from io import FileIO, StringIO
from pathlib import Path

from imagescribe_ops.catalog_view import ImageRecord
from imagescribe_ops.display import safe
from imagescribe_ops.errors import OperationError
from imagescribe_ops.export.export import FIELDS, Cursor, TornError

BYTE_ORDER_MARK = "\ufeff"

_LINE_BREAKING = re.compile("[\x7f-\x9f\u2028\u2029]")  # JSON allows them, and many a reader ends a line at some

_FORMULA = re.compile(r"'*(?:\s*[=+\-@＝＋－＠]|[\t\r\n])")
"""What a spreadsheet takes for a formula, or would without what stands before it:
https://owasp.org/www-community/attacks/CSV_Injection"""


class Output:
    """Bytes on standard output, or in a file.

    Parameters
    ----------
    path
        None for standard output.
    cursor
        Where the export goes on: in the file that it left, if that is there.

    Raises
    ------
    OperationError
        The file is there and is not to be gone on with, or is not as it was left; or it cannot be written.
    """

    def __init__(self, path: Path | None, cursor: Cursor) -> None:
        self._path = path
        self._file: FileIO | None = None
        self.is_terminal = path is None and sys.stdout.isatty()
        self.size = 0
        # What goes on with a file is appended to it by the shell, or here.
        self.is_begun = bool(cursor.key)
        if path is None:
            return
        if path.is_file():
            _check(path, cursor)
            self.size = cursor.size
        self.is_begun = self.size > 0
        try:
            self._file = path.open("ab" if self.is_begun else "wb", buffering=0)
        except OSError as error:
            raise unwritable(path, error) from error

    def write(self, text: str) -> None:
        """Write a text, or nothing of it."""
        content = text.encode()
        self.is_begun = True
        if self._path is None or self._file is None:
            try:
                sys.stdout.buffer.write(content)
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                raise
            except OSError as error:
                raise TornError(
                    f"Standard output took no more: {error.strerror}.", "Begin the export again."
                ) from error
            return
        left = memoryview(content)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(self.size)
            raise unwritable(self._path, error) from error
        self.size += len(content)

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()


class JsonLines:
    """A line of JSON for each record, with the fields of `imagescribe get --json`."""

    def __init__(self, output: Output) -> None:
        self._output = output

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._output.size

    def write(self, records: Sequence[ImageRecord]) -> None:
        """Write records."""
        self._output.write("".join(map(self._line, records)))

    def _line(self, record: ImageRecord) -> str:
        line = json.dumps(asdict(record), ensure_ascii=self._output.is_terminal)
        return _LINE_BREAKING.sub(lambda found: f"\\u{ord(found[0]):04x}", line) + "\n"


class Csv:
    """A row for each record (RFC 4180), under a row of the fields' names, and no formulas among them.

    A file begins with a byte order mark: spreadsheets would take it for Latin-1 otherwise.
    """

    def __init__(self, output: Output, *, is_file: bool) -> None:
        self._output = output
        self._mark = BYTE_ORDER_MARK if is_file else ""

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self._output.size

    def write(self, records: Sequence[ImageRecord]) -> None:
        """Write records."""
        text = StringIO()
        rows = csv.writer(text)
        if not self._output.is_begun:
            text.write(self._mark)
            rows.writerow(FIELDS)
        rows.writerows([self._cell(value) for value in astuple(record)] for record in records)
        self._output.write(text.getvalue())

    def _cell(self, value: object) -> object:
        value = " ".join(value) if isinstance(value, tuple) else value  # of labels, which have no spaces in them
        if not isinstance(value, str):
            return value
        return safe(defused(value)) if self._output.is_terminal else defused(value)


def defused(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: with an apostrophe before what would be one."""
    return f"'{text}" if _FORMULA.match(text) else text


def _check(path: Path, cursor: Cursor) -> None:
    there = path.stat().st_size
    if there and not cursor.size:
        raise OperationError(
            f"{path} is there already.", "Give another name, or the cursor of the export that wrote it with --after."
        )
    if there != cursor.size:
        raise OperationError(
            f"{path} is not as the export of this cursor left it: it has {there:,} bytes, not {cursor.size:,}.",
            "Give the last cursor that was printed for it, or another name, which gets the rest alone.",
        )


def unwritable(path: Path, error: OSError) -> OperationError:
    """Return what there is to say of a file that could not be written."""
    return OperationError(f"{path} could not be written: {error.strerror}.", "Make room for it, or give another name.")
