"""The HTTP API, which a stack has only with a token's issuer: whoever holds a token of that issuer is answered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests import chromium
from tests.chromium import Visits
from tests.issuer import Issuer, issuing
from tests.stack.conftest import Stacks
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as one:
        yield one


@pytest.fixture(scope="module")
def deployment(stacks: Stacks, issuer: Issuer) -> Deployment:
    return stacks.deploy("tokens", JwtIssuer=issuer.url, JwtAudience=issuer.client_id, JwtClientId=issuer.client_id)


def address(deployment: Deployment, path: str) -> str:
    """Return where a path of the HTTP API is: the emulator has it under its own address."""
    api_id = (urlsplit(deployment.stack.all_outputs["HttpApiUrl"]).hostname or "").partition(".")[0]
    return f"{deployment.stack.cloud.endpoint_url}/_aws/execute-api/{api_id}/$default{path}"


def ask(deployment: Deployment, path: str, token: str = "") -> requests.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return requests.get(address(deployment, path), headers=headers, timeout=30)


def test_a_holder_of_a_token_of_the_issuer_is_answered(deployment: Deployment, issuer: Issuer) -> None:
    answer = ask(deployment, "/images", issuer.token())
    assert (answer.status_code, answer.json()) == (200, {"images": [], "after": None})
    assert ask(deployment, "/search?q=boat", issuer.token()).json()["images"] == []
    assert ask(deployment, "/images/czM6Ly9hL2I", issuer.token()).status_code == 404


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("expired", {"exp": 1_000_000_000}),
        ("of another issuer", {"iss": "https://issuer.example"}),
        ("for somebody else", {"aud": "another"}),
        ("for nobody", {"aud": None}),
    ],
)
def test_a_token_that_does_not_fit_is_refused(
    deployment: Deployment, issuer: Issuer, what: str, changes: dict[str, Any]
) -> None:
    assert ask(deployment, "/images", issuer.token(**changes)).status_code == 401, what


def test_a_forged_token_and_none_are_refused(deployment: Deployment, issuer: Issuer) -> None:
    with issuing() as another:
        forged = Issuer(issuer.url, another.key)
        assert ask(deployment, "/images", forged.token()).status_code == 401
    assert ask(deployment, "/images").status_code == 401
    assert ask(deployment, "/images", issuer.token()[:-8]).status_code == 401


def test_the_gallerys_page_is_there_for_everyone_and_shows_pictures_to_who_signs_in(deployment: Deployment) -> None:
    deployment.put("hosted/one.png", picture())
    prompt = deployment.until_described("hosted/one.png")["hosted/one.png"]["prompt"]
    chromium.needed()
    with chromium.launched() as browser:
        visits = Visits(browser)
        page = visits.visit(address(deployment, "/gallery"))
        page.get_by_role("button", name="Sign in").click()
        page.locator(".card", has_text="hosted/one.png").click()
        page.wait_for_function("() => document.getElementById('picture').naturalWidth > 0")
        assert page.locator("#prompt").inner_text() == prompt
        visits.close()


def test_a_stack_without_an_issuer_has_no_http_api(stack: Deployment) -> None:
    assert "HttpApiUrl" not in stack.stack.all_outputs
