"""Files with the prompts, named as who looks for them beside pictures of the same names expects it."""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Callable, Sequence
from pathlib import Path

from imagescribe_ops.catalog_view import ImageRecord
from imagescribe_ops.export.texts import unwritable

MAX_COMPLAINTS = 20

_OF_ONE_NAME = frozenset({errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR, errno.EEXIST})
"""What the file system has against a name; anything else it has against all of them."""


def one_line(record: ImageRecord) -> str:
    """Return a prompt on one line, as trainers of image models read it."""
    return " ".join(record.prompt.split()) + "\n"


class Sidecars:
    """A folder of files: of ``holiday/IMG 1.jpg`` what is said of it in ``holiday/IMG 1.txt``.

    A file that is there already is never overwritten, whoever wrote it: of two pictures whose names differ in the
    suffix alone the second is left out, unless the same is said of both.

    Parameters
    ----------
    say
        Told which pictures are left out, and why.
    suffix, text
        How the files' names end, and what they say of an image.
    """

    size = 0

    def __init__(
        self,
        directory: Path,
        say: Callable[[str], None],
        suffix: str = ".txt",
        text: Callable[[ImageRecord], str] = one_line,
    ) -> None:
        self._directory = directory
        self._say = say
        self._suffix = suffix
        self._text = text
        self._made = directory
        self.written = 0
        self.left_out = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(directory, error) from error

    def write(self, records: Sequence[ImageRecord]) -> None:
        """Write a file for each of those that have a prompt."""
        for record in records:
            if record.prompt:
                self._write(record)

    def _write(self, record: ImageRecord) -> None:
        name = sidecar_name(record.key, self._suffix)
        if name is None:
            self._leave_out(record, "its key leads out of the folder")
            return
        path, text = self._directory / name, self._text(record)
        try:
            if path.parent != self._made:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._made = path.parent
            if not _write_new(path, text):
                self._leave_out(record, f"{path} is there already, with another text")
                return
        except ValueError:
            self._leave_out(record, "no file can have such a name")
            return
        except OSError as error:
            if error.errno not in _OF_ONE_NAME:
                raise unwritable(path, error) from error
            self._leave_out(record, f"{path}: {error.strerror}")
            return
        self.written += 1

    def _leave_out(self, record: ImageRecord, why: str) -> None:
        self.left_out += 1
        if self.left_out <= MAX_COMPLAINTS:
            self._say(f"No sidecar for {record.image}: {why}.")


def sidecar_name(key: str, suffix: str = ".txt") -> str | None:
    """Return the path of a key's file in its folder; None where the key has ``.`` or ``..`` in its path.

    Slashes in front and doubled ones are dropped, as file systems do.
    """
    parts = [part for part in key.split("/") if part]
    if not parts or {".", ".."} & set(parts):
        return None
    return posixpath.splitext("/".join(parts))[0] + suffix


def _write_new(path: Path, text: str) -> bool:
    """Write a file, or say whether the one that is there says the same."""
    try:
        file = path.open("x", encoding="utf-8", newline="\n")
    except FileExistsError:
        if not path.is_file():
            raise
        return path.stat().st_size == len(text.encode()) and path.read_text(encoding="utf-8") == text
    try:
        with file:
            file.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True
