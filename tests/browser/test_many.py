"""Ten thousand pictures: pages are loaded as one scrolls, and only what is seen is laid out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.browser.conftest import Open

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

PICTURES = 10_000
LONG_TASK_MS = 400
"""A page that stands still for longer feels broken; generous, since the tests share the machine."""


def test_ten_thousand_pictures_scroll_without_standing_still(open_gallery: Open) -> None:
    page = open_gallery()
    page.route("**/api/images?*", answer)
    page.route("**/thumbnail/*", lambda route: route.fulfill(status=415))
    page.get_by_role("button", name="All by name").click()
    page.get_by_text("everything-00000").first.wait_for()
    page.evaluate(
        "() => { window.longest = 0; new PerformanceObserver(list => list.getEntries().forEach(each =>"
        " { window.longest = Math.max(window.longest, each.duration); })).observe({ type: 'longtask' }); }"
    )
    while loaded(page) < PICTURES:
        before = loaded(page)
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_function("before => document.querySelectorAll('.card').length > before", arg=before)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight / 2)")
    page.wait_for_timeout(200)
    assert page.locator("#told").inner_text() == "10,000 pictures, by name"
    assert page.evaluate("window.longest") < LONG_TASK_MS
    assert loaded(page) == PICTURES


def loaded(page: Page) -> int:
    return page.locator(".card").count()


def answer(route: Route) -> None:
    """Answer a page of the list as the query API does."""
    asked = parse_qs(urlsplit(route.request.url).query)
    first, limit = int(asked.get("after", ["0"])[0]), int(asked["limit"][0])
    end = min(PICTURES, first + limit)
    body: dict[str, Any] = {
        "images": [picture(number) for number in range(first, end)],
        "after": str(end) if end < PICTURES else None,
    }
    route.fulfill(status=200, content_type="application/json", body=json.dumps(body))


def picture(number: int) -> dict[str, Any]:
    name = f"everything-{number:05}"
    return {"id": name, "key": name, "status": "described", "prompt": f"Picture {number}: " + "words " * 60} | {
        field: "" for field in ("image", "error", "etag", "version_id", "updated_at", "size")
    }
