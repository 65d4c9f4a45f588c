"""The describe endpoint as an object of the test's own process: it looks at the picture, answers, and bills."""

import json
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import md5
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.exceptions import ClientError

from imagescribe.model.answers import PRICE_USD, Answer, Description, Rejected, Transient, classify
from imagescribe.model.times import iso_utc
from tests.factories import API_KEY


class Fault(StrEnum):
    """How a call fails without an answer's status."""

    DROPPED = "the connection broke before the request was read"
    TIMED_OUT = "the answer came too late to be seen, and was billed"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as the wire carries it."""

    status: int
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class FakeEndpoint:
    """Answers as it is told to, reply by reply, and is well when nothing more was said.

    Attributes
    ----------
    accepted_key
        Any other is answered with 401.
    paid
        Billed calls by content, a picture's MD5.
    calls
        All calls: the address of the picture and the key.
    before_look, after_look
        What happens in the world before and after the endpoint fetches the picture.
    """

    def __init__(self, s3: Any, clock: Callable[[], float]) -> None:
        self._s3 = s3
        self._clock = clock
        self._lock = Lock()
        self._replies: deque[Reply | Fault] = deque()
        self._for_good: Reply | Fault | None = None
        self.accepted_key = API_KEY
        self.paid: Counter[str] = Counter()
        self.calls: list[tuple[str, str]] = []
        self.before_look: Callable[[], object] = _nothing
        self.after_look: Callable[[], object] = _nothing

    def says(self, *replies: Reply | Fault | int) -> None:
        """Answer the next calls so; a number is a reply with that status."""
        self._replies.extend(Reply(reply) if isinstance(reply, int) else reply for reply in replies)

    def always_says(self, reply: Reply | Fault | int | None) -> None:
        """Answer all calls so, until told otherwise; None makes it well."""
        self._replies.clear()
        self._for_good = Reply(reply) if isinstance(reply, int) else reply

    def describe(self, image_url: str, api_key: str) -> Answer:
        with self._lock:
            self.calls.append((image_url, api_key))
            reply = self._replies.popleft() if self._replies else self._for_good
        self.before_look()
        if api_key != self.accepted_key:
            return classify(401, {}, '{"error": "no such key"}', self._clock())
        answer = self._answer(image_url, reply)
        self.after_look()
        return answer

    def _answer(self, image_url: str, reply: Reply | Fault | None) -> Answer:
        match reply:
            case Fault.DROPPED:
                return Transient("the connection failed (ConnectionResetError)")
            case Fault.TIMED_OUT:
                self._bill(self._look(image_url))
                return Transient("no answer within 60 s", may_be_billed=True)
            case Reply(200, body):
                self._bill(self._look(image_url))
                return self._description(body)
            case Reply(status, body, headers):
                return classify(status, headers, body, self._clock())
            case None:
                picture = self._look(image_url)
                if picture is None:
                    return Rejected("400: the image can not be fetched")
                self._bill(picture)
                return self._description(json.dumps({"descriptions": [{"text": prompt_of(picture)}]}))

    def _look(self, image_url: str) -> bytes | None:
        url = urlsplit(image_url)
        version = parse_qs(url.query).get("versionId")
        try:
            answer = self._s3.get_object(
                Bucket=(url.hostname or "").partition(".")[0],
                Key=unquote(url.path[1:]),
                **({"VersionId": version[0]} if version else {}),
            )
        except ClientError:
            return None
        picture: bytes = answer["Body"].read()
        return picture

    def _bill(self, picture: bytes | None) -> None:
        with self._lock:
            self.paid[md5(picture or b"", usedforsecurity=False).hexdigest()] += 1

    def _description(self, body: str) -> Description:
        return Description(body, PRICE_USD, 3.97, f"call-{len(self.calls)}", iso_utc(self._clock()))


def prompt_of(picture: bytes) -> str:
    """What this endpoint says of a picture: other words for each."""
    return f"a picture with the print {md5(picture, usedforsecurity=False).hexdigest()}"


def _nothing() -> None:
    """Nothing happens in the world."""
