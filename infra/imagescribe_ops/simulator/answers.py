"""The answers of the endpoint: statuses, headers and bodies, as values that the server writes out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus

from imagescribe_ops.simulator.faults import BodyKind, Drip, Ending
from imagescribe_ops.simulator.limits import Verdict
from imagescribe_ops.simulator.settings import ResetHeader, RetryAfter

JSON_TYPE = "application/json"
_HTML_TYPE = "text/html; charset=utf-8"
_LONG_PROMPT_CHARACTERS = 20_000
ENDLESS_BYTES = 50_000_000

# The endpoint's documented words where there are some, else plain ones.
_ERRORS = {
    400: "Bad request",
    401: "Invalid API key",
    403: "Forbidden",
    404: "Not found",
    406: "Not acceptable",
    410: "This model is retired",
    413: "Request body too large",
    422: "Inference failed",
    429: "Rate limit exceeded",
    500: "Server error",
    502: "Bad gateway",
    503: "Service unavailable",
    504: "Gateway timeout",
}
NO_CREDITS = "Insufficient credits. Please add credits to your account to continue."


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the caller.

    Attributes
    ----------
    endless_bytes
        Where not zero, the body is followed by so many bytes more, in chunks, without a length told beforehand.
    ending
        `DROP` and `HANG` send nothing of all this.
    because
        What decided it, for the journal.
    """

    status: int
    body: bytes
    because: str
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)
    endless_bytes: int = 0
    drip: Drip = Drip.NONE
    drip_interval_s: float = 0.0
    ending: Ending = Ending.ANSWER

    @property
    def is_whole(self) -> bool:
        """Whether it goes out in one piece, as answers usually do."""
        return self.ending is Ending.ANSWER and self.drip is Drip.NONE and not self.endless_bytes


def json_answer(status: int, value: object, because: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    """Give an answer whose body is JSON."""
    return Answer(status=status, body=json.dumps(value).encode(), because=because, headers=headers or {})


def error(status: int, because: str, message: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    """Give an error as the endpoint words it: JSON with ``error``, more on the auth surface, HTML for a 405."""
    message = message or _ERRORS.get(status) or _phrase(status)
    if status == 405:
        return _method_not_allowed(because)
    body: dict[str, object] = {"error": message}
    if status in (401, 403):
        body |= {"error_description": message, "status_code": status}
    return json_answer(status, body, because, headers)


def lost(ending: Ending, because: str) -> Answer:
    """Give the answer that never comes: a dropped connection, or silence."""
    return Answer(status=0, body=b"", because=because, ending=ending)


def described(kind: BodyKind, prompt: str, headers: Mapping[str, str]) -> Answer:
    """Give a 200 in one of the shapes that its body may have."""
    text_type = "text/plain; charset=utf-8"
    because = "described" if kind is BodyKind.DESCRIPTIONS else f"described as {kind.value}"
    content_type = JSON_TYPE
    endless = 0
    match kind:
        case BodyKind.DESCRIPTIONS:
            body = _json({"descriptions": [{"text": prompt}]})
        case BodyKind.STRINGS:
            body = _json([prompt])
        case BodyKind.PROMPT:
            body = _json({"prompt": prompt})
        case BodyKind.TEXT:
            body, content_type = prompt.encode(), text_type
        case BodyKind.HTML:
            body, content_type = b"<!doctype html><html><body><h1>It works!</h1></body></html>", _HTML_TYPE
        case BodyKind.HALF_JSON:
            whole = _json({"descriptions": [{"text": prompt}]})
            body = whole[: len(whole) // 2]
        case BodyKind.ENDLESS:
            body, endless = b'{"descriptions": [{"text": "', ENDLESS_BYTES
        case BodyKind.NULL_TEXT:
            body = _json({"descriptions": [{"text": None}]})
        case BodyKind.EMPTY:
            body = b""
        case BodyKind.LONG_PROMPT:
            body = _json({"descriptions": [{"text": _lengthened(prompt)}]})
        case BodyKind.PUNCTUATION:
            body = _json({"descriptions": [{"text": "(!?), '…' — \"&%#*\" ;;"}]})
    return Answer(200, body, because, content_type=content_type, headers=headers, endless_bytes=endless)


def limit_headers(
    verdict: Verdict, now: float, reset: ResetHeader, *, remaining: bool, retry: RetryAfter
) -> dict[str, str]:
    """Give the headers that tell of the limit.

    ``Retry-After`` rounds up to whole seconds, since it can't say less and a caller must not come back too early; it
    stands on refusals only.
    """
    headers: dict[str, str] = {}
    if verdict.reset_at is None or verdict.remaining is None:
        return headers
    match reset:
        case ResetHeader.ISO:
            at = datetime.fromtimestamp(verdict.reset_at, UTC)
            headers["x-rate-limit-reset-at-utc"] = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case ResetHeader.EPOCH:
            headers["x-rate-limit-reset-at-utc"] = f"{verdict.reset_at:.3f}"
        case ResetHeader.OFF:
            pass
    if remaining:
        headers["x-rate-limit-remaining"] = str(verdict.remaining)
    if not verdict.allowed:
        headers |= retry_after_header(verdict.reset_at, now, retry)
    return headers


def retry_after_header(at: float, now: float, form: RetryAfter) -> dict[str, str]:
    """Give ``Retry-After`` for a time in epoch seconds, in the form that is set."""
    match form:
        case RetryAfter.SECONDS:
            return {"Retry-After": str(_ceiling(max(0.0, at - now)))}
        case RetryAfter.DATE:
            return {"Retry-After": format_datetime(datetime.fromtimestamp(_ceiling(at), UTC), usegmt=True)}
        case RetryAfter.OFF:
            return {}


def _method_not_allowed(because: str) -> Answer:
    body = b"<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n"
    return Answer(405, body, because, content_type=_HTML_TYPE, headers={"Allow": "POST"})


def _lengthened(prompt: str) -> str:
    times = _LONG_PROMPT_CHARACTERS // (len(prompt) + 2) + 1
    return ", ".join([prompt] * times)[:_LONG_PROMPT_CHARACTERS]


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _ceiling(seconds: float) -> int:
    return int(-(-seconds // 1))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
