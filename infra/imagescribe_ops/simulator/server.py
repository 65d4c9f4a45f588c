"""The simulator's HTTP: routes, the control API, and answers written whole, dripping, or not at all.

A thread for each connection: what a call mostly does is wait, and a waiting thread costs a few kilobytes. The server
listens on 127.0.0.1 only, so the control API under ``/_simulator/`` has no guard. With a certificate it listens on a
second port over TLS, as the real endpoint does.
"""

import select
import socket
import ssl
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self, override
from urllib.parse import parse_qs, urlsplit

from imagescribe_ops.contract import answers
from imagescribe_ops.contract.answers import Answer
from imagescribe_ops.contract.requests import DESCRIBE_PATH, MAX_REQUEST_BYTES, DescribeRequest, Route, route
from imagescribe_ops.simulator.control import control
from imagescribe_ops.simulator.endpoint import DescribeEndpoint
from imagescribe_ops.simulator.faults import Drip, Ending, Manner
from imagescribe_ops.simulator.settings import SimulatorSettings

HOST = "127.0.0.1"
CONTROL_PATH = "/_simulator"
_ENDLESS_CHUNK = b"and on and on, " * 4096
_WHOLE = Manner()
# How soon a call that waits or hangs notices that its caller has left.
_LOOK_S = 0.2


class Simulator:
    """The simulator in this process: listens from `start`, or from entering the context, until `stop`.

    Parameters
    ----------
    settings
        At the start, and after each reset.
    port
        0 for any free one.
    certificate
        A PEM file of a certificate for 127.0.0.1, those that vouch for it, and its key; None for no TLS.
    """

    def __init__(self, settings: SimulatorSettings, port: int = 0, certificate: Path | None = None) -> None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH) if certificate else None
        if tls and certificate:
            tls.load_cert_chain(certificate)
        self.stopping = Event()
        self.endpoint = DescribeEndpoint(settings, self.stopping.wait)
        self._servers = [_Server((HOST, port), _Handler, self)]
        if tls:
            self._servers.append(_Server((HOST, 0), _Handler, self, tls))
        # The poll is how long `stop` takes at most; it does not delay requests.
        self._threads = [
            Thread(target=server.serve_forever, args=(0.1,), name="simulator", daemon=True) for server in self._servers
        ]

    @property
    def url(self) -> str:
        """Where the simulator listens."""
        return self._servers[0].url

    @property
    def describe_url(self) -> str:
        """The endpoint's own URL, over TLS where there is a certificate."""
        return self._servers[-1].url + DESCRIBE_PATH

    def start(self) -> Self:
        """Begin to answer."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Stop: connections are closed, and new ones refused."""
        self.stopping.set()
        for server, thread in zip(self._servers, self._threads, strict=True):
            if thread.is_alive():
                server.shutdown()
            server.server_close()
            server.hang_up()
        self.endpoint.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    """The listening socket and the open connections."""

    daemon_threads = True
    block_on_close = False
    # A burst of uploads opens many connections at once; the default of 5 would make them wait for a second.
    request_queue_size = 1024
    # Two simulators on one port would share the calls between them and each miss half.
    allow_reuse_port = False

    def __init__(
        self,
        address: tuple[str, int],
        handler: type["_Handler"],
        simulator: Simulator,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(address, handler)
        self.simulator = simulator
        self.url = f"{'https' if tls else 'http'}://{HOST}:{self.server_port}"
        self._tls = tls
        self._open: set[socket.socket] = set()
        self._lock = Lock()

    @override
    def server_bind(self) -> None:
        # Past HTTPServer's own, which asks the resolver for this machine's name and may wait for it.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]

    @override
    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self._tls:
            # Hands are shaken at the first read, in the connection's own thread: nobody else waits for it.
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    @override
    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        with self._lock:
            self._open.add(_stream(request))
        super().process_request(request, client_address)

    @override
    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        with self._lock:
            self._open.discard(_stream(request))
        super().shutdown_request(request)

    @override
    def handle_error(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Tell of a bug by its kind and place: a message might hold a URL or a key."""
        kind, error, trace = sys.exc_info()
        if kind is None or isinstance(error, ConnectionError | TimeoutError | ssl.SSLError):
            return
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "an unknown place"
        sys.stderr.write(f"simulator: {kind.__name__} at {place}\n")

    def hang_up(self) -> None:
        """Shut the open connections; their threads close them."""
        with self._lock:
            still_open = list(self._open)
        for connection in still_open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # It went by itself.


def _stream(request: socket.socket | tuple[bytes, socket.socket]) -> socket.socket:
    """Give the connection; the other half of the union is socketserver's for datagrams."""
    return request if isinstance(request, socket.socket) else request[1]


class _BadRequestError(Exception):
    """A request that can't be read; the connection is closed after the answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.because)
        self.answer = answer


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "imagescribe-simulator"
    sys_version = ""
    disable_nagle_algorithm = True
    # Idle connections are kept about as long as a load balancer keeps them.
    timeout = 75
    server: _Server

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
        if path.startswith(f"{CONTROL_PATH}/"):
            since = parse_qs(urlsplit(self.path).query).get("since", ["0"])[0]
            self._send(control(self._endpoint, self.command, path.removeprefix(f"{CONTROL_PATH}/"), since, body))
            return
        match route(self.command, path):
            case Route.DESCRIBE:
                self._describe(body)
            case Route.BALANCE:
                self._send(self._endpoint.balance(self.headers["x-api-key"]))
            case Answer() as answer:
                self._send(answer)

    @property
    def _endpoint(self) -> DescribeEndpoint:
        return self.server.simulator.endpoint

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
            while not (self._has_gone() or self._stopping()) and (left := until - time.monotonic()) > 0:
                self.server.simulator.stopping.wait(min(_LOOK_S, left))
        gone = self._has_gone()
        if manner.ending is not Ending.ANSWER or self._stopping():
            self.close_connection = True
            return gone
        try:
            self._send(answer, manner)
        except (ConnectionError, TimeoutError):
            self.close_connection = True
            return True
        return gone

    def _stopping(self) -> bool:
        return self.server.simulator.stopping.is_set()

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
        stopping = self.server.simulator.stopping
        for place in range(len(content)):
            self.wfile.write(content[place : place + 1])
            if stopping.wait(interval_s):
                raise ConnectionAbortedError("the simulator stops")

    def _send_endless(self, body: bytes, left: int) -> None:
        self._send_chunk(body)
        while left > 0 and not self._stopping():
            self._send_chunk(_ENDLESS_CHUNK[:left])
            left -= len(_ENDLESS_CHUNK)
        self._send_chunk(b"")

    def _send_chunk(self, chunk: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
