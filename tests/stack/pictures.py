"""Pictures to upload: no two are alike, since the same picture is only ever paid for once."""

from io import BytesIO
from itertools import count
from random import Random

from PIL import Image

_seeds = count(1)


def picture(kind: str = "PNG", width: int = 24, height: int = 16) -> bytes:
    """Return a new picture of noise. As PNG it takes about three bytes a pixel."""
    noise = Random(next(_seeds)).randbytes(width * height * 3)
    file = BytesIO()
    Image.frombytes("RGB", (width, height), noise).save(file, kind)
    return file.getvalue()
