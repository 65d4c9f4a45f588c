"""The README's pictures of the gallery.

`SCREENSHOTS=FOLDER uv run pytest --no-cov tests/browser/test_screenshots.py` makes them, and others to look at: in both
colour schemes, and 360 px wide.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from tests.browser.conftest import Open

MAX_BYTES = 200_000
FOLDER = os.environ.get("SCREENSHOTS")
WIDTHS = (1280, 360) if FOLDER else (1280,)
SCHEMES = ("light", "dark") if FOLDER else ("light",)
README = {"gallery-grid-1280-light": "gallery.jpg", "gallery-picture-1280-light": "gallery-picture.jpg"}
"""What is in the README, and its name there. The others are for a look at them."""


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("what", ["grid", "picture"])
def test_a_screenshot_is_small_enough_for_the_readme(
    open_gallery: Open, tmp_path: Path, what: str, width: int, scheme: str
) -> None:
    page = open_gallery(width, 800, scheme=scheme)
    page.wait_for_function(
        "() => [...document.querySelectorAll('.card img')].slice(0, 8).every(image => image.naturalWidth > 0)"
    )
    if what == "picture":
        page.locator(".card", has_text="dandelions").click()
        page.wait_for_function("() => document.getElementById('picture').naturalWidth > 0")
        page.get_by_text("album garden").wait_for()
    name = f"gallery-{what}-{width}-{scheme}"
    png = tmp_path / f"{name}.png"
    page.screenshot(path=png)
    path = Path(FOLDER or tmp_path) / README.get(name, f"{name}.jpg")
    with Image.open(png) as shot:
        shot.convert("RGB").save(path, quality=82, optimize=True)
    assert path.stat().st_size <= MAX_BYTES
