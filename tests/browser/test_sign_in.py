"""Signing in on the hosted page with the issuer of its tokens: there and back, refused, over, and out again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from imagescribe.query.sign_in import SignIn
from tests.browser.test_gallery import violations
from tests.chromium import Visits
from tests.factories import stand_in
from tests.issuer import Issuer, issuing
from tests.unit.query.function_url import serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from imagescribe.query.api import Api


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with issuing() as one:
        yield one


@pytest.fixture
def address(api: Api, issuer: Issuer) -> Iterator[str]:
    """The HTTP API, whose page is a client of the issuer's."""
    sign_in = SignIn(issuer.url, issuer.client_id, issuer.client_id)
    app = replace(api, sign_in=sign_in).resolver()

    def behind_authorizer(event: dict[str, Any]) -> dict[str, Any]:
        token = event["headers"].get("authorization", "").removeprefix("Bearer ")
        if event["rawPath"].startswith("/gallery") or token in issuer.issued:
            return app.resolve(event, stand_in(None))
        return {"statusCode": 401, "headers": {}, "body": '{"message":"Unauthorized"}'}

    with serving(behind_authorizer) as url:
        yield f"{url}/_aws/lambda-url/abc/gallery/index.html"


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page as it is before one has signed in."""
    visits = Visits(browser)
    page = visits.visit(address, bypass_csp=False)
    page.get_by_role("button", name="Sign in").wait_for()
    yield page
    visits.close()


def sign_in(page: Page) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.locator(".card").first.wait_for()


def test_one_signs_in_with_the_issuer_and_comes_back_to_the_pictures(page: Page, issuer: Issuer, address: str) -> None:
    assert not page.get_by_label("Paste a token").is_visible()
    sign_in(page)
    assert page.url == address  # without the code
    assert len(issuer.issued) == 1
    assert issuer.codes == {}
    page.reload()
    page.locator(".card").first.wait_for()
    assert len(issuer.issued) == 1


def test_whose_token_is_over_signs_in_again(page: Page, issuer: Issuer) -> None:
    sign_in(page)
    issuer.issued.clear()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # it asks how all stands
    page.get_by_text("The API does not take this token").wait_for()
    sign_in(page)
    assert len(issuer.issued) == 1


def test_who_signs_out_leaves_no_token_and_no_picture_behind(page: Page) -> None:
    assert not page.get_by_role("button", name="Sign out").is_visible()
    sign_in(page)
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="Sign in").wait_for()
    assert page.locator(".card").count() == 0
    assert page.evaluate("sessionStorage.length") == 0


def test_a_sign_in_that_somebody_else_began_is_refused(page: Page, issuer: Issuer, address: str) -> None:
    theirs = issuer.authorize(
        {
            "client_id": issuer.client_id,
            "response_type": "code",
            "tenant": "one",
            "scope": "openid",
            "code_challenge_method": "S256",
            "code_challenge": "theirs",
            "redirect_uri": address,
            "state": "theirs",
        }
    )
    page.goto(theirs)
    page.get_by_text("This sign-in was not begun in this tab.").wait_for()
    assert page.url == address
    assert len(issuer.codes) == 1  # nobody asked for a token
    sign_in(page)


def test_what_the_issuer_refuses_is_said_in_its_words(page: Page, issuer: Issuer) -> None:
    issuer.denial = "<b>Nobody</b> & nothing"
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("The issuer refused: <b>Nobody</b> & nothing").wait_for()
    issuer.denial = ""
    page.route(f"{issuer.url}/token", lambda route: route.abort())
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("The issuer gave no token: it does not answer").wait_for()
    page.unroute(f"{issuer.url}/token")
    page.route(f"{issuer.url}/token", lambda route: route.fulfill(status=400, json={"error": "invalid_grant"}))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("The issuer gave no token: invalid_grant").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_that_keeps_anyone_from_signing_in_or_out(
    browser: Browser, address: str, scheme: str
) -> None:
    visits = Visits(browser)
    page = visits.visit(address, 360, 740, scheme=scheme, bypass_csp=True)
    page.get_by_role("button", name="Sign in").wait_for()
    assert violations(page) == []
    sign_in(page)
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    visits.close()
