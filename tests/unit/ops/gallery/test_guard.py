"""Nothing but the gallery's own page, in the browser that opened the address with the token, gets an answer."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from imagescribe_ops.gallery.guard import Guard

HOST = "127.0.0.1:8123"
OWN_PAGE = {"Origin": f"http://{HOST}", "Sec-Fetch-Site": "same-origin"}


def answer(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("answered")


@pytest.fixture
def stranger() -> TestClient:
    routes = [Route("/", answer), Route("/api/stats", answer), Route("/retry", answer, methods=["POST"])]
    return TestClient(Guard(Starlette(routes=routes), HOST, "secret", once="opened"), base_url=f"http://{HOST}")


@pytest.fixture
def visitor(stranger: TestClient) -> TestClient:
    stranger.get("/?token=secret")
    return stranger


def test_the_token_becomes_a_cookie_that_no_script_reads_and_leaves_the_address(stranger: TestClient) -> None:
    opened = stranger.get("/?token=secret", follow_redirects=False)
    assert (opened.status_code, opened.headers["location"]) == (303, "/")
    cookie = opened.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert stranger.get("/").text == "answered"


def test_the_token_that_the_browser_is_started_with_opens_it_once(stranger: TestClient) -> None:
    """Whoever sees the machine's processes sees it."""
    assert stranger.get("/?token=opened").text == "answered"
    stranger.cookies.clear()
    assert stranger.get("/?token=opened").status_code == 403
    assert stranger.get("/?token=").status_code == 403
    assert stranger.get("/?token=secret").text == "answered"


@pytest.mark.parametrize("address", ["/", "/api/stats", "/?token=guessed", "/?token=", "/api/stats?token=secret"])
def test_without_the_token_nothing_is_answered(stranger: TestClient, address: str) -> None:
    assert stranger.get(address).status_code == 403


@pytest.mark.parametrize("host", ["evil.example:8123", "localhost:8123", "127.0.0.1", "127.0.0.1:8124"])
def test_a_name_that_was_rebound_to_this_machine_gets_nothing(visitor: TestClient, host: str) -> None:
    assert visitor.get("/api/stats", headers={"Host": host}).status_code == 421
    assert visitor.get("/?token=secret", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},  # a page on another port of this machine
        {"Origin": "http://127.0.0.1:8124"},
        {"Origin": "null"},
    ],
)
def test_another_page_in_the_same_browser_gets_nothing(visitor: TestClient, headers: dict[str, str]) -> None:
    assert visitor.get("/api/stats", headers=headers).status_code == 403
    assert visitor.post("/retry", headers=OWN_PAGE | headers).status_code == 403


def test_only_the_page_itself_may_write(visitor: TestClient) -> None:
    assert visitor.post("/retry").status_code == 403
    assert visitor.post("/retry", headers=OWN_PAGE).status_code == 200


def test_every_answer_forbids_what_the_page_does_not_need(stranger: TestClient) -> None:
    headers = stranger.get("/").headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "img-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
