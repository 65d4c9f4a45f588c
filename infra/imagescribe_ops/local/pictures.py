"""Which files `imagescribe demo` uploads, and under which keys: the samples, or the user's own files and folders."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from imagescribe.model.kinds import image_type
from imagescribe_ops.errors import OperationError
from imagescribe_ops.project import MISSING_ADVICE, PROJECT_DIRECTORY

SAMPLES = PROJECT_DIRECTORY / "events" / "samples" / "samples.json"

CONTENT_TYPES = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".avif": "image/avif",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
}
"""What is described. Of a folder, what is named so is uploaded, and what is so by its first bytes."""

MAX_KEY_BYTES = 1024
FIRST_BYTES = 512


@dataclass(frozen=True, slots=True)
class Picture:
    """A file to upload.

    Attributes
    ----------
    path
        Where it is.
    key
        Its key in the bucket.
    tags
        Its own tags.
    """

    path: Path
    key: str
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def content_type(self) -> str:
        """The media type, by its first bytes or else by its suffix."""
        kind = _image_type(self.path)
        return f"image/{kind}" if kind else CONTENT_TYPES.get(self.path.suffix.lower(), "application/octet-stream")


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file in a folder that is not uploaded."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """What is uploaded and what is left out."""

    pictures: list[Picture]
    left_out: list[LeftOut]


def shown_path(path: Path) -> Path:
    """Return a path as it can be typed here: relative to where we are, where that is shorter."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def samples(listing: Path = SAMPLES) -> Selection:
    """Return the sample images.

    Raises
    ------
    OperationError
        The list of samples, or one of them, is missing.
    """
    try:
        entries = json.loads(listing.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise OperationError(f"{listing} is missing.", MISSING_ADVICE) from None
    pictures = [Picture(listing.parent / entry["file"], entry["key"], entry.get("tags") or {}) for entry in entries]
    for picture in pictures:
        if not picture.path.is_file():
            raise OperationError(f"{picture.path} is missing.", MISSING_ADVICE)
    return Selection(pictures, [])


def select(paths: Sequence[Path]) -> Selection:
    """Return what to upload of the user's own files (each of them, once) and folders (the images in them).

    Keys are the names of files, and paths within a folder; where two are equal, the later one gets a number.

    Raises
    ------
    OperationError
        A path does not exist, a file cannot be read, a key would be too long for S3, or there is no image at all.
    """
    pictures: list[Picture] = []
    left_out: list[LeftOut] = []
    taken: set[str] = set()
    files: set[str] = set()

    def add(path: Path, name: str) -> None:
        place = os.path.abspath(path)  # not resolve(): two links to one file are two names
        if place in files:
            return
        files.add(place)
        key = _free_key(_key(name), taken)
        if len(key.encode()) > MAX_KEY_BYTES:
            raise OperationError(f"{path} makes a key of more than 1,024 bytes.", "Give it a shorter name.")
        _check_readable(path)
        taken.add(key)
        pictures.append(Picture(path, key))

    for path in paths:
        if path.is_file():
            add(path, path.name)
        elif path.is_dir():
            for file in _files(path):
                if file.suffix.lower() in CONTENT_TYPES or _is_image(file):
                    add(file, file.relative_to(path).as_posix())
                else:
                    left_out.append(LeftOut(file, "neither its name nor its content is that of an image"))
        else:
            reason = "is neither a file nor a folder" if path.exists() else "does not exist"
            raise OperationError(f"{path} {reason}.", "Name image files, or folders with images in them.")
    if not pictures:
        where = ", ".join(map(str, paths))
        raise OperationError(f"There is no image in {where}.", "Name a folder with images in it.")
    return Selection(pictures, left_out)


def _image_type(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return image_type(file.read(FIRST_BYTES))
    except OSError:
        return None


def _is_image(path: Path) -> bool:
    return path.is_file() and _image_type(path) is not None


def _files(folder: Path) -> Iterator[Path]:
    """Give all files of a folder and the folders in it, in order; links to folders are not followed."""
    for directory, names, files in folder.walk():
        names.sort()
        yield from (directory / name for name in sorted(files))


def _key(name: str) -> str:
    # A file name may hold bytes that are not UTF-8; a key may not.
    return name.encode("utf-8", errors="surrogateescape").decode("utf-8", errors="replace")


def _free_key(key: str, taken: set[str]) -> str:
    if key not in taken:
        return key
    stem, dot, suffix = key.rpartition(".")
    if not dot:
        stem, suffix = key, ""
    number = 2
    while (numbered := f"{stem}-{number}{dot}{suffix}") in taken:
        number += 1
    return numbered


def _check_readable(path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise OperationError(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from None
