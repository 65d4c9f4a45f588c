"""A stack with pictures in it, its gallery, and a real browser that opens it.

Chromium and Playwright are needed (`uv sync --group browser`, and a browser). Where one is missing the tests are
skipped, except in CI.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from PIL import Image

from imagescribe_ops.catalog_view import UNFINISHED, CatalogView
from imagescribe_ops.gallery.server import RunningGallery
from imagescribe_ops.local.pictures import samples
from imagescribe_ops.local.stack import LocalStack, local_stack
from imagescribe_ops.operations import Operations
from imagescribe_ops.simulator import ScriptedAnswer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WAIT_SECONDS: Final = 90.0
RIGHT_TO_LEFT: Final = "قارب أحمر عند الغسق \N{RIGHT-TO-LEFT OVERRIDE}gnp.exe"
HOSTILE: Final = {
    "hostile/markup.png": '<img src=x onerror="document.title=\'run\'"><script>document.title="run"</script> zebra',
    "hostile/right-to-left.png": RIGHT_TO_LEFT,
    "hostile/long.png": "endless " * 2_500,
}
SEARCHABLE: Final = {"boats/dusk.png": "A red boat at dusk on a calm lake", "boats/noon.png": "A blue boat at noon"}


def _missing() -> str:
    try:
        import playwright.sync_api  # noqa: F401, PLC0415
    except ImportError:
        return "Playwright is not installed: uv sync --group browser"
    return "" if _browser_path() else "there is no Chromium on this machine: apt-get install chromium"


def _browser_path() -> str | None:
    return next((found for name in BROWSERS if (found := shutil.which(name))), None)


@pytest.fixture(scope="session", autouse=True)
def _browser_or_skip() -> None:
    if missing := _missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"the gallery was not tested: {missing}")


@pytest.fixture(scope="session")
def local(_browser_or_skip: None) -> Iterator[LocalStack]:
    """A stack in which the samples and the pictures above are described, one is rejected and one skipped."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        with local_stack("gallery", latency_s=0.0) as stack:
            _fill(stack)
            yield stack


def _fill(stack: LocalStack) -> None:
    bucket, s3 = stack.outputs.bucket_name, stack.connection.s3()
    prompts = HOSTILE | SEARCHABLE
    stack.simulator.script(
        *(ScriptedAnswer(body=json.dumps([prompt]), contains=f"{bucket}/{key}") for key, prompt in prompts.items()),
        ScriptedAnswer(status=422, contains=f"{bucket}/refused.png"),
    )
    for number, key in enumerate([*prompts, "refused.png"]):
        s3.put_object(Bucket=bucket, Key=key, Body=plain_picture(number), Tagging="project=lake")
    s3.put_object(Bucket=bucket, Key="notes.txt", Body=b"not a picture")
    for sample in samples().pictures:
        s3.put_object(Bucket=bucket, Key=sample.key, Body=sample.path.read_bytes())
    expected = len(prompts) + 2 + len(samples().pictures)
    catalog = CatalogView(stack.connection, stack.outputs.catalog_table_name)
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        records = catalog.find(bucket=bucket).records
        if len(records) == expected and not any(record.status in UNFINISHED for record in records):
            return
        time.sleep(0.3)
    pytest.fail(f"not all came to their end: {[(record.key, record.status, record.error) for record in records]}")


def plain_picture(shade: int) -> bytes:
    content = BytesIO()
    Image.new("RGB", (320, 240), (40 * shade % 256, 90, 160)).save(content, "PNG")
    return content.getvalue()


@pytest.fixture(scope="session")
def gallery(local: LocalStack) -> Iterator[str]:
    """The address to open."""
    with RunningGallery(Operations.of_stack(local.connection, local.name)) as running:
        yield running.url


@pytest.fixture(scope="session")
def browser(_browser_or_skip: None) -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        # Without its sandbox, which needs rights that root in a container lacks: it opens our own page only.
        yield playwright.chromium.launch(executable_path=_browser_path(), args=["--no-sandbox"])


type Open = Callable[..., Page]


@pytest.fixture
def open_gallery(browser: Browser, gallery: str) -> Iterator[Open]:
    """Opens the gallery as a new visitor. What the browser complains of fails the test."""
    contexts, complaints = [], list[str]()

    def visit(width: int = 1280, height: int = 800, scheme: str = "light", **more: Any) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,  # type: ignore[arg-type]
            permissions=["clipboard-read", "clipboard-write"],
            **more,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if "Security" in said.text else None)
        page.goto(gallery)
        page.locator(".card").first.wait_for()
        return page

    yield visit
    for context in contexts:
        context.close()
    assert complaints == []


DOCS: Final = Path(__file__).parents[2] / "docs"
