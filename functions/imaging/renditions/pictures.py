"""A file that nobody vouches for, made into a small picture in sRGB that says nothing of where it came from."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import IO, Final, cast

import pi_heif  # type: ignore[import-untyped]  # it has no types
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

MAX_PIXELS: Final = 100_000_000
"""Looked up in the header, before anything is decoded."""

FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF")
"""No other decoder is ever asked: https://pillow.readthedocs.io/en/stable/reference/open_files.html"""

RENDITION_SIDE: Final = 2048
RENDITION_QUALITIES: Final = (90, 80, 65, 50)
THUMBNAIL_SIDE: Final = 512
THUMBNAIL_QUALITY: Final = 80

NEW_SUBFILE_TYPE: Final = 254
"""The tag of TIFF 6.0 of which bit 0 says: a reduced-resolution version of another image in this file."""

_SRGB: Final = ImageCms.createProfile("sRGB")
_GREY_16: Final = ("I;16", "I;16L", "I;16B", "I;16N")

Image.MAX_IMAGE_PIXELS = (
    MAX_PIXELS  # Pillow's own check, of the frames that a header does not tell of, stands behind ours
)
pi_heif.register_heif_opener(thumbnails=False)


type File = Path | IO[bytes]


class UnfitError(Exception):
    """No picture can be made of the file, and why."""


def rendition(file: File, max_bytes: int) -> bytes:
    """Return a JPEG of at most 2,048 px and `max_bytes`.

    Raises
    ------
    UnfitError
        The file is not to be read as a picture, or is too large a one.
    """
    picture, side = _plain(file, RENDITION_SIDE), RENDITION_SIDE
    while True:
        for quality in RENDITION_QUALITIES:
            jpeg = BytesIO()
            # Colours at their full resolution: describing them is what the picture is for.
            picture.save(jpeg, "JPEG", quality=quality, subsampling="4:4:4")
            if jpeg.tell() <= max_bytes:
                return jpeg.getvalue()
        if side == 1:
            raise UnfitError(f"no JPEG of it has {max_bytes:,} bytes or less, which MaxImageBytes is")
        side //= 2
        picture.thumbnail((side, side))


def thumbnail(file: File) -> bytes:
    """Return a WebP of at most 512 px. Raises UnfitError as `rendition` does."""
    webp = BytesIO()
    _plain(file, THUMBNAIL_SIDE).save(webp, "WEBP", quality=THUMBNAIL_QUALITY)
    return webp.getvalue()


def _plain(file: File, side: int) -> Image.Image:
    """Return a file's first frame as a picture of 8-bit sRGB on white, upright, with nothing said about it."""
    picture = _decoded(file, side)
    profile = picture.info.get("icc_profile")
    picture = _eight_bit(picture)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    picture = _upright(picture)
    picture = _in_srgb(picture, profile)
    if picture.mode == "RGBA":
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    picture = picture.convert("RGB")
    picture.info = {}  # what encoders would write without being told: comments, profiles, EXIF
    return picture


def _decoded(file: File, side: int) -> Image.Image:
    """Decode a file's first frame; a JPEG no larger than it has to be."""
    try:
        picture = Image.open(file, formats=FORMATS)
        _check(picture)
        picture.draft(None, (side, side))
        picture.load()
    except UnfitError:
        raise
    except UnidentifiedImageError:
        raise UnfitError("not a picture of a known kind, or its header is broken") from None
    except Image.DecompressionBombError:
        raise UnfitError("more than 100 million pixels, and such pictures are not decoded") from None
    except MemoryError:
        raise UnfitError("decoding it takes more memory than any picture should") from None
    except Exception as error:  # a decoder raises anything at all over a broken file
        raise UnfitError(f"it cannot be decoded: {' '.join(str(error).split())[:200]}") from error
    return picture


def _check(picture: Image.Image) -> None:
    """Refuse by its header what is not worth decoding, or not safe."""
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise UnfitError(f"{width:,} × {height:,} pixels, and more than 100 million are not decoded")
    if isinstance(picture, TiffImageFile):
        page_is = picture.tag_v2.get(NEW_SUBFILE_TYPE, 0)
        if isinstance(page_is, int) and page_is & 1:  # as raw files begin
            raise UnfitError("a camera's raw file, which holds its picture only as a preview: export it as JPEG")


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Return it in a mode of eight bits a channel, which can be shrunk and has its transparency as a channel."""
    mode = picture.mode
    if mode in _GREY_16:
        return picture.convert("I").point(lambda value: value * (255 / 65535)).convert("L")
    if mode in ("I", "F"):  # of these no one says how bright white is
        low, high = cast(tuple[float, float], picture.getextrema())
        scale = 255 / ((high - low) or 1)
        return picture.point(lambda value: value * scale + -low * scale).convert("L")
    if mode in ("LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        return picture.convert("RGBA")
    if mode in ("1", "P", "RGBX", "YCbCr", "HSV", "LAB"):
        return picture.convert("L" if mode == "1" else "RGB")
    return picture


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # noqa: BLE001 - EXIF that can't be read tells of no orientation
        return picture


def _in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert colours from the file's own profile, if it has one that fits."""
    if not profile:
        return picture
    try:
        return (
            ImageCms.profileToProfile(
                picture,
                ImageCms.ImageCmsProfile(BytesIO(profile)),
                _SRGB,
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGBA" if picture.mode == "RGBA" else "RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
            or picture
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture
