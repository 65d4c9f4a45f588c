"""What a file is stands in its first bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescribe.model.kinds import image_type, refusal
from tests.factories import make_picture
from tests.unit.imaging.test_pictures import SAMPLES


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    brands = major + b"\0\0\0\0" + b"".join(compatible)
    return (8 + len(brands)).to_bytes(4, "big") + b"ftyp" + brands + b"\0\0\0\x20meta" + b"mif1avifheic"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_the_kind_of_a_real_file_is_known(form: str) -> None:
    head = make_picture(form=form)[:256]
    assert image_type(head) == form.lower()
    assert refusal(head) is None


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (ftyp(b"heic", b"mif1", b"heic"), "heic"),
        (ftyp(b"mif1", b"mif1", b"heic", b"MiPr"), "heic"),
        (ftyp(b"msf1", b"hevc"), "heic"),
        (ftyp(b"mif1", b"avif", b"miaf"), "avif"),
        (ftyp(b"avis", b"avif", b"msf1"), "avif"),
        (ftyp(b"isom", b"mp42"), None),  # a film
        (ftyp(b"crx ", b"isom"), None),  # Canon's raw files
        (b"MM\0+\0\x08\0\0", "tiff"),
    ],
)
def test_a_container_is_what_its_brands_say(head: bytes, kind: str | None) -> None:
    assert image_type(head) == kind


@pytest.mark.parametrize(
    "head",
    [b"", b"\xff\xd8", b"\x89PNG", b"RIFF", b"RIFF....WAVE", b"BMW drivers of the world, unite", b"<html>", b"ftyp"],
)
def test_what_is_no_picture_is_refused(head: bytes) -> None:
    assert image_type(head) is None
    assert refusal(head) == "not an image of a known kind (by its first bytes)"


@pytest.mark.parametrize(
    "head",
    [
        b'<svg xmlns="http://www.w3.org/2000/svg">',
        b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a\ncat -->\n<svg>',
        b"\n <svg/>",
    ],
)
def test_a_drawing_is_refused_as_one(head: bytes) -> None:
    assert refusal(head) == "SVG is a drawing, which has no pixels to describe: export it as PNG"


def test_a_document_is_refused_as_one() -> None:
    assert refusal(b"%PDF-1.7\n") == "PDF is a document: export the page that is to be described as PNG"


@pytest.mark.parametrize(
    "head",
    [(SAMPLES / "live.mov").read_bytes()[:256], ftyp(b"isom", b"mp42"), ftyp(b"M4V "), b"\0\0\0\x08wide\0\0\1\0mdat"],
)
def test_a_film_is_refused_as_one(head: bytes) -> None:
    assert image_type(head) is None
    assert refusal(head) == "a film, such as the moving part of a Live Photo: of these no frame is described"


@pytest.mark.parametrize(
    "head",
    [ftyp(b"crx ", b"isom"), b"II*\0\x10\0\0\0CR\2\0", b"FUJIFILMCCD-RAW 0201FF383501", b"IIRO\x08\0", b"IIU\0\x18\0"],
    ids=["CR3", "CR2", "RAF", "ORF", "RW2"],
)
def test_a_raw_file_is_refused_as_one(head: bytes) -> None:
    assert image_type(head) is None
    assert refusal(head) == "a camera's raw file, which holds its picture only as a preview: export it as JPEG"


@given(st.binary(max_size=64) | st.binary(max_size=40).map(lambda rest: rest[:4] + b"ftyp" + rest[4:]))
def test_any_bytes_are_either_of_a_kind_or_refused(head: bytes) -> None:
    assert (image_type(head) is None) == (refusal(head) is not None)
