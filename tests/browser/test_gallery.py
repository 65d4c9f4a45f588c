"""The gallery as a person uses it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import Open
from tests.browser.pictures import HOSTILE, RIGHT_TO_LEFT, SCAN, SEARCHABLE, WITHOUT_PROMPT, Shelf

if TYPE_CHECKING:
    from playwright.sync_api import Page, Route


def search(page: Page, words: str) -> None:
    page.get_by_role("searchbox").fill(words)


def wait_for_keys(page: Page, *expected: str) -> None:
    """Wait until the grid shows these pictures and no others, in this order."""
    page.wait_for_function(
        "wanted => [...document.querySelectorAll('.card .key')].map(each => each.innerText).join('|') === wanted",
        arg="|".join(expected),
    )


def open_picture(page: Page, key: str) -> None:
    card = page.locator(".card", has_text=key)
    if not card.count():  # only what is near the window is in the page
        page.evaluate("() => scrollTo(0, document.documentElement.scrollHeight)")
    card.click()
    page.get_by_role("dialog").wait_for()


# ── Looking and searching ────────────────────────────────────────────────────────────────────────────────────────────


def test_every_described_picture_is_in_the_grid_with_its_thumbnail_and_its_words(open_gallery: Open) -> None:
    page = open_gallery()
    page.locator(".card", has_text="boats/dusk.png").get_by_text("A red boat at dusk").wait_for()
    assert page.locator(".card", has_text="refused.png").count() == 0
    page.wait_for_function("() => document.querySelector('.card img').naturalWidth > 0")


def test_what_is_typed_is_found_before_its_last_word_is_complete(open_gallery: Open) -> None:
    page = open_gallery()
    search(page, "red boat du")
    wait_for_keys(page, "boats/dusk.png")
    assert page.locator("mark").all_inner_texts() == ["red", "boat", "dusk"]
    search(page, "boat noon")
    wait_for_keys(page, "boats/noon.png")


def test_words_that_no_prompt_has_say_what_finds_more(open_gallery: Open) -> None:
    page = open_gallery()
    search(page, "xylophone")
    page.get_by_text("No prompt has these words").wait_for()
    page.get_by_text("Fewer words find more").wait_for()


def test_a_search_that_cannot_be_read_says_what_to_change(open_gallery: Open) -> None:
    page = open_gallery()
    search(page, "-sunset")
    page.get_by_role("button", name="Try again").wait_for()
    assert "leave out" in page.locator("#message-title").inner_text()
    search(page, "noon -sunset")
    wait_for_keys(page, "boats/noon.png")


def test_an_answer_that_comes_late_does_not_replace_a_newer_one(open_gallery: Open) -> None:
    page = open_gallery()
    held: list[Route] = []
    page.route("**/api/search?q=*dusk*", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks it
    with page.expect_request("**/api/search?q=*dusk*"):
        search(page, "dusk")
    search(page, "noon")
    wait_for_keys(page, "boats/noon.png")
    for route in held:
        route.continue_()
    page.wait_for_timeout(50)
    wait_for_keys(page, "boats/noon.png")


def test_what_has_no_prompt_shows_why(open_gallery: Open) -> None:
    page = open_gallery()
    page.get_by_role("button", name="Rejected").click()
    wait_for_keys(page, "refused.png")
    open_picture(page, "refused.png")
    assert page.locator("#reason").inner_text() == WITHOUT_PROMPT["refused.png"][1]
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Skipped").click()
    wait_for_keys(page, "notes.txt")
    page.get_by_text("No preview").wait_for()
    open_picture(page, "notes.txt")
    page.get_by_text("No browser shows a file of this kind.").wait_for()


def test_a_list_and_a_day_without_pictures_say_so(open_gallery: Open) -> None:
    page = open_gallery()
    page.get_by_role("button", name="Dead").click()
    page.get_by_text("No picture is dead").wait_for()
    page.get_by_role("button", name="Described").click()
    page.get_by_label("Day").fill("2001-01-01")
    page.get_by_text("No such picture was uploaded on this day").wait_for()


def test_pictures_are_shown_and_searched_by_their_label(open_gallery: Open) -> None:
    page = open_gallery()
    label = page.get_by_label("Label", exact=True)
    label.fill("Boat")
    label.press("Enter")
    wait_for_keys(page, "boats/dusk.png")
    search(page, "noon")
    page.get_by_text("No such picture has this label").wait_for()
    search(page, "red")
    wait_for_keys(page, "boats/dusk.png")
    search(page, "boat")
    label.fill("")
    label.press("Enter")
    wait_for_keys(page, "boats/noon.png", "boats/dusk.png")


def test_a_stack_without_pictures_says_how_one_gets_into_it(open_gallery: Open) -> None:
    page = open_gallery()
    page.route("**/api/images?*", lambda route: route.fulfill(json={"images": [], "after": None}))
    page.route("**/api/stats", lambda route: route.fulfill(json={"images": {}, "images_complete": True, "search": {}}))
    page.reload()
    page.get_by_text("No pictures yet").wait_for()
    assert page.locator("#message-code").inner_text().startswith("aws s3 cp photo.jpg s3://")


def test_a_server_that_is_gone_says_how_to_start_it_again_and_the_page_goes_on_when_it_is_there(
    open_gallery: Open,
) -> None:
    page = open_gallery()
    page.route("**/api/**", lambda route: route.abort())
    page.get_by_role("button", name="Rejected").click()
    page.get_by_role("heading", name="The gallery's server does not answer.").wait_for()
    page.unroute("**/api/**")
    page.get_by_role("button", name="Try again").click()
    wait_for_keys(page, "refused.png")


# ── One picture ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_picture_opens_large_and_its_prompt_is_copied(open_gallery: Open) -> None:
    page = open_gallery()
    open_picture(page, "boats/dusk.png")
    page.wait_for_function("() => document.getElementById('picture').naturalWidth === 320")
    page.get_by_text("project lake").wait_for()
    page.get_by_text("boat, dusk").wait_for()
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_text("The prompt is copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == SEARCHABLE["boats/dusk.png"]


@pytest.mark.parametrize("key", HOSTILE)
def test_a_hostile_prompt_is_text_and_breaks_nothing(open_gallery: Open, key: str) -> None:
    page = open_gallery(360, 740)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    open_picture(page, key)
    assert page.locator("#prompt").text_content() == HOSTILE[key]
    assert page.title() == "ImageScribe gallery"
    assert page.locator("#prompt *").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.getElementById('viewer').scrollWidth <= innerWidth")
    if HOSTILE[key] == RIGHT_TO_LEFT:
        assert page.evaluate("getComputedStyle(document.getElementById('prompt')).direction") == "rtl"


def test_describe_again_says_what_it_costs_and_is_sent_only_when_confirmed(open_gallery: Open, shelf: Shelf) -> None:
    page = open_gallery()
    open_picture(page, "boats/noon.png")
    page.get_by_role("button", name="Describe again…").click()
    page.get_by_text(re.compile(r"pays about \$0\.015")).wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Describe again…").click()
    assert shelf.stack.sent() == []
    page.get_by_role("button", name="Describe again", exact=True).click()
    assert shelf.describe_again("A blue boat at noon, and its owner") == "boats/noon.png"
    page.get_by_text("It is described again.").wait_for()
    assert page.locator("#prompt").inner_text() == "A blue boat at noon, and its owner"


def test_what_no_browser_shows_is_shown_by_its_thumbnail(open_gallery: Open) -> None:
    page = open_gallery()
    search(page, "teal page")
    wait_for_keys(page, SCAN)
    page.wait_for_function("() => document.querySelector('.card img').naturalWidth === 512")
    open_picture(page, SCAN)
    page.wait_for_function("() => document.getElementById('picture').naturalWidth === 512")


# ── For everyone ─────────────────────────────────────────────────────────────────────────────────────────────────────


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
    page.get_by_role("dialog").wait_for()
    name = page.locator("#name")
    before = name.inner_text()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("before => document.getElementById('name').innerText !== before", arg=before)
    page.keyboard.press("Escape")
    page.get_by_role("dialog").wait_for(state="hidden")
    page.wait_for_function(f"index => {focused}.dataset.index === index", arg=str(index - 1))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_that_shuts_anyone_out(open_gallery: Open, scheme: str) -> None:
    page = open_gallery(scheme=scheme, bypass_csp=True)  # axe puts itself into the page
    assert violations(page) == []
    open_picture(page, "boats/dusk.png")
    page.get_by_text("project lake").wait_for()
    page.get_by_role("button", name="Describe again…").click()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Skipped").click()
    wait_for_keys(page, "notes.txt")
    assert violations(page) == []
    page.get_by_role("button", name="Dead").click()
    page.get_by_text("No picture is dead").wait_for()
    assert violations(page) == []


def violations(page: Page) -> list[object]:
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415

    found = Axe().run(page).response["violations"]
    return [(each["id"], each["help"], [node["html"] for node in each["nodes"]]) for each in found]
