"""What kind of image a file is, by its first bytes. Suffixes are not believed."""

from __future__ import annotations

import struct
from typing import Final

TAKEN: Final = frozenset({"jpeg", "png", "webp"})
"""What the endpoint takes as it is. Of all others a JPEG is made for it."""

_STARTS: Final = {
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",  # more than 4 GB, or of a program that always writes so
    b"MM\0+": "tiff",
}
# https://nokiatech.github.io/heif/technical.html, and https://aomediacodec.github.io/av1-avif/#brands
_AVIF: Final = frozenset({b"avif", b"avis"})
_HEIC: Final = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_BMP_HEADER_SIZES: Final = frozenset({12, 40, 52, 56, 64, 108, 124})
# Of Fujifilm, Olympus and Panasonic. DNG, NEF and ARW begin as any TIFF does: the imaging function knows them.
_RAW_STARTS: Final = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0")
_FILM_BOXES: Final = frozenset({b"ftyp", b"moov", b"mdat", b"wide"})
_REFUSED: Final = {
    "svg": "SVG is a drawing, which has no pixels to describe: export it as PNG",
    "pdf": "PDF is a document: export the page that is to be described as PNG",
    "film": "a film, such as the moving part of a Live Photo: of these no frame is described",
    "raw": "a camera's raw file, which holds its picture only as a preview: export it as JPEG",
}


def image_type(head: bytes) -> str | None:
    """Return ``jpeg``, ``png``, ``webp``, ``gif``, ``bmp``, ``tiff``, ``heic`` or ``avif``; None for all else."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[4:8] == b"ftyp":
        return _of_brands(head)
    if head[:2] == b"BM" and len(head) >= 18 and struct.unpack_from("<I", head, 14)[0] in _BMP_HEADER_SIZES:
        return "bmp"
    if _is_canons_raw(head):
        return None
    return next((kind for start, kind in _STARTS.items() if head.startswith(start)), None)


def refusal(head: bytes) -> str | None:
    """Say why a file is no image to describe, or return None where it is one."""
    if image_type(head):
        return None
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if text.startswith(b"%PDF-"):
        return _REFUSED["pdf"]
    if text.startswith(b"<") and b"<svg" in text:
        return _REFUSED["svg"]
    if head.startswith(_RAW_STARTS) or _is_canons_raw(head):
        return _REFUSED["raw"]
    if head[4:8] in _FILM_BOXES:
        return _REFUSED["film"]
    return "not an image of a known kind (by its first bytes)"


def _is_canons_raw(head: bytes) -> bool:
    """Whether it is a CR3 or a CR2, which is a TIFF but for this: https://lclevy.free.fr/cr2/."""
    return head[4:12] == b"ftypcrx " or (head[:4] == b"II*\0" and head[8:10] == b"CR")


def _of_brands(head: bytes) -> str | None:
    """Tell by the brands of an ISO base media file, the major one and those that it says to be compatible with."""
    box = head[: struct.unpack_from(">I", head)[0]]
    brands = {box[8:12], *(box[at : at + 4] for at in range(16, len(box) - 3, 4))}
    if brands & _AVIF:
        return "avif"
    return "heic" if brands & _HEIC else None
