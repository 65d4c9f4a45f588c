"""The answers that the contract leaves open: the shapes of a 200, and the headers that tell of the limit."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime

from imagescribe_ops.contract.answers import HTML_TYPE, JSON_TYPE, Answer
from imagescribe_ops.simulator.faults import BodyKind
from imagescribe_ops.simulator.limits import Verdict
from imagescribe_ops.simulator.settings import ResetHeader, RetryAfter

_LONG_PROMPT_CHARACTERS = 20_000
ENDLESS_BYTES = 50_000_000


def described(kind: BodyKind, prompt: str, headers: Mapping[str, str]) -> Answer:
    """Give a 200 in one of the shapes that its body may have."""
    text_type = "text/plain; charset=utf-8"
    because = "described" if kind is BodyKind.DESCRIPTIONS else f"described as {kind.value}"
    content_type = JSON_TYPE
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
            body, content_type = b"<!doctype html><html><body><h1>It works!</h1></body></html>", HTML_TYPE
        case BodyKind.HALF_JSON:
            whole = _json({"descriptions": [{"text": prompt}]})
            body = whole[: len(whole) // 2]
        case BodyKind.ENDLESS:
            body = b'{"descriptions": [{"text": "'
        case BodyKind.NULL_TEXT:
            body = _json({"descriptions": [{"text": None}]})
        case BodyKind.EMPTY:
            body = b""
        case BodyKind.LONG_PROMPT:
            body = _json({"descriptions": [{"text": _lengthened(prompt)}]})
        case BodyKind.PUNCTUATION:
            body = _json({"descriptions": [{"text": "(!?), '…' — \"&%#*\" ;;"}]})
    return Answer(200, body, because, content_type=content_type, headers=headers)


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


def _lengthened(prompt: str) -> str:
    times = _LONG_PROMPT_CHARACTERS // (len(prompt) + 2) + 1
    return ", ".join([prompt] * times)[: _LONG_PROMPT_CHARACTERS - 1] + "."


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _ceiling(seconds: float) -> int:
    return int(-(-seconds // 1))
