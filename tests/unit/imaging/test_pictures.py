"""Any picture becomes one that the endpoint takes: upright, in sRGB, on white, and silent about where it came from."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from random import Random

import pytest
from PIL import Image, ImageChops, ImageCms, ImageStat

from renditions import pictures

SAMPLES = Path(__file__).parent / "samples"
NO_LIMIT = 10**9
IN_COLOUR = 5.0
"""Of 255: what a JPEG of a small picture, all fur and whiskers, loses by itself is 3."""

EXACT = {
    # the file: its format, and how far the rendition may be from the original (mean absolute error of each channel)
    "cat.heic": ("HEIF", IN_COLOUR),
    "ten-bit.heic": ("HEIF", IN_COLOUR),
    "cat.avif": ("AVIF", IN_COLOUR),
    "turned.avif": ("AVIF", IN_COLOUR),
    "cat.tiff": ("TIFF", IN_COLOUR),
    "sixteen-bit.tiff": ("TIFF", IN_COLOUR),
    "cmyk.tiff": ("TIFF", IN_COLOUR),
    "two-pages.tiff": ("TIFF", IN_COLOUR),
    "tiles-bigtiff.tiff": ("TIFF", IN_COLOUR),
    "cat.gif": ("GIF", IN_COLOUR),
    "animated.gif": ("GIF", IN_COLOUR),
    "cat.bmp": ("BMP", IN_COLOUR),
    "run-length.bmp": ("BMP", IN_COLOUR),
    "cat.jpg": ("JPEG", IN_COLOUR),
    "progressive.jpg": ("JPEG", IN_COLOUR),
    "cmyk.jpg": ("JPEG", IN_COLOUR),
    "turned.jpg": ("JPEG", IN_COLOUR),
    "cat.png": ("PNG", IN_COLOUR),
    "sixteen-bit.png": ("PNG", IN_COLOUR),
    "cat.webp": ("WEBP", IN_COLOUR),
    "animated.webp": ("WEBP", IN_COLOUR),
}
ON_WHITE = {
    "clear.heic": "HEIF",
    "clear.avif": "AVIF",
    "clear.tiff": "TIFF",
    "clear.gif": "GIF",
    "clear.png": "PNG",
    "palette.png": "PNG",
    "clear.webp": "WEBP",
}
IN_GREY = {"grey.jpg": "JPEG", "grey-sixteen-bit.png": "PNG", "grey-sixteen-bit.tiff": "TIFF"}


def errors(picture: Image.Image, original: Image.Image) -> list[float]:
    """The mean absolute error of each channel, of 255."""
    assert picture.size == original.size
    return ImageStat.Stat(ImageChops.difference(picture.convert("RGB"), original.convert("RGB"))).mean


def cat() -> Image.Image:
    return Image.open(SAMPLES / "cat.png").convert("RGB")


def rendered(path: Path, max_bytes: int = NO_LIMIT) -> Image.Image:
    jpeg = pictures.rendition(path, max_bytes)
    picture = Image.open(BytesIO(jpeg))
    assert picture.format == "JPEG"
    assert picture.mode == "RGB"
    assert len(jpeg) <= max_bytes
    return picture


@pytest.mark.parametrize("name", EXACT)
def test_a_picture_keeps_its_colours_and_stands_upright(name: str) -> None:
    form, most = EXACT[name]
    assert Image.open(SAMPLES / name).format == form
    assert max(errors(rendered(SAMPLES / name), cat())) < most


@pytest.mark.parametrize("name", ON_WHITE)
def test_what_can_be_seen_through_stands_on_white(name: str) -> None:
    assert Image.open(SAMPLES / name).format == ON_WHITE[name]
    on_white = Image.new("RGBA", cat().size, "white")
    on_white.alpha_composite(Image.open(SAMPLES / "clear.png").convert("RGBA"))
    assert max(errors(rendered(SAMPLES / name), on_white)) < IN_COLOUR


@pytest.mark.parametrize("name", IN_GREY)
def test_a_picture_in_grey_is_as_bright_as_it_was(name: str) -> None:
    assert Image.open(SAMPLES / name).format == IN_GREY[name]
    assert max(errors(rendered(SAMPLES / name), cat().convert("L"))) < IN_COLOUR


def test_a_fax_is_black_on_white() -> None:
    picture = rendered(SAMPLES / "fax.tiff").convert("L")
    assert max(errors(picture, cat().convert("L").point(lambda value: 255 * (value >= 128)))) < 10
    histogram = picture.histogram()
    assert sum(histogram[64:192]) < 0.1 * sum(histogram)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_measurements_are_spread_between_black_and_white(mode: str, tmp_path: Path) -> None:
    values = Image.linear_gradient("L").convert(mode).point(lambda value: value * 300 + -20_000)
    values.save(tmp_path / "values.tiff")
    assert max(errors(rendered(tmp_path / "values.tiff"), Image.linear_gradient("L"))) < 1


# ── Colour profiles ──────────────────────────────────────────────────────────────────────────────────────────────────


def swapped_profile() -> bytes:
    """A profile of a device that takes blue for red and red for blue."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ", 128), profile.index(b"bXYZ", 128)
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(profile)


@pytest.mark.parametrize(
    ("form", "mode"), [("TIFF", "RGB"), ("PNG", "RGB"), ("PNG", "RGBA"), ("WEBP", "RGB"), ("AVIF", "RGB")]
)
def test_colours_are_converted_from_the_profile_that_the_file_has(form: str, mode: str, tmp_path: Path) -> None:
    red, green, blue = cat().split()
    swapped = Image.merge("RGB", (blue, green, red)).convert(mode)
    swapped.save(tmp_path / "file", form, icc_profile=swapped_profile(), quality=95)
    assert max(errors(rendered(tmp_path / "file"), cat())) < IN_COLOUR


@pytest.mark.parametrize("profile", [b"no profile", swapped_profile()[:200], b""])
def test_a_profile_that_is_broken_is_as_none(profile: bytes, tmp_path: Path) -> None:
    cat().save(tmp_path / "file", "TIFF", icc_profile=profile)
    assert max(errors(rendered(tmp_path / "file"), cat())) < IN_COLOUR


def test_a_profile_that_is_of_another_kind_of_colours_is_as_none(tmp_path: Path) -> None:
    Image.open(SAMPLES / "cmyk.jpg").save(tmp_path / "file", "TIFF", icc_profile=swapped_profile())
    assert max(errors(rendered(tmp_path / "file"), cat())) < IN_COLOUR


# ── What is said of it ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["turned.jpg", "cat.heic"])
@pytest.mark.parametrize("make", [lambda path: pictures.rendition(path, NO_LIMIT), pictures.thumbnail])
def test_nothing_that_a_file_says_of_a_place_a_camera_or_a_person_goes_further(name: str, make: object) -> None:
    assert b"Secret" in (SAMPLES / name).read_bytes()
    made = make(SAMPLES / name)  # type: ignore[operator]
    for word in (b"Secret", b"Exif", b"EXIF", b"ICC_PROFILE", b"ICCP", b"xmpmeta", b"XMP ", b"Photoshop", b"8BIM"):
        assert word not in made
    picture = Image.open(BytesIO(made))
    assert not picture.getexif()
    assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density", "loop", "background", "duration"}


# ── Sizes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rendition_has_2048_pixels_at_most_and_the_proportions_of_its_picture(tmp_path: Path) -> None:
    Image.new("RGB", (6000, 1500), "teal").save(tmp_path / "wide.jpg")
    assert rendered(tmp_path / "wide.jpg").size == (2048, 512)


def test_a_picture_that_is_one_pixel_high_stays_one(tmp_path: Path) -> None:
    Image.new("RGB", (60_000, 1), "teal").save(tmp_path / "line.png")
    assert rendered(tmp_path / "line.png").size == (2048, 1)


def test_a_small_picture_is_not_made_larger(tmp_path: Path) -> None:
    Image.new("RGB", (1, 1), "teal").save(tmp_path / "dot.gif")
    assert rendered(tmp_path / "dot.gif").size == (1, 1)


@pytest.mark.parametrize("max_bytes", [200_000, 20_000, 2_000])
def test_a_rendition_has_no_more_bytes_than_the_endpoint_takes(max_bytes: int, tmp_path: Path) -> None:
    Image.effect_noise((1500, 1000), 90).save(tmp_path / "noise.bmp")
    width, height = rendered(tmp_path / "noise.bmp", max_bytes).size
    assert width / height == pytest.approx(1.5, rel=0.1)


def test_noise_which_no_encoder_can_make_smaller_becomes_a_picture_too(tmp_path: Path) -> None:
    Image.frombytes("RGB", (300, 290), Random(1).randbytes(300 * 290 * 3)).save(tmp_path / "noise.png")
    assert rendered(tmp_path / "noise.png", 250_000).size == (300, 290)


def test_a_limit_that_no_jpeg_meets_is_told(tmp_path: Path) -> None:
    Image.new("RGB", (10, 10)).save(tmp_path / "file.bmp")
    with pytest.raises(pictures.UnfitError, match="no JPEG of it has 100 bytes or less, which MaxImageBytes is"):
        pictures.rendition(tmp_path / "file.bmp", 100)


@pytest.mark.parametrize("name", ["cat.heic", "turned.jpg", "animated.webp", "cmyk.tiff"])
def test_a_thumbnail_is_a_webp_of_512_pixels_at_most(name: str) -> None:
    picture = Image.open(BytesIO(pictures.thumbnail(SAMPLES / name)))
    assert picture.format == "WEBP"
    assert max(errors(picture, cat())) < IN_COLOUR


def test_a_thumbnail_of_a_large_picture_is_small(tmp_path: Path) -> None:
    Image.new("RGB", (4000, 3000), "teal").save(tmp_path / "large.jpg")
    assert Image.open(BytesIO(pictures.thumbnail(tmp_path / "large.jpg"))).size == (512, 384)
