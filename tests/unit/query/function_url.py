"""A Function URL on this machine: HTTP in, events of payload format 2.0 out to a handler."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import unquote

type Handler = Callable[[dict[str, Any]], dict[str, Any]]


def event(path: str, query: str = "", method: str = "GET", **headers: str) -> dict[str, Any]:
    """What Lambda invokes the function with: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {"http": {"method": method, "path": path}, "stage": "$default"},
        "isBase64Encoded": False,
    }


@contextmanager
def serving(handler: Handler) -> Iterator[str]:
    """Serve a handler under the address that the emulator gives a Function URL; yields the emulator's own address."""
    lock = Lock()  # an environment of Lambda answers one request at a time

    class Requests(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            with lock:
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = handler(event(unquote(path.removeprefix("/_aws/lambda-url/abc")), query, **headers))
            self.send_response(answer["statusCode"])
            for name, value in answer["headers"].items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write((answer["body"] or "").encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def body(answer: dict[str, Any]) -> Any:
    """Return the JSON of an answer."""
    return json.loads(answer["body"])
