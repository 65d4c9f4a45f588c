"""Whatever a picture is, the model gets a plain JPEG that fits."""

import io
from typing import Any

import pytest
from PIL import Image, ImageCms

from imagescribe_ops.contract.picture import UndecodableError
from imagescribe_ops.gateway.picture import rendition


def encoded(mode: str, colour: Any, form: str, size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, form, **options)
    return file.getvalue()


def seen(content: bytes, max_side: int = 1024) -> Image.Image:
    """What the model sees."""
    return Image.open(io.BytesIO(rendition(content, max_side)), formats=["JPEG"])


@pytest.mark.parametrize(
    ("content", "colour"),
    [
        (encoded("RGB", (200, 30, 30), "JPEG"), (200, 30, 30)),
        (encoded("RGB", (200, 30, 30), "WEBP", lossless=True), (200, 30, 30)),
        (encoded("CMYK", (0, 0, 0, 255), "JPEG"), (0, 0, 0)),
        (encoded("L", 90, "PNG"), (90, 90, 90)),
        (encoded("LA", (90, 255), "PNG"), (90, 90, 90)),
        (encoded("I;16", 90 * 257, "PNG"), (90, 90, 90)),
        (encoded("1", 1, "PNG"), (255, 255, 255)),
        (encoded("P", 0, "PNG"), (0, 0, 0)),
        (encoded("RGBA", (200, 30, 30, 255), "PNG"), (200, 30, 30)),
        (encoded("RGBA", (200, 30, 30, 0), "PNG"), (255, 255, 255)),
    ],
)
def test_every_mode_becomes_plain_colours_on_white(content: bytes, colour: tuple[int, int, int]) -> None:
    picture = seen(content)
    assert (picture.mode, picture.size) == ("RGB", (40, 30))
    pixel = picture.getpixel((20, 15))
    assert isinstance(pixel, tuple)
    assert max(abs(one - other) for one, other in zip(pixel, colour, strict=True)) <= 3


@pytest.mark.parametrize(
    ("size", "max_side", "becomes"),
    [
        ((4000, 3000), 2048, (2048, 1536)),
        ((3000, 4000), 1024, (768, 1024)),
        ((1024, 10), 1024, (1024, 10)),
        ((9000, 3), 1024, (1024, 1)),
    ],
)
@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_picture_is_scaled_down_and_never_up(
    size: tuple[int, int], max_side: int, becomes: tuple[int, int], form: str
) -> None:
    assert seen(encoded("RGB", "teal", form, size), max_side).size == becomes


def swapped_profile() -> bytes:
    """sRGB's profile with red and green in each other's place."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("profile", "colour"), [(swapped_profile(), (30, 200, 30)), (b"no profile", (200, 30, 30))])
def test_colours_are_what_their_profile_says_unless_it_is_broken(
    profile: bytes, colour: tuple[int, int, int], form: str
) -> None:
    pixel = seen(encoded("RGB", (200, 30, 30), form, icc_profile=profile)).getpixel((20, 15))
    assert isinstance(pixel, tuple)
    assert max(abs(one - other) for one, other in zip(pixel, colour, strict=True)) <= 8


def test_too_many_pixels_are_refused_by_the_header_alone() -> None:
    bomb = encoded("1", 0, "PNG", (12_000, 9_000))
    with pytest.raises(UndecodableError, match="too large: 12000x9000"):
        rendition(bomb, 1024)
