"""The way to sign in is the issuer's own, or none: what it says can't loosen the page's policy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from imagescribe.query.sign_in import SignIn
from tests.factories import Clock

ISSUER = "https://issuer.example/tenant/"
SAYS = {
    "issuer": ISSUER,
    "authorization_endpoint": "https://issuer.example/tenant/authorize",
    "token_endpoint": "https://tokens.example:8443/tenant/token",
}


class Issuer:
    """Says what it is told to, or nothing."""

    def __init__(self, **changes: Any) -> None:
        self.says: Any = SAYS | changes
        self.asked: list[str] = []

    def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if self.says is None:
            raise EndpointConnectionError(endpoint_url=url)
        return self.says if isinstance(self.says, bytes) else json.dumps(self.says).encode()


def test_the_issuers_document_says_where_one_signs_in_and_is_asked_for_once() -> None:
    issuer = Issuer()
    sign_in = SignIn(ISSUER, "gallery", "gallery", issuer.fetch)
    assert sign_in.document() == {
        "authorization_endpoint": SAYS["authorization_endpoint"],
        "token_endpoint": SAYS["token_endpoint"],
        "client_id": "gallery",
        "token": "id_token",
    }
    assert sign_in.origins == ["https://tokens.example:8443"]
    assert issuer.asked == ["https://issuer.example/tenant/.well-known/openid-configuration"]


def test_an_api_of_another_audience_than_the_page_takes_the_access_token() -> None:
    assert SignIn(ISSUER, "gallery", "https://api.example", Issuer().fetch).document()["token"] == "access_token"


def test_without_a_client_nobody_is_asked() -> None:
    issuer = Issuer()
    sign_in = SignIn(ISSUER, "", "gallery", issuer.fetch)
    assert (sign_in.document(), sign_in.origins, issuer.asked) == ({}, [], [])


@pytest.mark.parametrize(
    "says",
    [
        None,
        b"<html>",
        [],
        {},
        SAYS | {"issuer": "https://issuer.example"},
        SAYS | {"token_endpoint": "https://tokens.example; script-src *"},
        SAYS | {"token_endpoint": "https://tokens.example *"},
        SAYS | {"token_endpoint": "http://tokens.example"},
        SAYS | {"token_endpoint": 5},
        SAYS | {"authorization_endpoint": "javascript:alert(1)"},
    ],
    ids=repr,
)
def test_where_the_issuer_does_not_tell_tokens_are_pasted_until_it_does(says: Any, clock: Clock) -> None:
    issuer = Issuer()
    issuer.says = says
    sign_in = SignIn(ISSUER, "gallery", "gallery", issuer.fetch, clock)
    assert (sign_in.document(), sign_in.origins) == ({}, [])
    assert len(issuer.asked) == 1
    issuer.says = SAYS
    assert sign_in.document() == {}
    clock.sleep(60)
    assert sign_in.document()["client_id"] == "gallery"
