"""The answers of the contract: statuses, headers and bodies, as values that a server writes out."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

JSON_TYPE = "application/json"
HTML_TYPE = "text/html; charset=utf-8"

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

ENDLESS_USD = 1_000_000.0
"""What an endless balance is told as: the balance always is a number."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back to the caller.

    Attributes
    ----------
    because
        What decided it, in a word or two, for whoever keeps a journal. The caller does not see it.
    """

    status: int
    body: bytes
    because: str = ""
    content_type: str = JSON_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(status: int, value: object, because: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    """Give an answer whose body is JSON."""
    return Answer(status, json.dumps(value).encode(), because, headers=headers or {})


def described(prompt: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Give the 200 with a prompt, in Ideogram's own shape."""
    return json_answer(200, {"descriptions": [{"text": prompt}]}, "described", headers)


def balance(credits_usd: float | None) -> Answer:
    """Give the balance; None is an endless one."""
    return json_answer(200, {"credits": ENDLESS_USD if credits_usd is None else credits_usd, "free-credits": 0.0})


def error(status: int, because: str, message: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    """Give an error as the endpoint words it: JSON with ``error``, more on the auth surface, HTML for a 405."""
    message = message or _ERRORS.get(status) or _phrase(status)
    if status == 405:
        return _method_not_allowed(because)
    body: dict[str, object] = {"error": message}
    if status in (401, 403):
        body |= {"error_description": message, "status_code": status}
    return json_answer(status, body, because, headers)


def _method_not_allowed(because: str) -> Answer:
    body = b"<!doctype html>\n<html lang=en>\n<title>405 Method Not Allowed</title>\n<h1>Method Not Allowed</h1>\n"
    return Answer(405, body, because, content_type=HTML_TYPE, headers={"Allow": "POST"})


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"
