"""The gateway's HTTP: Starlette reads and writes, and uvicorn serves it from a thread."""

import asyncio
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from types import TracebackType
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route as Path

from imagescribe_ops.contract import answers
from imagescribe_ops.contract.answers import Answer
from imagescribe_ops.contract.requests import DESCRIBE_PATH, MAX_REQUEST_BYTES, DescribeRequest, Route, route
from imagescribe_ops.gateway.gateway import Call, Gateway
from imagescribe_ops.gateway.settings import GatewaySettings

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
# A load balancer's usual time: a connection that a caller kept must not be closed under its next request.
_KEEP_ALIVE_S = 75
_STOP_S = 5.0


class RunningGateway:
    """A gateway that listens, from entering the context until leaving it.

    Parameters
    ----------
    host, port
        Where; port 0 is any free one. Without TLS: what is open to others belongs behind a proxy that has it.
    report
        Told of each call at its end, on the gateway's thread.

    Raises
    ------
    OSError
        It can't listen there.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        host: str = "127.0.0.1",
        port: int = 0,
        report: Callable[[Call], None] = lambda _: None,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=1024)
        bracketed = f"[{host}]" if ":" in host else host
        self.url = f"http://{bracketed}:{self._socket.getsockname()[1]}"
        self.gateway = Gateway(settings, report)
        self._server = uvicorn.Server(
            uvicorn.Config(
                application(self.gateway),
                http="h11",
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_level="critical",  # its own lines would show requests; ours show what may be known
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=0,
            )
        )
        self._ready = Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = Thread(target=lambda: asyncio.run(self._serve()), name="gateway", daemon=True)

    @property
    def describe_url(self) -> str:
        """The endpoint's own URL."""
        return self.url + DESCRIBE_PATH

    def check(self) -> Answer:
        """Show the model a picture of our own; see `Gateway.check`."""
        if self._loop is None:
            raise ValueError("the gateway has not been started")
        return asyncio.run_coroutine_threadsafe(self.gateway.check(), self._loop).result()

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_STOP_S)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            await self.gateway.close()


def application(gateway: Gateway) -> Starlette:
    """Return the gateway as an ASGI application."""

    async def respond(request: Request) -> Response:
        answer = await _answer(gateway, request)
        return Response(answer.body, answer.status, answer.headers, answer.content_type)

    return Starlette(routes=[Path("/{path:path}", respond, methods=_METHODS)], exception_handlers={Exception: _bug})


async def _answer(gateway: Gateway, request: Request) -> Answer:
    match route(request.method, request.url.path):
        case Route.DESCRIBE:
            return await _describe(gateway, request)
        case Route.BALANCE:
            return gateway.balance(request.headers.get("x-api-key"))
        case Answer() as answer:
            return answer


async def _describe(gateway: Gateway, request: Request) -> Answer:
    gone = answers.error(400, "gone", "the caller left")  # which nobody will read
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_REQUEST_BYTES:
                return answers.error(413, "length")
    except ClientDisconnect:
        return gone
    headers = request.headers
    call = DescribeRequest(headers.get("x-api-key"), headers.get("content-type", ""), bytes(body))
    # A caller who leaves takes the call along: a model that works for nobody keeps others waiting.
    work = asyncio.create_task(gateway.describe(call))
    leaving = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
    finally:
        leaving.cancel()
        if not work.done():
            work.cancel()
    with suppress(asyncio.CancelledError):
        return await work
    return gone


async def _bug(_request: Request, error: Exception) -> Response:
    """Tell of a bug by its kind and place: a message might hold a URL or a key."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "an unknown place"
    sys.stderr.write(f"gateway: {type(error).__name__} at {place}\n")
    answer = answers.error(500, "bug")
    return Response(answer.body, answer.status, media_type=answer.content_type)
