"""A prompt is made of the picture itself, and broken files are told apart from bugs."""

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imagescribe_ops.contract.picture import UndecodableError
from imagescribe_ops.simulator.picture import LABEL, describe
from tests.unit.simulator.conftest import picture


def test_a_prompt_tells_size_colour_light_and_where_the_detail_is() -> None:
    prompt = describe(picture("navy", (400, 300), spot=(60, 50)))
    assert prompt.startswith(LABEL)
    for words in (
        "landscape-format",
        "navy",
        "deep darkness",
        "cool tone",
        "picture's detail",
        "upper left",
        "(400x300)",
    ):
        assert words in prompt
    assert "centre" in describe(picture("navy", (300, 300), spot=(150, 150)))
    assert "portrait-format" in describe(picture("white", (300, 400)))
    assert "high-key" in describe(picture("white", (300, 400)))


@settings(deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.integers(1, 90), st.integers(1, 90), st.integers(0, 0xFFFFFF))
def test_every_picture_is_described_and_always_the_same(form: str, width: int, height: int, colour: int) -> None:
    content = picture(f"#{colour:06x}", (width, height), form)
    assert describe(content) == describe(content)
    assert f"({width}x{height})" in describe(content)


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_broken_files_are_told_apart_from_bugs(noise: bytes, cut: int) -> None:
    for content in (noise, picture(form="JPEG")[:cut] + noise):
        try:
            describe(content)
        except UndecodableError as error:
            told = str(error)
        else:
            continue  # some noise is decodable after all
        assert "picture" in told


def test_a_decompression_bomb_is_refused_before_it_goes_off() -> None:
    file = io.BytesIO()
    Image.new("1", (11_000, 11_000)).save(file, "PNG")
    with pytest.raises(UndecodableError, match="too large"):
        describe(file.getvalue())
