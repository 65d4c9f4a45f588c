"""Lead one describe call: key, form, a free place at the model, the picture, the model."""

import asyncio
import io
import time
import uuid
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

from PIL import Image

from imagescribe_ops.contract import answers
from imagescribe_ops.contract.answers import Answer
from imagescribe_ops.contract.fetch import Fetcher, FetchError, UnreachableError, target_of
from imagescribe_ops.contract.picture import UndecodableError
from imagescribe_ops.contract.requests import DescribeRequest, is_key, read_form
from imagescribe_ops.gateway.model import VisionModel
from imagescribe_ops.gateway.picture import rendition
from imagescribe_ops.gateway.settings import GatewaySettings

CHECK_TIMEOUT_S = 300.0
"""For the first call: a model that is not in memory yet is loaded for it."""

_KEPT_CALLS = 100_000
_MAX_RETRY_AFTER_S = 60


@dataclass(slots=True)
class Call:
    """One describe call, as the journal has it: nothing of its URL but the object's path.

    Attributes
    ----------
    object_path
        ``bucket/key``; empty where the call held no URL, or not the key.
    sha256
        Of the picture; None where it was not fetched.
    answer
        None while it is being answered, or where the caller left before.
    seconds
        How long it took.
    """

    object_path: str = ""
    sha256: str | None = None
    answer: Answer | None = None
    seconds: float = 0.0

    @property
    def billed(self) -> bool:
        """Whether the model described it, which is what its caller pays for."""
        return self.answer is not None and self.answer.status == 200


class Gateway:
    """The contract in front of a model; for one event loop.

    Parameters
    ----------
    report
        Told of each call at its end.
    """

    def __init__(self, settings: GatewaySettings, report: Callable[[Call], None] = lambda _: None) -> None:
        self.settings = settings
        self.journal: deque[Call] = deque(maxlen=_KEPT_CALLS)
        """The calls that held the right key, in the order in which they came."""
        self._report = report
        self._model = VisionModel(settings)
        self._fetcher = Fetcher(settings.reach, redirects=2, user_agent="imagescribe-gateway")
        self._working: list[float] = []  # when each call of now began
        self._usual_s = 1.0  # what a call takes, of late

    async def close(self) -> None:
        """Close the kept connections."""
        await self._model.close()
        self._fetcher.close()

    async def check(self) -> Answer:
        """Show the model a picture of our own, so that what is wrong shows before anybody waits for it."""
        file = io.BytesIO()
        Image.radial_gradient("L").convert("RGB").save(file, "JPEG")
        return await self._model.describe(file.getvalue(), CHECK_TIMEOUT_S)

    def balance(self, api_key: str | None) -> Answer:
        """Answer ``GET /v1/get-user-credits``: nobody is billed here."""
        return answers.balance(None) if is_key(api_key, self.settings.api_key) else answers.error(401, "key")

    async def describe(self, request: DescribeRequest) -> Answer:
        """Answer ``POST /v1/ideogram-describe``."""
        call = Call()
        began = time.monotonic()
        try:
            answer = await self._answer(call, request)
            call.answer = replace(answer, headers={"x-request-id": str(uuid.uuid4()), **answer.headers})
            return call.answer
        finally:
            call.seconds = time.monotonic() - began
            self._report(call)

    async def _answer(self, call: Call, request: DescribeRequest) -> Answer:
        if not is_key(request.api_key, self.settings.api_key):
            return answers.error(401, "key")
        self.journal.append(call)
        url, refusal = read_form(request)
        call.object_path = target_of(url or "").object_path
        return refusal or await self._within_limit(call, url or "")

    async def _within_limit(self, call: Call, url: str) -> Answer:
        if len(self._working) >= self.settings.max_concurrency:
            return answers.error(429, "limit", "the model has enough to do", {"Retry-After": str(self._free_in_s())})
        began = time.monotonic()
        self._working.append(began)
        try:
            answer = await self._work(call, url)
        finally:
            self._working.remove(began)
        if answer.status == 200:
            self._usual_s += (time.monotonic() - began - self._usual_s) / 4
        return answer

    def _free_in_s(self) -> int:
        """Say when a place gets free, as far as can be said: at least a second, at most a minute."""
        left = min(self._working) + self._usual_s - time.monotonic()
        return max(1, min(ceil(left), _MAX_RETRY_AFTER_S))

    async def _work(self, call: Call, url: str) -> Answer:
        try:
            fetched = await asyncio.to_thread(self._fetcher.fetch, url)
            call.sha256 = fetched.sha256
            jpeg = await asyncio.to_thread(rendition, fetched.content, self.settings.max_side)
        except UnreachableError as error:
            # Not 400: a host that has to be allowed is no reason to give each of its pictures up.
            return answers.error(403, "host", str(error))
        except FetchError as error:
            return answers.error(400, "fetch", str(error))
        except UndecodableError as error:
            return answers.error(422, "decode", str(error))
        return await self._model.describe(jpeg)
