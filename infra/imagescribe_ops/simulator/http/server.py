"""The simulator where it listens.

A thread for each connection: what a call mostly does is wait, and a waiting thread costs a few kilobytes. The server
listens on 127.0.0.1 only, so the control API under ``/_simulator/`` has no guard. With a certificate it listens on a
second port over TLS, as the real endpoint does.
"""

import socket
import ssl
import sys
from collections.abc import Callable
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any, Self, override

from imagescribe_ops.contract.requests import DESCRIBE_PATH
from imagescribe_ops.simulator.endpoint import DescribeEndpoint
from imagescribe_ops.simulator.http.handler import Handler
from imagescribe_ops.simulator.settings import SimulatorSettings

HOST = "127.0.0.1"


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
        self._stopping = Event()
        self._endpoint = DescribeEndpoint(settings, self._stopping.wait)
        handler = partial(Handler, self._endpoint, self._stopping)
        self._servers = [_Server(port, handler)]
        if tls:
            self._servers.append(_Server(0, handler, tls))
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
        self._stopping.set()
        for server, thread in zip(self._servers, self._threads, strict=True):
            if thread.is_alive():
                server.shutdown()
            server.server_close()
            server.hang_up()
        self._endpoint.close()

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

    def __init__(self, port: int, handler: Callable[..., Handler], tls: ssl.SSLContext | None = None) -> None:
        super().__init__((HOST, port), handler)
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
