"""What the hosted page needs to sign its visitors in with the issuer of their tokens.

The issuer's discovery document says where: https://openid.net/specs/openid-connect-discovery-1_0.html. It is fetched
here and not by the page, whose policy has to name beforehand where it may ask for a token.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError
from botocore.httpsession import URLLib3Session

from imagescribe.log import logger

TIMEOUT_SECONDS: Final = 3
RETRY_SECONDS: Final = 60.0
"""How soon the issuer is asked again that did not answer; meanwhile tokens are pasted."""

_ADDRESS: Final = re.compile(r"https://[^\s\"'<>;,]+|http://127\.0\.0\.1(:\d{1,5})?(/[^\s\"'<>;,]*)?")


def fetch(url: str) -> bytes:
    """Return what is under an address of the issuer's."""
    answer: Any = URLLib3Session(timeout=TIMEOUT_SECONDS).send(AWSRequest("GET", url).prepare())
    return bytes(answer.content)


@dataclass(frozen=True, slots=True)
class Way:
    """How one signs in: OpenID Connect's authorization code with PKCE.

    Attributes
    ----------
    token
        Which of the tokens that the issuer gives the API takes.
    """

    authorization_endpoint: str
    token_endpoint: str
    client_id: str
    token: str

    @property
    def origin(self) -> str:
        """Where the page asks for a token."""
        scheme, host, *_ = urlsplit(self.token_endpoint)
        return f"{scheme}://{host}"


class SignIn:
    """The way to sign in, where the page is a client of the issuer's.

    Parameters
    ----------
    client_id
        The page's, with the issuer; empty where tokens are pasted.
    audience
        Whom the tokens that the API takes are for. An ID token is for the client itself.
    """

    def __init__(
        self,
        issuer: str,
        client_id: str,
        audience: str,
        fetch: Callable[[str], bytes] = fetch,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuer = issuer
        self._client_id = client_id
        self._token = "id_token" if client_id == audience else "access_token"
        self._fetch = fetch
        self._clock = clock
        self._way: Way | None = None
        self._asked_at = float("-inf")

    @property
    def origins(self) -> list[str]:
        """Where the page has to be let ask, besides its own server."""
        way = self.way()
        return [way.origin] if way else []

    def document(self) -> dict[str, str]:
        """Return what the page has to know; nothing where tokens are pasted."""
        way = self.way()
        return asdict(way) if way else {}

    def way(self) -> Way | None:
        """Return the way to sign in; None where there is none, or the issuer does not tell it now."""
        if not self._way and self._issuer and self._client_id and self._clock() - self._asked_at >= RETRY_SECONDS:
            self._asked_at = self._clock()
            try:
                self._way = self._discover()
            except (BotoCoreError, ValueError, KeyError, TypeError):
                logger.exception("the issuer does not tell how to sign in", extra={"issuer": self._issuer})
        return self._way

    def _discover(self) -> Way:
        said = json.loads(self._fetch(f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"))
        if said["issuer"] != self._issuer:
            raise ValueError(f"the document is of another issuer: {said['issuer']!r}")
        way = Way(said["authorization_endpoint"], said["token_endpoint"], self._client_id, self._token)
        for address in (way.authorization_endpoint, way.token_endpoint):
            if not _ADDRESS.fullmatch(address):  # it becomes part of the page's policy
                raise ValueError(f"{address!r} is no address to sign in at")
        return way
