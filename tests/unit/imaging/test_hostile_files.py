"""A file that was made to do harm is skipped with the reason, in bounded time and memory, and harms nothing else."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
import zlib
from functools import partial
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from renditions import pictures, sandbox
from renditions.pictures import UnfitError
from tests.bench.imaging.fuzz import Verdict, fuzz
from tests.unit.imaging.test_pictures import IN_COLOUR, NO_LIMIT, SAMPLES, cat, errors, rendered

pytestmark = pytest.mark.filterwarnings("ignore")  # what Pillow has to say of broken files

KINDS = ["cat.heic", "cat.avif", "cat.tiff", "cat.gif", "cat.bmp", "cat.jpg", "cat.png", "cat.webp"]
THREE_OF_EACH_SAMPLE = 96
"""`tests.bench.imaging fuzz` bends more of them."""


def png(width: int, height: int, *, bits: int = 1, colour: int = 0, rows: int | None = None) -> bytes:
    """A black PNG, of which only some rows may be there."""
    row = b"\0" * (1 + (width * bits * {0: 1, 2: 3, 6: 4}[colour] + 7) // 8)
    compress = zlib.compressobj()
    content = b"".join(compress.compress(row) for _ in range(height if rows is None else rows)) + compress.flush()
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)),
        (b"IDAT", content),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def unfit(path: Path, content: bytes) -> str:
    """Why no picture is made of some content."""
    path.write_bytes(content)
    with pytest.raises(UnfitError) as raised:
        pictures.rendition(path, NO_LIMIT)
    return str(raised.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.jpg"  # whatever is in it


# ── Too large ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pixels_are_counted_before_any_is_decoded(path: Path) -> None:
    assert (
        unfit(path, png(10_001, 10_000, rows=0)) == "10,001 × 10,000 pixels, and more than 100 million are not decoded"
    )
    assert (
        unfit(path, png(2**31 - 1, 2**31 - 1, rows=0))
        == "more than 100 million pixels, and such pictures are not decoded"
    )


def test_a_bitmap_that_says_that_it_is_enormous_is_not_decoded(path: Path) -> None:
    content = bytearray((SAMPLES / "cat.bmp").read_bytes())
    struct.pack_into("<II", content, 18, 50_000, 50_000)
    assert "100 million" in unfit(path, bytes(content))


def test_a_container_whose_header_belittles_what_is_in_it_is_not_believed(path: Path) -> None:
    # libheif and Pillow look at the size that the container tells; what is decoded has its own.
    for name in ("cat.heic", "cat.avif"):
        content = (SAMPLES / name).read_bytes()
        size = struct.pack(">II", *Image.open(SAMPLES / name).size)
        assert size in content
        path.write_bytes(content.replace(size, struct.pack(">II", 8, 8)))
        try:
            picture = rendered(path)
        except UnfitError:
            continue
        assert picture.width <= 120


def test_a_frame_that_is_larger_than_its_screen_is_not_decoded(path: Path) -> None:
    content = bytearray((SAMPLES / "cat.gif").read_bytes())
    at = content.index(b",\0\0\0\0" + struct.pack("<HH", 120, 80))  # the frame's own size
    struct.pack_into("<HH", content, at + 5, 60_000, 60_000)
    assert unfit(path, bytes(content))


def test_the_largest_picture_that_is_decoded_stays_within_its_memory_and_time(path: Path) -> None:
    path.write_bytes(png(10_000, 10_000))
    script = """if True:
        import json, resource, sys, time
        from functools import partial
        from pathlib import Path
        from renditions import pictures, sandbox
        begin = time.monotonic()
        made = sandbox.run(partial(pictures.rendition, Path(sys.argv[1]), 10**7))
        used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        print(json.dumps({"bytes": len(made), "child_kb": used, "seconds": time.monotonic() - begin}))
    """
    child = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, timeout=100, check=True
    )
    said = json.loads(child.stdout)
    assert said["bytes"] > 0
    assert said["child_kb"] * 1024 < sandbox.MEMORY_BYTES


def test_a_picture_that_takes_more_memory_than_there_is_for_one_is_unfit(path: Path) -> None:
    path.write_bytes(png(6_000, 6_000, bits=8, colour=6))  # 144 MB
    with pytest.raises(UnfitError, match="memory"):
        sandbox.run(partial(pictures.rendition, path, NO_LIMIT), memory_bytes=100_000_000)


# ── Broken ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_file_that_breaks_off_is_unfit(name: str, share: float, path: Path) -> None:
    content = (SAMPLES / name).read_bytes()
    assert unfit(path, content[: int(len(content) * share)])


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff", b"<svg/>", b"%PDF-1.7", b"GIF89a", b"\0" * 1000])
def test_what_is_no_picture_is_unfit(content: bytes, path: Path) -> None:
    assert unfit(path, content) == "not a picture of a known kind, or its header is broken"


@pytest.mark.parametrize("form", ["ICO", "TGA", "PCX", "PPM", "JPEG2000", "EPS", "ICNS", "SGI", "DDS", "XBM"])
def test_no_other_decoder_is_ever_asked(form: str, path: Path) -> None:
    file = BytesIO()
    cat().convert("1" if form == "XBM" else "RGB").save(file, form)
    assert unfit(path, file.getvalue()) == "not a picture of a known kind, or its header is broken"


@pytest.mark.parametrize("name", ["cat.heic", "cat.gif", "cat.tiff", "cat.jpg", "cat.png", "cat.webp", "cat.avif"])
def test_of_a_file_that_is_two_things_at_once_only_the_picture_is_taken(name: str, path: Path) -> None:
    path.write_bytes((SAMPLES / name).read_bytes() + b"<script>alert(1)</script>PK\x03\x04%PDF-1.7")
    assert max(errors(rendered(path), cat())) < IN_COLOUR
    made = pictures.rendition(path, NO_LIMIT)
    assert b"script" not in made


# ── Frames ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_ten_thousand_frames_the_first_is_taken_at_once(path: Path) -> None:
    content = (SAMPLES / "animated.gif").read_bytes()
    start = content.index(b"\x21\xf9")  # the first frame's own block
    path.write_bytes(content[:start] + content[start:-1] * 5_000 + b";")
    begin = time.perf_counter()
    assert max(errors(rendered(path), cat())) < IN_COLOUR
    assert time.perf_counter() - begin < 5


def test_of_a_moving_avif_the_first_frame_is_taken(path: Path) -> None:
    frames = [cat(), *(Image.new("RGB", cat().size, (each % 256, 0, 0)) for each in range(200))]
    frames[0].save(path, "AVIF", save_all=True, append_images=frames[1:], quality=85)
    assert max(errors(rendered(path), cat())) < IN_COLOUR


def test_of_a_cameras_raw_file_no_preview_is_taken_for_it(path: Path) -> None:
    cat().save(path, "TIFF", tiffinfo={254: 1})  # as DNG, NEF and ARW begin
    reason = "a camera's raw file, which holds its picture only as a preview: export it as JPEG"
    assert unfit(path, path.read_bytes()) == reason


# ── Bent at random ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_files_with_bits_flipped_are_pictures_or_unfit_and_nothing_else() -> None:
    tally = fuzz(THREE_OF_EACH_SAMPLE, seed=20)
    assert tally.count == THREE_OF_EACH_SAMPLE
    assert set(tally.verdicts) <= {Verdict.PICTURE, Verdict.UNFIT}
    assert all(tally.verdicts[each] for each in (Verdict.PICTURE, Verdict.UNFIT))
    assert tally.slowest_seconds < sandbox.SECONDS
