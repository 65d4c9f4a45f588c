"""The HTTP API, which a stack has only with a token's issuer: whoever holds a token of that issuer is answered."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from tests import chromium
from tests.chromium import Visits
from tests.stack.conftest import Stacks
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture

AUDIENCE = "gallery"


@dataclass(frozen=True)
class Issuer:
    """Signs tokens, and serves the key that they are checked with."""

    url: str
    key: rsa.RSAPrivateKey

    def token(self, **changes: Any) -> str:
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": "somebody", "exp": int(time.time()) + 600} | changes
        signed = f"{_encoded({'alg': 'RS256', 'kid': 'one'})}.{_encoded(claims)}"
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), SHA256())
        return f"{signed}.{_base64(signature)}"


def _encoded(part: dict[str, Any]) -> str:
    return _base64(json.dumps(part).encode())


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer on this machine, as OpenID Connect describes one."""
    key = rsa.generate_private_key(65_537, 2_048)
    numbers = key.public_key().public_numbers()
    jwk = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one", "n": _number(numbers.n), "e": _number(numbers.e)}

    class Documents(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = f"http://127.0.0.1:{server.server_port}"
            documents = {
                "/.well-known/openid-configuration": {"issuer": url, "jwks_uri": f"{url}/keys"},
                "/keys": {"keys": [jwk]},
            }
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(documents[self.path]).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Documents)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield Issuer(f"http://127.0.0.1:{server.server_port}", key)
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as one:
        yield one


@pytest.fixture(scope="module")
def deployment(stacks: Stacks, issuer: Issuer) -> Deployment:
    return stacks.deploy("tokens", JwtIssuer=issuer.url, JwtAudience=AUDIENCE)


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


def test_the_gallerys_page_is_there_without_a_token_and_shows_pictures_with_one(
    deployment: Deployment, issuer: Issuer
) -> None:
    deployment.put("hosted/one.png", picture())
    prompt = deployment.until_described("hosted/one.png")["hosted/one.png"]["prompt"]
    chromium.needed()
    with chromium.launched() as browser:
        visits = Visits(browser)
        page = visits.visit(address(deployment, "/gallery"))
        page.get_by_label("Paste a token").fill("forged")
        page.get_by_role("button", name="Show the pictures").click()
        page.get_by_text("The API does not take this token").wait_for()
        page.get_by_label("Paste a token").fill(issuer.token())
        page.get_by_role("button", name="Show the pictures").click()
        page.locator(".card", has_text="hosted/one.png").click()
        page.wait_for_function("() => document.getElementById('picture').naturalWidth > 0")
        assert page.locator("#prompt").inner_text() == prompt
        visits.close()


def test_a_stack_without_an_issuer_has_no_http_api(stack: Deployment) -> None:
    assert "HttpApiUrl" not in stack.stack.all_outputs
