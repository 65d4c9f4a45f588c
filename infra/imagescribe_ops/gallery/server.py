"""The gallery, served to this machine alone, from a thread."""

from __future__ import annotations

import secrets
import socket
from threading import Thread
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

import uvicorn

from imagescribe_ops.errors import OperationError
from imagescribe_ops.gallery.guard import TOKEN_BYTES, Guard
from imagescribe_ops.gallery.routes import Routes

if TYPE_CHECKING:
    from imagescribe_ops.operations import Operations

_STOP_S: Final = 5.0


class RunningGallery:
    """A gallery that listens on 127.0.0.1, from entering the context until leaving it.

    Attributes
    ----------
    url
        What to open. It holds the token, without which nothing is answered.
    url_once
        The same for a browser that is started with it: other users of the machine can see what it is started with, so
        its token is good for one time.

    Raises
    ------
    OperationError
        It can't listen there, or the stack has no query function.
    """

    def __init__(self, operations: Operations, port: int = 0) -> None:
        routes = Routes(operations)
        try:
            self._socket = socket.create_server(("127.0.0.1", port), backlog=128)
        except OSError as error:
            raise OperationError(
                f"Nothing can listen on 127.0.0.1:{port}: {error.strerror}.",
                "Choose another --port, or 0 for a free one.",
            ) from error
        host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        token = secrets.token_urlsafe(TOKEN_BYTES)
        once = secrets.token_urlsafe(TOKEN_BYTES)
        self.url, self.url_once = (f"http://{host}/?token={each}" for each in (token, once))
        self._server = uvicorn.Server(
            uvicorn.Config(
                Guard(routes.application(), host, token, once),
                http="h11",
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_level="critical",  # its own lines would show the token
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=0,
            )
        )
        self._thread = Thread(target=lambda: self._server.run(sockets=[self._socket]), name="gallery", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_STOP_S)
        self._socket.close()
