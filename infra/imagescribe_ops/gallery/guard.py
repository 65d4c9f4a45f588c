"""Who may ask the gallery: the browser that opened the address with the token, and only the gallery's own page in it.

Any page that the user visits can send requests to 127.0.0.1. Three things keep such a page out:

- the `Host` header must be the gallery's address, so a name that was rebound to 127.0.0.1 gets nothing;
- a random token in the opened address becomes a cookie that no other site's request carries and no script reads;
- where the browser says who asks (`Sec-Fetch-Site`, `Origin`), it must be the gallery's own page. A page on another
  port of this machine is the same *site*, though not the same *origin*: the cookie alone would not keep it out.
"""

from __future__ import annotations

import secrets
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from imagescribe.query.page import security

TOKEN_BYTES: Final = 32

_SECURITY: Final = security()
_FROM_OUR_PAGE: Final = frozenset({"same-origin", "none"})
_WRITES: Final = frozenset({"POST"})


class Guard:
    """An ASGI application that lets only the gallery's own page through to another one.

    Parameters
    ----------
    host
        ``127.0.0.1:PORT``.
    once
        Another token, which opens the gallery once.
    """

    def __init__(self, app: ASGIApp, host: str, token: str, once: str) -> None:
        self._app = app
        self._host = host
        self._token = token
        self._once = {once}
        self._cookie = f"imagescribe-gallery-{host.rpartition(':')[2]}"  # a browser's cookies don't know ports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            return

        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_SECURITY)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._refusal(HTTPConnection(scope), scope["method"])
        await (answer or self._app)(scope, receive, send_secured)

    def _refusal(self, request: HTTPConnection, method: str) -> Response | None:
        if request.headers.get("host") != self._host:
            return PlainTextResponse("This is not the gallery's address.\n", 421)
        given = request.query_params.get("token")
        if request.url.path == "/" and given is not None and (self._is_token(given) or self._is_first(given)):
            answer = RedirectResponse("/", 303)  # so that the token stays in no history and no bookmark
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="strict")
            return answer
        if not self._is_token(request.cookies.get(self._cookie, "")):
            return PlainTextResponse("Open the address that `imagescribe gallery` printed, with its token.\n", 403)
        if not self._is_from_our_page(request.headers, method):
            return PlainTextResponse("Only the gallery's own page may ask this.\n", 403)
        return None

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "replace"), self._token.encode())

    def _is_first(self, given: str) -> bool:
        # Of no use to time: it is looked up by its hash, and gone after its first use.
        is_first = given in self._once
        self._once.discard(given)
        return is_first

    def _is_from_our_page(self, headers: Headers, method: str) -> bool:
        origin = headers.get("origin")
        if origin is None and method in _WRITES:
            return False
        return origin in (None, f"http://{self._host}") and headers.get("sec-fetch-site", "none") in _FROM_OUR_PAGE
