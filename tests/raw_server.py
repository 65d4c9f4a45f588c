"""A server that says exactly what a test tells it to, for what no proper server would say."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Lock, Semaphore, Thread

HOST = "127.0.0.1"

type Script = Callable[[socket.socket], None]


@dataclass
class RawServer:
    """What came to a server, each request as text."""

    url: str
    requests: list[str] = field(default_factory=list)
    connections: int = 0
    closed: Semaphore = field(default_factory=partial(Semaphore, 0))
    stopping: Event = field(default_factory=Event)

    def wait_for_close(self) -> None:
        """Wait until one more connection is closed from this side."""
        assert self.closed.acquire(timeout=5)

    def drip(self, connection: socket.socket, content: bytes, interval_s: float) -> None:
        """Send byte by byte until the test is over."""
        for place in range(len(content)):
            connection.sendall(content[place : place + 1])
            if self.stopping.wait(interval_s):
                return


def answer(body: bytes = b"", head: str = "HTTP/1.1 200 OK", length: int | None = None) -> bytes:
    """A whole answer, or one whose Content-Length is a lie."""
    return f"{head}\r\nContent-Length: {len(body) if length is None else length}\r\n\r\n".encode() + body


@contextmanager
def raw_server(say: Script | bytes, *, answers_per_connection: int = 1) -> Iterator[RawServer]:
    """Answer every request by `say`; each connection is closed after so many."""
    with socket.create_server((HOST, 0)) as listening:
        server = RawServer(url=f"http://{HOST}:{listening.getsockname()[1]}/v1/ideogram-describe")
        thread = Thread(target=_accept, args=(listening, server, say, answers_per_connection), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.stopping.set()
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def closed_port() -> int:
    """A port where nobody listens."""
    with socket.create_server((HOST, 0)) as listening:
        return int(listening.getsockname()[1])


def _accept(listening: socket.socket, server: RawServer, say: Script | bytes, answers: int) -> None:
    threads = []
    lock = Lock()
    with suppress(OSError):  # the end of the listening socket is the end of the server
        while True:
            connection, _ = listening.accept()
            server.connections += 1
            threads.append(Thread(target=_serve, args=(connection, server, say, answers, lock), daemon=True))
            threads[-1].start()
    for thread in threads:
        thread.join(5)


def _serve(connection: socket.socket, server: RawServer, say: Script | bytes, answers: int, lock: Lock) -> None:
    with connection, suppress(OSError):  # a caller that leaves early is what some tests are about
        connection.settimeout(5)
        for _ in range(answers):
            request = _read_request(connection)
            if not request:
                break
            with lock:
                server.requests.append(request)
            if callable(say):
                say(connection)
            else:
                connection.sendall(say)
    server.closed.release()


def _read_request(connection: socket.socket) -> str:
    content = b""
    while True:
        head, blank_line, body = content.partition(b"\r\n\r\n")
        if blank_line and len(body) >= _length(head):
            return content.decode()
        chunk = connection.recv(65_536)
        if not chunk:
            return ""
        content += chunk


def _length(head: bytes) -> int:
    for line in head.decode().splitlines():
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0
