"""The README's screenshots. `SCREENSHOTS=docs uv run pytest --no-cov tests/browser/test_screenshots.py` makes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.browser.conftest import Open

MAX_BYTES = 200_000
SHOTS = [("grid", "light", 1280), ("picture", "dark", 1280), ("grid", "dark", 360), ("picture", "light", 360)]


@pytest.mark.parametrize(("what", "scheme", "width"), SHOTS)
def test_a_screenshot_is_small_enough_for_the_readme(
    open_gallery: Open, tmp_path: Path, what: str, scheme: str, width: int
) -> None:
    page = open_gallery(width=width, height=800, scheme=scheme)
    page.evaluate(
        "document.querySelectorAll('.card').forEach(card => /hostile|boats\\//.test(card.innerText)"
        " && card.parentElement.remove())"
    )
    if what == "picture":
        page.locator(".card", has_text="espresso").click()
        page.wait_for_function("document.getElementById('picture').complete")
        page.locator("#tags li").first.wait_for()
    page.wait_for_timeout(500)  # thumbnails that have been decoded are painted with the next frame
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    path = folder / (f"gallery-{what}.png" if width == 1280 else f"gallery-{what}-{width}.png")
    page.screenshot(path=path)
    with Image.open(path) as shot:
        # 256 colours are plenty beside a README's text, and a fifth of the bytes.
        shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    assert path.stat().st_size <= MAX_BYTES
