"""The gallery as a person uses it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from imagescribe_ops.local.stack import LocalStack
from tests.browser.conftest import HOSTILE, RIGHT_TO_LEFT, SEARCHABLE, Open

if TYPE_CHECKING:
    from playwright.sync_api import Page


def search(page: Page, words: str) -> None:
    """Type words and wait until what they find is there."""
    with page.expect_response(lambda answer: "/api/search" in answer.url and answer.ok):
        page.get_by_role("searchbox").fill(words)


def keys(page: Page) -> list[str]:
    return page.locator(".card .key").all_inner_texts()


def wait_for_keys(page: Page, expected: list[str]) -> None:
    wanted = "|".join(expected)
    page.wait_for_function(
        "wanted => [...document.querySelectorAll('.card .key')].map(each => each.innerText).join('|') === wanted",
        arg=wanted,
    )


def open_picture(page: Page, key: str) -> None:
    page.locator(".card", has_text=key).click()
    page.get_by_role("dialog").wait_for()


def test_every_described_picture_is_in_the_grid_with_its_thumbnail_and_its_words(open_gallery: Open) -> None:
    page = open_gallery()
    assert "boats/dusk.png" in keys(page)
    assert "refused.png" not in keys(page)
    first = page.locator(".card img").first
    first.scroll_into_view_if_needed()
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=first.element_handle())


def test_what_is_typed_is_found_before_its_last_word_is_complete(open_gallery: Open) -> None:
    page = open_gallery()
    search(page, "red boat du")
    wait_for_keys(page, ["boats/dusk.png"])
    assert page.locator("mark").all_inner_texts() == ["red", "boat", "dusk"]
    search(page, "boats")
    wait_for_keys(page, list(reversed(sorted(SEARCHABLE))) if keys(page)[0] == "boats/noon.png" else sorted(SEARCHABLE))
    search(page, "xylophone")
    page.get_by_text("No prompt has these words").wait_for()


def test_a_search_that_cannot_be_read_says_what_to_change(open_gallery: Open) -> None:
    page = open_gallery()
    page.get_by_role("searchbox").fill("-sunset")
    page.get_by_role("button", name="Try again").wait_for()
    assert page.locator("#message-text").inner_text()


def test_a_picture_opens_large_and_its_prompt_is_copied(open_gallery: Open) -> None:
    page = open_gallery()
    open_picture(page, "boats/dusk.png")
    page.wait_for_function("document.getElementById('picture').naturalWidth === 320")
    page.get_by_text("project lake").wait_for()
    page.get_by_role("button", name="Copy").click()
    page.get_by_text("The prompt is copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == SEARCHABLE["boats/dusk.png"]


def test_what_has_no_prompt_shows_why(open_gallery: Open) -> None:
    page = open_gallery()
    page.get_by_role("button", name="Rejected").click()
    wait_for_keys(page, ["refused.png"])
    open_picture(page, "refused.png")
    assert page.locator("#reason").inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Skipped").click()
    wait_for_keys(page, ["notes.txt"])
    page.get_by_text("No preview").wait_for()


def test_a_day_without_pictures_says_so(open_gallery: Open) -> None:
    page = open_gallery()
    page.get_by_label("Day").fill("2001-01-01")
    page.get_by_text("No such picture was uploaded on this day").wait_for()


@pytest.mark.parametrize("key", HOSTILE)
def test_a_hostile_prompt_is_text_and_breaks_nothing(open_gallery: Open, key: str) -> None:
    page = open_gallery(width=360, height=740)
    open_picture(page, key)
    assert page.locator("#prompt").text_content() == HOSTILE[key].strip()
    assert page.title() == "ImageScribe gallery"
    assert page.locator("#prompt *").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.getElementById('viewer').scrollWidth <= innerWidth")
    if HOSTILE[key] == RIGHT_TO_LEFT:
        assert page.evaluate("getComputedStyle(document.getElementById('prompt')).direction") == "rtl"


def test_the_keyboard_alone_is_enough(open_gallery: Open) -> None:
    page = open_gallery()
    focused = "document.activeElement"
    page.keyboard.press("/")
    assert page.evaluate(f"{focused}.id") == "query"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(f"{focused}.dataset.index") == "0"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    index = int(page.evaluate(f"{focused}.dataset.index"))
    assert index > 1
    assert page.evaluate(f"getComputedStyle({focused}).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    name = page.locator("#name")
    before = name.inner_text()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("before => document.getElementById('name').innerText !== before", arg=before)
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    assert page.evaluate(f"{focused}.dataset.index") == str(index - 1)


def test_describe_again_says_what_it_costs_and_pays_once_more_when_confirmed(
    open_gallery: Open, local: LocalStack
) -> None:
    page = open_gallery()
    billed = local.simulator.counts().billed
    open_picture(page, "boats/noon.png")
    page.get_by_role("button", name="Describe again…").click()
    page.get_by_text(re.compile(r"pays about \$0\.015")).wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Describe again…").click()
    page.get_by_role("button", name="Describe again", exact=True).click()
    page.get_by_text("It is described again.").wait_for(timeout=60_000)
    assert page.locator("#prompt").inner_text().startswith("Simulated description")
    assert local.simulator.counts().billed == billed + 1


@pytest.mark.parametrize("width", [1280, 360])
def test_nothing_is_wider_than_the_window(open_gallery: Open, width: int) -> None:
    page = open_gallery(width=width, height=740)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_that_shuts_anyone_out(open_gallery: Open, scheme: str) -> None:
    from axe_core_python.sync_playwright import Axe  # noqa: PLC0415

    page = open_gallery(scheme=scheme, bypass_csp=True)  # axe puts itself into the page
    assert violations(Axe().run(page)) == []
    open_picture(page, "boats/dusk.png")
    page.get_by_text("project lake").wait_for()
    page.get_by_role("button", name="Describe again…").click()
    assert violations(Axe().run(page)) == []


def violations(found: dict[str, list[dict[str, object]]]) -> list[object]:
    return [(each["id"], each["help"], each["nodes"]) for each in found["violations"]]
