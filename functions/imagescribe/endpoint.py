"""The describe endpoint, called over HTTP.

Nothing is tried again here: a call may be billed, so whether there is another is decided where attempts are counted.
Redirects are not followed, since ``requests`` would carry the key in ``x-api-key`` to whatever host they name.
"""

import time
from collections.abc import Callable
from ssl import SSLCertVerificationError
from threading import Lock
from typing import Any, Final, override
from urllib.parse import urljoin, urlsplit

import requests
from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.util.ssl_ import create_urllib3_context

from imagescribe.model.answers import (
    PRICE_USD,
    AccountFault,
    Answer,
    Description,
    Rejected,
    Transient,
    classify,
    cost_usd,
    is_spent,
    number,
)
from imagescribe.model.text import clean, redact
from imagescribe.model.times import iso_utc

CONNECT_TIMEOUT_SECONDS: Final = 5.0
ANSWER_TIMEOUT_SECONDS: Final = 60.0
"""From the request to the last byte. Generous: an answer that comes after the time-out is paid for and not seen."""

MAX_BODY_BYTES: Final = 65_536
"""More is not read. An item of DynamoDB holds 400 KB, an event of EventBridge 256 KB; what is no UTF-8 becomes three
times as long."""

MAX_NAME_LENGTH: Final = 200
"""Of a request's id and of a model."""


class _TlsAdapter(HTTPAdapter):
    """One that reads the file of authorities once, at its first call; ``requests`` reads it for each connection.

    That takes longer than the handshake, and the first batch of a process makes ten connections at once.
    """

    def __init__(self, connections: int) -> None:
        self._context = create_urllib3_context()
        self._first_call = Lock()
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0)

    @override
    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options, ssl_context=self._context)

    @override
    def cert_verify(self, conn: Any, url: str, verify: bool | str, cert: object) -> None:
        with self._first_call:
            if not self._context.cert_store_stats()["x509"]:
                self._context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
        conn.cert_reqs = "CERT_REQUIRED"


class Endpoint:
    """The describe endpoint at one URL.

    Parameters
    ----------
    connections
        How many calls are made side by side.
    answer_timeout_seconds
        None for ANSWER_TIMEOUT_SECONDS.
    price_usd
        What a call costs.
    clock
        Epoch seconds.
    """

    def __init__(
        self,
        url: str,
        connections: int,
        answer_timeout_seconds: float | None = None,
        price_usd: float = PRICE_USD,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        # Each of Segmind's models has a path of its own.
        self._model = urlsplit(url).path.rstrip("/").rpartition("/")[2]
        self._answer_timeout_seconds = answer_timeout_seconds or ANSWER_TIMEOUT_SECONDS
        self._price_usd = price_usd
        self._clock = clock
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no .netrc of the machine comes between
        self._session.mount("https://", _TlsAdapter(connections))
        self._session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=connections, max_retries=0))

    def describe(self, image_url: str, api_key: str) -> Answer:
        """Ask for the prompt of the image at a presigned URL. A call that is answered with 200 costs money."""
        started = self._clock()
        deadline = started + self._answer_timeout_seconds
        try:
            response, body, whole = self._request("POST", self._url, api_key, deadline, {"image_file": image_url})
        except requests.ConnectTimeout:
            return Transient("no connection to the endpoint in time")
        except requests.Timeout:
            return Transient(f"no answer within {self._answer_timeout_seconds:g} s", may_be_billed=True)
        except requests.RequestException as error:
            # The text of a requests error can name the URL and is of no use to a reader; its class tells enough.
            return Transient(f"the connection failed ({_innermost(error).__name__})", may_be_billed=_was_sent(error))
        if response.status_code == 200:
            if not whole and not body:
                return Transient("200, but the body broke off before its first byte", may_be_billed=True)
            latency_seconds = number(response.headers.get("x-generation-time"))
            now = self._clock()
            return Description(
                body=body,
                cost_usd=cost_usd(response.headers.get("x-cost"), self._price_usd),
                latency_seconds=round(latency_seconds if 0 <= latency_seconds < 1e6 else now - started, 6),
                request_id=_name(response, "x-request-id", api_key),
                described_at=iso_utc(now),
                model=_name(response, "x-model", api_key) or self._model or None,
            )
        answer = classify(response.status_code, response.headers, body, self._clock(), self._price_usd)
        if response.status_code == 406 and isinstance(answer, Rejected):
            match self._balance_is_spent(api_key, deadline):
                case True:
                    return AccountFault(answer.detail)
                case None:
                    return Transient(f"{answer.detail} (and the balance could not be looked up)")
        return answer

    def _balance_is_spent(self, api_key: str, deadline: float) -> bool | None:
        """Look the balance up, since a 406 did not say whether it is for want of credits. None where it is unknown."""
        try:
            response, body, whole = self._request("GET", urljoin(self._url, "get-user-credits"), api_key, deadline)
        except requests.RequestException:
            return None
        return is_spent(body, self._price_usd) if whole and response.status_code == 200 else None

    def _request(
        self, method: str, url: str, api_key: str, deadline: float, content: dict[str, str] | None = None
    ) -> tuple[requests.Response, str, bool]:
        """Return a response, its body as far as it came until the deadline, and whether that is the whole."""
        left_seconds = max(deadline - self._clock(), 0.001)
        with self._session.request(
            method,
            url,
            json=content,
            headers={"x-api-key": api_key, "accept": "application/json"},
            timeout=(min(CONNECT_TIMEOUT_SECONDS, left_seconds), left_seconds),
            allow_redirects=False,
            stream=True,
        ) as response:
            body, whole = _read_body(response, deadline, self._clock)
        return response, redact(body.decode("utf-8", errors="replace"), api_key), whole


def _read_body(response: requests.Response, deadline: float, clock: Callable[[], float]) -> tuple[bytes, bool]:
    """Read at most MAX_BODY_BYTES until the deadline; say whether that was the whole body.

    A body that breaks off is kept as far as it came: with status 200 it is billed all the same.
    """
    body = bytearray()
    while len(body) < MAX_BODY_BYTES and clock() < deadline:
        try:
            chunk = response.raw.read1(65_536, decode_content=True)
        except (HTTPError, OSError):
            return bytes(body), False
        if not chunk:
            return bytes(body), True
        body += chunk
    return bytes(body[:MAX_BODY_BYTES]), False


def _name(response: requests.Response, header: str, api_key: str) -> str | None:
    """Return what a header names, without secrets."""
    said = response.headers.get(header)
    return said and clean(redact(said, api_key))[:MAX_NAME_LENGTH]


def _was_sent(error: requests.RequestException) -> bool:
    """Whether the request may have reached the endpoint before the connection failed."""
    reason = getattr(error.args[0] if error.args else None, "reason", None)
    was_connected = not isinstance(reason, NewConnectionError) and _innermost(error) is not SSLCertVerificationError
    return was_connected and isinstance(error, requests.ConnectionError)


def _innermost(error: BaseException) -> type[BaseException]:
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return type(error)
