"""The page as the HTTP API serves it: with a token, to look and not to touch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.browser.conftest import Answer
from tests.browser.pictures import SCAN, Shelf
from tests.browser.test_gallery import search, violations, wait_for_keys
from tests.chromium import Visits
from tests.unit.query.function_url import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

TOKEN = "header.claims.signature"


@pytest.fixture
def questions() -> list[str]:
    """What is asked with a token that fits."""
    return []


@pytest.fixture
def address(answer: Answer, questions: list[str]) -> Iterator[str]:
    """The HTTP API: it asks for a token, but for its page."""

    def behind_authorizer(event: dict[str, Any]) -> dict[str, Any]:
        if event["rawPath"].startswith("/gallery"):
            return answer(event)
        if event["headers"].get("authorization") != f"Bearer {TOKEN}":
            return {"statusCode": 401, "headers": {}, "body": '{"message":"Unauthorized"}'}
        questions.append(event["rawPath"])
        return answer(event)

    with serving(behind_authorizer) as url:
        yield f"{url}/_aws/lambda-url/abc/gallery"


@pytest.fixture
def page(browser: Browser, address: str, shelf: Shelf) -> Iterator[Page]:
    """The page as it is before one has signed in."""
    visits = Visits(browser)

    def of_bucket(route: Route) -> None:
        url = urlsplit(route.request.url)
        bucket = (url.hostname or "").partition(".")[0]
        content = shelf.stack.s3.get_object(Bucket=bucket, Key=unquote(url.path[1:]))["Body"].read()
        route.fulfill(body=content)

    page = visits.visit("about:blank", bypass_csp=False)
    page.route("https://*.amazonaws.com/**", of_bucket)
    page.goto(address)
    page.get_by_role("dialog", name="Sign in").wait_for()
    yield page
    visits.close()


def sign_in(page: Page, token: str = TOKEN) -> None:
    page.get_by_label("Paste a token").fill(token)
    page.keyboard.press("Enter")


def test_nothing_is_asked_before_there_is_a_token_and_one_that_does_not_fit_is_refused(
    page: Page, questions: list[str]
) -> None:
    sign_in(page, "no token")
    page.get_by_text("This is no token.").wait_for()
    sign_in(page, "forged.claims.signature")
    page.get_by_text("The API does not take this token").wait_for()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog", name="Sign in").is_visible()
    assert questions == []
    assert page.locator(".card").count() == 0


def test_with_a_token_pictures_are_found_and_shown_and_none_is_described_again(page: Page, shelf: Shelf) -> None:
    sign_in(page, f"Bearer {TOKEN}")
    page.locator(".card").first.wait_for()
    page.wait_for_function("() => document.querySelector('.card img').naturalWidth > 0")
    search(page, "red boat du")
    wait_for_keys(page, "boats/dusk.png")
    page.locator(".card").click()
    page.wait_for_function("() => document.getElementById('picture').naturalWidth === 320")
    assert not page.get_by_role("button", name="Describe again…").is_visible()
    page.keyboard.press("Escape")
    search(page, "teal page")
    wait_for_keys(page, SCAN)
    page.locator(".card").click()
    page.wait_for_function("() => document.getElementById('picture').naturalWidth === 512")
    assert shelf.stack.sent() == []


def test_a_picture_that_the_api_is_too_busy_for_is_asked_for_again(page: Page) -> None:
    refused: list[str] = []

    def refuse_once(route: Route) -> None:
        if refused:
            return route.fallback()
        refused.append(route.request.url)
        return route.fulfill(status=429, json={"message": "Too Many Requests"})

    page.route("**/picture?size=thumbnail**", refuse_once)
    sign_in(page)
    page.locator(".card").first.wait_for()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.card img')].slice(0, 4).every(image => image.naturalWidth > 0)"
    )
    assert refused


def test_the_token_stays_in_its_tab_and_leaves_the_page(page: Page) -> None:
    sign_in(page)
    page.locator(".card").first.wait_for()
    page.reload()
    page.locator(".card").first.wait_for()
    assert TOKEN not in page.content()
    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("dialog", name="Sign in").wait_for()


def test_what_is_no_picture_says_why(page: Page) -> None:
    sign_in(page)
    page.locator(".card").first.wait_for()
    page.get_by_role("button", name="Skipped").click()
    wait_for_keys(page, "notes.txt")
    page.get_by_text("No preview").wait_for()
    page.locator(".card").click()
    page.get_by_text("There is no thumbnail of s3://").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_that_keeps_anyone_from_signing_in(browser: Browser, address: str, scheme: str) -> None:
    visits = Visits(browser)
    page = visits.visit(address, 360, 740, scheme=scheme, bypass_csp=True)
    sign_in(page, "no token")
    page.get_by_text("This is no token.").wait_for()
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    visits.close()
