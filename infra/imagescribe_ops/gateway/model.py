"""Call a vision model; what becomes of it is in the contract's words, whatever goes wrong."""

import asyncio
import time
from ipaddress import ip_address
from urllib.parse import urlsplit

import httpx2

from imagescribe.model.text import redact
from imagescribe_ops.contract import answers
from imagescribe_ops.contract.answers import Answer
from imagescribe_ops.gateway.completions import NoPromptError, read_prompt, read_refusal, request_body
from imagescribe_ops.gateway.settings import GatewaySettings

MAX_BODY_BYTES = 4 * 1024 * 1024
"""More is not read: a prompt has a kilobyte, and a stream of its tokens a hundred times that."""

CONNECT_TIMEOUT_S = 5.0
RETRY_AFTER_S = 5


class VisionModel:
    """A model behind OpenAI's chat completions; for one event loop.

    A call that is cancelled closes its connection, upon which most servers stop working at it.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        key = settings.model_key
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S),  # the whole call has one, below
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=settings.max_concurrency),
            # No proxy and no .netrc of the machine comes between this machine and itself.
            trust_env=not _is_loopback(settings.model_url),
        )

    async def describe(self, jpeg: bytes, timeout_s: float | None = None) -> Answer:
        """Ask the model for the prompt of a picture.

        Parameters
        ----------
        timeout_s
            None for the settings' one.
        """
        settings = self._settings
        timeout_s = timeout_s or settings.timeout_s
        body = request_body(settings.model, settings.instruction, jpeg, settings.options)
        began = time.monotonic()
        later = {"Retry-After": str(RETRY_AFTER_S)}
        try:
            async with asyncio.timeout(timeout_s):
                response, content = await self._post(body)
        except TimeoutError:
            return answers.error(504, "time-out", f"the model did not answer within {timeout_s:g} s", later)
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            where = urlsplit(settings.model_url).netloc
            return answers.error(503, "unreachable", f"the model's server at {where} can't be reached", later)
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            # The class alone, as a message may name anything.
            return answers.error(502, "broke off", f"the model's server broke off: {type(error).__name__}", later)
        if response.status_code != 200:
            return read_refusal(response.status_code, response.headers, self._redacted(content), RETRY_AFTER_S)
        if len(content) > MAX_BODY_BYTES:
            return answers.error(502, "endless", "the model's server answers without an end", later)
        try:
            prompt = read_prompt(response.headers.get("content-type", ""), content)
        except NoPromptError as error:
            return error.answer
        headers = {"x-model": settings.model, "x-generation-time": f"{time.monotonic() - began:.3f}"}
        return answers.described(prompt, headers)

    async def close(self) -> None:
        """Close the kept connections."""
        await self._client.aclose()

    async def _post(self, body: dict[str, object]) -> tuple[httpx2.Response, bytes]:
        url = f"{self._settings.model_url.rstrip('/')}/chat/completions"
        content = bytearray()
        async with self._client.stream("POST", url, json=body) as response:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > MAX_BODY_BYTES:
                    break
        return response, bytes(content)

    def _redacted(self, content: bytes) -> bytes:
        """Take the model's key out of what its server says of it."""
        return redact(content.decode("utf-8", errors="replace"), self._settings.model_key or "").encode()


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
