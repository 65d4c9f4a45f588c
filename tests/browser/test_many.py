"""Ten thousand pictures: they are asked for as one scrolls, and only those near the window are in the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.browser.conftest import Open

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route

PICTURES = 10_000
MAX_CARDS = 200
"""In the page at a time: a window of 1280 × 800, and what is near it."""


@dataclass
class Many:
    """A list of so many pictures, and what was asked for them."""

    page: Page
    pictures: int
    pages: int = 0
    thumbnails: int = 0

    def open(self) -> None:
        """Come to the top of the list."""
        self.page.route("**/api/images?*", self._list)
        self.page.route("**/thumbnail/*", self._thumbnail)
        self.page.get_by_role("button", name="All by name").click()
        self.page.get_by_text("everything-00000").wait_for()

    @property
    def told(self) -> str:
        return self.page.locator("#told").inner_text()

    @property
    def cards(self) -> int:
        return self.page.locator("#grid li").count()

    def scroll_to_the_end(self) -> None:
        """Scroll on until all have been asked for."""
        while (before := self.told) != f"{self.pictures:,} pictures, by name":
            self.page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
            self.page.wait_for_function("before => document.getElementById('told').innerText !== before", arg=before)
        self.page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
        self.page.get_by_text(name(self.pictures - 1)).wait_for()

    def _list(self, route: Route) -> None:
        """Answer a page of the list as the query API does."""
        self.pages += 1
        asked = parse_qs(urlsplit(route.request.url).query)
        first, limit = int(asked.get("after", ["0"])[0]), int(asked["limit"][0])
        end = min(self.pictures, first + limit)
        images = [picture(number) for number in range(first, end)]
        route.fulfill(json={"images": images, "after": str(end) if end < self.pictures else None})

    def _thumbnail(self, route: Route) -> None:
        self.thumbnails += 1
        route.fulfill(status=415)


def name(number: int) -> str:
    return f"everything-{number:05}"


def picture(number: int) -> dict[str, Any]:
    known = {"id": name(number), "key": name(number), "status": "described", "prompt": f"{number}: " + "words " * 60}
    return known | dict.fromkeys(("image", "error", "etag", "version_id", "updated_at", "size"), "")


@pytest.fixture
def list_of(open_gallery: Open) -> Callable[[int], Many]:
    """Opens a list of so many pictures."""

    def opened(pictures: int) -> Many:
        many = Many(open_gallery(), pictures)
        many.open()
        return many

    return opened


def test_of_ten_thousand_pictures_no_more_cards_are_in_the_page_than_near_the_window(
    list_of: Callable[[int], Many],
) -> None:
    many = list_of(PICTURES)
    most = many.cards
    many.scroll_to_the_end()
    most = max(most, many.cards)
    many.page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight / 2)")
    many.page.get_by_text(name(PICTURES // 2)).wait_for()
    assert max(most, many.cards) <= MAX_CARDS
    assert many.pages == PICTURES / 100
    assert many.thumbnails <= PICTURES / 2  # of each stop on the way what was near the window there


def test_nobody_scrolls_and_nothing_more_is_asked_for(list_of: Callable[[int], Many]) -> None:
    many = list_of(PICTURES)
    many.page.wait_for_function("() => [...document.querySelectorAll('.no-preview')].every(each => !each.hidden)")
    assert many.told == "100+ pictures, by name"
    assert (many.pages, many.thumbnails) == (1, many.cards)
    assert many.cards < 100


def test_each_card_stands_where_it_stood_when_one_comes_back_to_it(list_of: Callable[[int], Many]) -> None:
    many = list_of(1_000)
    card = many.page.locator(".card", has_text=name(3))
    top = "card => card.getBoundingClientRect().top + scrollY"
    before = card.evaluate(top)
    many.scroll_to_the_end()
    assert card.count() == 0
    many.page.evaluate("top => scrollTo(0, top)", before)
    card.wait_for()
    assert card.evaluate(top) == pytest.approx(before, abs=1)


def test_the_keyboard_goes_to_the_last_picture_and_back_and_the_place_of_each_is_told(
    list_of: Callable[[int], Many],
) -> None:
    many = list_of(1_000)
    page = many.page
    many.scroll_to_the_end()
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    focused = "() => document.activeElement.closest('li')?.innerText.match(/everything-\\d+/)?.[0]"
    place = "name => document.activeElement.closest('li').getAttribute(name)"
    assert page.evaluate(focused) == name(0)
    page.keyboard.press("End")
    assert page.evaluate(focused) == name(999)
    assert (page.evaluate(place, "aria-posinset"), page.evaluate(place, "aria-setsize")) == ("1000", "1000")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused) == name(998)
    page.evaluate("() => scrollTo(0, 0)")
    page.get_by_text(name(0)).wait_for()
    page.keyboard.press("ArrowLeft")
    assert page.evaluate(focused) == name(997)
