"""A server that speaks OpenAI's chat completions, by the types of the `openai` package.

What it answers is an object of those types, and what it is asked has to be one: a request that the types do not know is
answered with 400, as a strict server would. What goes wrong is put down beforehand, as whole answers.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from openai.types import CompletionUsage
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice
from openai.types.chat.chat_completion_chunk import Choice as ChunkChoice
from openai.types.chat.chat_completion_chunk import ChoiceDelta
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter, ValidationError

MODEL = "pixtral-12b"
PROMPT = "A photograph of a grey cat asleep on a blue chair, soft window light, muted colours"
_PARAMETERS: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsNonStreaming)


@dataclass(frozen=True)
class Reply:
    """An answer that is not the usual one; with ``breaks_off`` the connection ends in the middle of it."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    breaks_off: bool = False


def completion(content: str | None = PROMPT, *, refusal: str | None = None, finish: str = "stop") -> ChatCompletion:
    """The answer with a text."""
    return ChatCompletion(
        id="chatcmpl-1",
        object="chat.completion",
        created=1_790_000_000,
        model=MODEL,
        choices=[
            Choice(
                index=0,
                finish_reason=cast("Any", finish),
                message=ChatCompletionMessage(role="assistant", content=content, refusal=refusal),
            )
        ],
        usage=CompletionUsage(prompt_tokens=900, completion_tokens=90, total_tokens=990),
    )


def said(content: str | None = PROMPT, **more: Any) -> Reply:
    return Reply(body=completion(content, **more).model_dump_json().encode())


def streamed(*parts: str) -> Reply:
    """An answer in events, which nobody asked for."""
    chunks = [
        ChatCompletionChunk(
            id="chatcmpl-1",
            object="chat.completion.chunk",
            created=1_790_000_000,
            model=MODEL,
            choices=[ChunkChoice(index=0, delta=ChoiceDelta(content=part))],
        )
        for part in parts
    ]
    events = [f"data: {chunk.model_dump_json()}\n\n" for chunk in chunks]
    return Reply(body="".join([*events, "data: [DONE]\n\n"]).encode(), content_type="text/event-stream")


def failed(status: int, message: str, code: str | None = None, **headers: str) -> Reply:
    """An error as OpenAI words it."""
    error = {"error": {"message": message, "type": "error", "param": None, "code": code}}
    return Reply(status, json.dumps(error).encode(), headers={k.replace("_", "-"): v for k, v in headers.items()})


class ModelServer:
    """The server; use `running`.

    Attributes
    ----------
    requests
        The bodies that it was asked with.
    keys
        The ``Authorization`` headers that came with them.
    replies
        Answers to the next calls; then the usual one.
    left
        Set when a caller closed its connection before its answer.
    seconds
        How long the usual answer takes.
    may_answer
        Cleared, it keeps every answer back.
    """

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.replies: deque[Reply] = deque()
        self.left = threading.Event()
        self.seconds = 0.0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), _Handler)
        self._http.model = self
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @contextmanager
    def running(self) -> Iterator[ModelServer]:
        thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()

    def forget(self) -> None:
        """Begin afresh, for the next test."""
        self.requests.clear()
        self.keys.clear()
        self.replies.clear()
        self.left.clear()
        self.seconds = 0.0
        self.may_answer.set()

    def reply(self, *replies: Reply) -> None:
        self.replies.extend(replies)

    def pictures(self) -> list[bytes]:
        """The pictures that it was shown."""
        urls = [request["messages"][-1]["content"][-1]["image_url"]["url"] for request in self.requests]
        return [base64.b64decode(url.partition(";base64,")[2]) for url in urls]

    def answer(self, body: bytes) -> Reply:
        request = json.loads(body)
        try:
            _PARAMETERS.validate_python(request)
        except ValidationError as error:
            return failed(400, f"not by the types: {error.errors()[0]['msg']}")
        with self.lock:
            self.requests.append(request)
            if self.replies:
                return self.replies.popleft()
        if request["model"] != MODEL:
            return failed(404, f'model "{request["model"]}" not found, try pulling it first')
        usual = said()
        return Reply(usual.status, usual.body, seconds=self.seconds)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    model: ModelServer


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def do_POST(self) -> None:
        model = self.server.model
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with model.lock:
            model.keys.append(self.headers["Authorization"])
        reply = model.answer(body) if self.path == "/v1/chat/completions" else failed(404, "page not found")
        if self._left_before(reply.seconds):
            model.left.set()
            self.close_connection = True
        else:
            self._send(reply)

    def _left_before(self, seconds: float) -> bool:
        until = time.monotonic() + seconds
        self.connection.settimeout(0.02)
        while time.monotonic() < until or not self.server.model.may_answer.is_set():
            try:
                if not self.connection.recv(1):
                    return True
            except TimeoutError:
                continue
        self.connection.settimeout(None)
        return False

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        self.send_header("Content-Length", str(len(reply.body) + reply.breaks_off))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)
        self.close_connection = reply.breaks_off

    def log_request(self, *_: object) -> None:
        pass
