"""A real browser for the tests that open the gallery: Debian's Chromium, driven by Playwright.

Where either is missing such tests are skipped with a word on what to install, but never in CI.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

NAMES: Final = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The first one opens no windows, which takes half of the processor time."""

NOT_OURS: Final = "Failed to load resource"
"""What the console says of every answer that is an error, also where the page expects one."""


def path() -> str | None:
    """Return where the browser is."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def missing() -> str:
    """Say what is missing, and what to do; empty where nothing is."""
    try:
        import playwright.sync_api  # noqa: F401, PLC0415
    except ImportError:
        return "Playwright is not installed: uv sync --group browser"
    return "" if path() else "there is no Chromium on this machine: apt-get install chromium-headless-shell"


def needed() -> None:
    """Skip a test that can't have its browser; in CI, fail it."""
    if what := missing():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"the gallery was not opened: {what}")


@contextmanager
def launched() -> Iterator[Browser]:
    """A running browser."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with sync_playwright() as playwright:
        # Without its sandbox, which needs rights that root in a container lacks: it opens our own page only.
        browser = playwright.chromium.launch(executable_path=path(), args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visits:
    """Opens pages as new visitors, each with a profile of its own, and keeps what the browser complains of."""

    browser: Browser
    complaints: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)

    def visit(self, url: str, width: int = 1280, height: int = 800, scheme: str = "light", **more: Any) -> Page:
        """Open an address in a window of this size."""
        context = self.browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if scheme == "dark" else "light",
            permissions=["clipboard-read", "clipboard-write"],
            **more,
        )
        self._contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", self._heard)
        page.goto(url)
        return page

    def _heard(self, said: ConsoleMessage) -> None:
        if said.type == "error" and NOT_OURS not in said.text:
            self.complaints.append(said.text)

    def close(self) -> None:
        """Close all pages. What the browser complained of fails the test."""
        for context in self._contexts:
            context.close()
        assert not self.complaints, self.complaints
