"""A loopback proxy between the functions and the emulator that throttles and fails as DynamoDB and S3 do.

Requests are passed on as they came, the `Host` header with them, since the signature covers it.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Final, override
from urllib.parse import parse_qs, urlsplit

LOOPBACK: Final = "127.0.0.1"
PASS_SECONDS: Final = 30.0
_NOT_PASSED_ON: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class Weather(StrEnum):
    """What becomes of a request."""

    THROTTLED = "throttled"
    FAILED = "failed"
    FAILED_AFTERWARDS = "done, answered 5xx"  # carried out, though the answer says otherwise


@dataclass(frozen=True, slots=True)
class Operation:
    """What a request asks of which service, such as `dynamodb UpdateItem`."""

    service: str
    name: str

    def __str__(self) -> str:
        return f"{self.service} {self.name}"


type Odds = Mapping[str, float]
"""The probability of any fault by the text of an operation (`dynamodb UpdateItem`), or of a service (`s3`)."""


class Proxy:
    """The proxy; use it as a context manager.

    Attributes
    ----------
    struck
        How many requests met a fault, by operation and fault.
    """

    def __init__(self, target_port: int, seed: int) -> None:
        self.target_port = target_port
        self.struck: Counter[str] = Counter()
        self._odds: Odds = {}
        self._random = Random(seed)
        self._lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"proxy": self})
        self._server = ThreadingHTTPServer((LOOPBACK, 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def set_odds(self, odds: Odds) -> None:
        """Decide what comes from now on; an empty mapping lets everything pass."""
        with self._lock:
            self._odds = dict(odds)

    def draw(self, operation: Operation) -> Weather | None:
        """Decide what becomes of a request."""
        with self._lock:
            chance = self._odds.get(str(operation), self._odds.get(operation.service, 0.0))
            if self._random.random() >= chance:
                return None
            weather = self._random.choice(list(Weather))
            self.struck[f"{operation} {weather}"] += 1
            return weather

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    proxy: Proxy

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        operation = operation_of(self.command, self.path, self.headers.get("x-amz-target", ""))
        weather = self.proxy.draw(operation)
        if weather in (Weather.THROTTLED, Weather.FAILED):
            self._refuse(operation, weather)
            return
        status, headers, answer = self._forward(body)
        if weather is Weather.FAILED_AFTERWARDS and status < 300:
            self._refuse(operation, weather)
            return
        self._answer(status, headers, answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _pass

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        # A connection for each request: one that is kept may be closed by the other side just when it is used again.
        upstream = http.client.HTTPConnection(LOOPBACK, self.proxy.target_port, timeout=PASS_SECONDS)
        with closing(upstream):
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in _NOT_PASSED_ON:
                    upstream.putheader(name, value)
            upstream.putheader("Content-Length", str(len(body)))
            upstream.endheaders(body)
            response = upstream.getresponse()
            return response.status, response.getheaders(), response.read()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length":
                length = value  # of a HEAD it is the object's, without a body
            elif name.lower() not in _NOT_PASSED_ON:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        with suppress(ConnectionError):  # whoever asked does not wait for it any longer
            self.end_headers()
            self.wfile.write(body)

    def _refuse(self, operation: Operation, weather: Weather) -> None:
        status, content_type, body = refusal(operation, weather)
        self._answer(status, [("Content-Type", content_type)], b"" if self.command == "HEAD" else body)

    @override
    def log_message(self, format: str, *args: object) -> None:
        pass


def operation_of(method: str, path: str, target: str) -> Operation:
    """Say what a request asks for; the target is that of the `X-Amz-Target` header."""
    if target:
        service, _, name = target.partition(".")
        return Operation(service.partition("_")[0].lower(), name)
    query = parse_qs(urlsplit(path).query, keep_blank_values=True)
    if "X-Amz-Signature" in query:
        return Operation("presigned", "GetObject")  # the endpoint's, not a function's
    return Operation("s3", f"{method.title()}Object{'Tagging' if 'tagging' in query else ''}")


def refusal(operation: Operation, weather: Weather) -> tuple[int, str, bytes]:
    """Return status, content type and body of what a service answers when it throttles or fails."""
    if operation.service == "dynamodb":
        status, code = 500, "InternalServerError"
        if weather is Weather.THROTTLED:
            status, code = 400, "ProvisionedThroughputExceededException"
        body = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "injected"}
        return status, "application/x-amz-json-1.0", json.dumps(body).encode()
    status, code = (503, "SlowDown") if weather is Weather.THROTTLED else (500, "InternalError")
    xml = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>injected</Message></Error>'
    return status, "application/xml", xml.encode()
