"""The largest pictures that are decoded, one of each kind: how long they take, and how much memory.

HEIC is not among them unless `heif-enc` is installed (Debian's libheif-examples), since the package only decodes it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from PIL import Image

SIDE: Final = 10_000

ROWS: Final[dict[str, tuple[str, str]]] = {
    # the row: Pillow's mode and format
    "JPEG": ("RGB", "JPEG"),
    "JPEG, CMYK": ("CMYK", "JPEG"),
    "PNG": ("RGB", "PNG"),
    "PNG, transparent": ("RGBA", "PNG"),
    "PNG, 16 bit grey": ("I;16", "PNG"),
    "WebP, transparent": ("RGBA", "WEBP"),
    "GIF": ("P", "GIF"),
    "BMP": ("RGB", "BMP"),
    "TIFF, CMYK, LZW": ("CMYK", "TIFF"),
    "TIFF, 32 bit": ("F", "TIFF"),
    "AVIF, transparent": ("RGBA", "AVIF"),
    "HEIC": ("RGB", "HEIC"),
}

_MEASURED: Final = """
import json, resource, sys, time
from functools import partial
from pathlib import Path
from renditions import pictures, sandbox
begin = time.monotonic()
try:
    said = f"{len(sandbox.run(partial(pictures.rendition, Path(sys.argv[1]), 10**7))):,} bytes"
except pictures.UnfitError as unfit:
    said = str(unfit)
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([time.monotonic() - begin, used * 1024, said]))
"""


def measure(name: str) -> str:
    """Return a row of the table."""
    mode, form = ROWS[name]
    with TemporaryDirectory(prefix="imagescribe-large-") as place:
        path = Path(place) / "file"
        if not _make(path, mode, form):
            return f"| {name} | | | not made: heif-enc is not installed |"
        command = [sys.executable, "-c", _MEASURED, str(path)]
        seconds, used, said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        return f"| {name}, {path.stat().st_size / 1e6:.1f} MB | {seconds:.1f} | {used / 1e6:,.0f} MB | {said} |"


def _make(path: Path, mode: str, form: str) -> bool:
    side = 16_384 if form == "WEBP" else SIDE  # as large as WebP gets is 268 million; of those it is given 100
    size = (side - 1, 100_000_000 // (side - 1)) if form == "WEBP" else (SIDE, SIDE)
    grey = Image.linear_gradient("L").resize(size)
    picture = grey if mode == "P" else grey.convert(mode)
    if form == "HEIC":
        encoder = shutil.which("heif-enc")
        if not encoder:
            return False
        picture.save(path.with_suffix(".jpg"), "JPEG")
        command = [encoder, "-q", "30", str(path.with_suffix(".jpg")), "-o", str(path)]
        subprocess.run(command, capture_output=True, check=True)
        return True
    options = {"compression": "tiff_lzw"} if form == "TIFF" else {"speed": 10} if form == "AVIF" else {}
    picture.save(path, form, **options)
    return True
