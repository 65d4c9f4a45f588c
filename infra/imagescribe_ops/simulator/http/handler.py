"""One connection's requests: routes, and answers written whole, dripping, or not at all."""

import select
import socket
import time
from http.server import BaseHTTPRequestHandler
from threading import Event
from typing import Any, override
from urllib.parse import parse_qs, urlsplit

from imagescribe_ops.contract import answers
from imagescribe_ops.contract.answers import Answer
from imagescribe_ops.contract.requests import MAX_REQUEST_BYTES, DescribeRequest, Route, route
from imagescribe_ops.simulator.endpoint import DescribeEndpoint
from imagescribe_ops.simulator.faults import Drip, Ending, Manner
from imagescribe_ops.simulator.http.control import control

_CONTROL_PATH = "/_simulator"
_ENDLESS_CHUNK = b"and on and on, " * 4096
_WHOLE = Manner()
# How soon a call that waits or hangs notices that its caller has left.
_LOOK_S = 0.2


class _BadRequestError(Exception):
    """A request that can't be read; the connection is closed after the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.because)
        self.answer = answer


class Handler(BaseHTTPRequestHandler):
    """One connection.

    Parameters
    ----------
    endpoint
        Decides what calls are answered.
    stopping
        Set when the simulator stops.
    """

    protocol_version = "HTTP/1.1"
    server_version = "imagescribe-simulator"
    sys_version = ""
    disable_nagle_algorithm = True
    # Idle connections are kept about as long as a load balancer keeps them.
    timeout = 75

    def __init__(self, endpoint: DescribeEndpoint, stopping: Event, *connection: Any) -> None:
        self._endpoint = endpoint
        self._stopping = stopping
        super().__init__(*connection)  # and answers, until the connection ends

    def do_GET(self) -> None:
        """Answer the balance, the control API, and 405 where a POST belongs."""
        self._route()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_GET

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: the journal has what may be known."""

    def _route(self) -> None:
        path = urlsplit(self.path).path.rstrip("/")
        try:
            body = self._body()
        except _BadRequestError as error:
            self.close_connection = True
            self._send(error.answer)
            return
        if path.startswith(f"{_CONTROL_PATH}/"):
            since = parse_qs(urlsplit(self.path).query).get("since", ["0"])[0]
            self._send(control(self._endpoint, self.command, path.removeprefix(f"{_CONTROL_PATH}/"), since, body))
            return
        match route(self.command, path):
            case Route.DESCRIBE:
                self._describe(body)
            case Route.BALANCE:
                self._send(self._endpoint.balance(self.headers["x-api-key"]))
            case Answer() as answer:
                self._send(answer)

    def _body(self) -> bytes:
        """Read the request's body whole."""
        if "Transfer-Encoding" in self.headers:
            raise _BadRequestError(answers.error(411, "length", "Send a Content-Length"))
        text = self.headers.get("Content-Length", "0")
        if not (text.isascii() and text.isdigit()):
            raise _BadRequestError(answers.error(400, "length", "Content-Length is not a number"))
        length = int(text)
        if length > MAX_REQUEST_BYTES:
            raise _BadRequestError(answers.error(413, "length"))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionResetError("the caller left before its request was whole")
        return body

    # The endpoint

    def _describe(self, body: bytes) -> None:
        request = DescribeRequest(self.headers["x-api-key"], self.headers.get("Content-Type", ""), body)
        call = self._endpoint.begin(request)
        answer, gone = answers.error(500, "a bug in the simulator"), True
        try:
            answer = self._endpoint.answer(call)
            if call.manner.is_whole:
                # Before the answer goes out: whoever has it finds its call in the journal.
                self._endpoint.end(call, answer, client_gone=self._has_gone())
            gone = self._deliver(answer, call.manner, call.settings.hang_s)
        finally:
            self._endpoint.end(call, answer, client_gone=gone)

    def _deliver(self, answer: Answer, manner: Manner, hang_s: float) -> bool:
        """Send the answer, or fail to on purpose; say whether the caller had gone before that was done."""
        if manner.ending is Ending.HANG:
            until = time.monotonic() + hang_s
            while not (self._has_gone() or self._stopping.is_set()) and (left := until - time.monotonic()) > 0:
                self._stopping.wait(min(_LOOK_S, left))
        gone = self._has_gone()
        if manner.ending is not Ending.ANSWER or self._stopping.is_set():
            self.close_connection = True
            return gone
        try:
            self._send(answer, manner)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
            return True
        return gone

    def _has_gone(self) -> bool:
        """Look whether the caller has closed its side: the end of the stream can be read then."""
        # Polled first: a socket with a time-out waits for bytes, whatever the flags of recv say.
        poll = select.poll()
        try:
            poll.register(self.connection, select.POLLIN)
            # A socket's own recv, since one of TLS can't peek; the end of its stream is the same.
            return bool(poll.poll(0)) and not socket.socket.recv(self.connection, 1, socket.MSG_PEEK)
        except (OSError, ValueError):
            return True

    # Writing

    def _send(self, answer: Answer, manner: Manner = _WHOLE) -> None:
        """Write an answer, in one piece unless it drips or is endless."""
        headers = {
            "Server": self.server_version,
            "Date": self.date_time_string(),
            "Content-Type": answer.content_type,
        }
        if manner.endless_bytes:
            headers["Transfer-Encoding"] = "chunked"
        else:
            headers["Content-Length"] = str(len(answer.body))
        headers |= answer.headers
        if self.close_connection:
            headers["Connection"] = "close"
        phrase = self.responses.get(answer.status, ("Unknown",))[0]
        lines = [
            f"{self.protocol_version} {answer.status} {phrase}",
            *(f"{key}: {text}" for key, text in headers.items()),
        ]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1", errors="replace")
        body = b"" if self.command == "HEAD" else answer.body
        if manner.endless_bytes:
            self.wfile.write(head)
            self._send_endless(body, manner.endless_bytes)
        elif manner.drip is Drip.NONE:
            self.wfile.write(head + body)
        else:
            slow_head = manner.drip is Drip.HEADERS
            self._drip(head, manner.drip_interval_s if slow_head else 0)
            self._drip(body, 0 if slow_head else manner.drip_interval_s)

    def _drip(self, content: bytes, interval_s: float) -> None:
        if not interval_s:
            self.wfile.write(content)
            return
        for place in range(len(content)):
            self.wfile.write(content[place : place + 1])
            if self._stopping.wait(interval_s):
                raise ConnectionAbortedError("the simulator stops")

    def _send_endless(self, body: bytes, left: int) -> None:
        self._send_chunk(body)
        while left > 0 and not self._stopping.is_set():
            self._send_chunk(_ENDLESS_CHUNK[:left])
            left -= len(_ENDLESS_CHUNK)
        self._send_chunk(b"")

    def _send_chunk(self, chunk: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
