"""Open a picture that somebody else made."""

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

# What the endpoint takes; everything else is told apart from a broken file by nobody, there or here.
_FORMATS = ("JPEG", "PNG", "WEBP")
_MAX_PIXELS = 100_000_000
# What Pillow's decoders raise on broken files, beside its own errors.
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, struct.error, MemoryError)


class UndecodableError(Exception):
    """The bytes are no picture that can be decoded; the message says why, in words fit for the caller."""


@contextmanager
def opened(content: bytes) -> Iterator[Image.Image]:
    """Open a picture for the time of the block, in which it is decoded; one at a time in a process.

    Raises
    ------
    UndecodableError
        The bytes are not a whole JPEG, PNG or WebP, or hold more than 100 million pixels.
    """
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            # Pillow only warns up to twice its own limit; the size below, known from the header, refuses.
            picture = Image.open(io.BytesIO(content), formats=_FORMATS)
        with picture:
            if picture.width * picture.height > _MAX_PIXELS:
                raise UndecodableError(f"the picture is too large: {picture.width}x{picture.height}")
            yield picture
    except Image.DecompressionBombError as error:
        raise UndecodableError("the picture is too large") from error
    except _DECODE_ERRORS as error:
        raise UndecodableError("the file is not a whole JPEG, PNG or WebP picture") from error
