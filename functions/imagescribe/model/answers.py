"""What an answer of the describe endpoint means: pure functions of its status, headers and body.

Only status 200 is billed. What its body looks like is documented nowhere, so it is kept raw and read tolerantly:
a reader that learns a new shape later heals what was unreadable, without paying again.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from imagescribe.model.backoff import limit_reset

PRICE_USD = 0.015
"""What a call costs where the answer does not say."""

MAX_DETAIL_LENGTH = 1000

_TEXT_KEYS = ("text", "prompt", "description", "caption")
_LIST_KEYS = ("descriptions", "prompts", "captions", "output", "outputs", "results", "result", "data")
_FETCH_WORDS = re.compile(
    r"\b(?:could not|couldn't|cannot|can't|failed to|unable to)\s+(?:fetch|download|retrieve|access|reach)\b",
    re.IGNORECASE,
)
_BALANCE_WORDS = re.compile(r"credit|balance|insufficient|spend|quota|billing|payment|top.?up", re.IGNORECASE)
# However the URL is quoted, escaped or read apart: the name, what parts it from its value, and a value of some length.
_SIGNATURES = re.compile(
    r"(X-Amz-(?:Signature|Security-Token|Credential)\W{0,20})(?:[^&\s\"'<>\\]|\\[/u]){16,}", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Description:
    """What the endpoint answered and billed.

    Attributes
    ----------
    body
        The raw body as text.
    cost_usd, latency_seconds
        As the endpoint says; the list price and our own clock where it does not.
    request_id
        The endpoint's own, where it gave one.
    described_at
        ISO 8601, UTC.
    """

    body: str
    cost_usd: float
    latency_seconds: float
    request_id: str | None
    described_at: str

    @property
    def prompt(self) -> str | None:
        """The prompt in the body, or None where none can be read."""
        return read_prompt(self.body)


@dataclass(frozen=True, slots=True)
class Limited:
    """429: too many calls. Not the image's fault, so not an attempt."""

    detail: str
    until: float | None
    """Epoch seconds, where the answer said."""


@dataclass(frozen=True, slots=True)
class Transient:
    """The endpoint failed or could not be reached: an attempt."""

    detail: str
    may_be_billed: bool = False
    """Whether the call may have been answered and billed without our seeing it."""


@dataclass(frozen=True, slots=True)
class AccountFault:
    """No call would be taken now: the key, the balance, the model or the URL. Not the image's fault."""

    detail: str
    concerns_key: bool = False
    """Whether another key may be taken: the cached one may have been rotated."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The endpoint will not describe this image. Final."""

    detail: str


type Refusal = Limited | Transient | AccountFault | Rejected
type Answer = Description | Refusal


def classify(status: int, headers: Mapping[str, str], body: str, now: float) -> Refusal:
    """Say what an answer other than 200 means.

    Parameters
    ----------
    headers
        Case-insensitive, or with lower-case names.
    now
        Epoch seconds.
    """
    detail = f"{status}: {error_words(body)}"
    match status:
        case 429:
            return Limited(detail, limit_reset(headers, now))
        case 401 | 403:
            return AccountFault(detail, concerns_key=True)
        case 402 | 404 | 405 | 410:
            return AccountFault(detail)
        case 406 if balance_is_spent(headers, body):
            return AccountFault(detail)
        case 408:
            return Transient(detail)
        case 400 if _FETCH_WORDS.search(detail):  # the way to the image failed, which says nothing of the image
            return Transient(detail)
        case _ if 300 <= status < 400:  # never followed: the key must not reach another host
            return AccountFault(f"{status}: the endpoint redirects; is DescribeUrl right?")
        case _ if 400 <= status < 500:
            return Rejected(detail)
        case _:
            return Transient(detail)


def balance_is_spent(headers: Mapping[str, str], body: str) -> bool:
    """Tell a 406 for want of credits from one for a wrong parameter, by the header or the words of the body."""
    with suppress(ValueError):
        if float(headers.get("x-remaining-credits", "unknown")) < PRICE_USD:
            return True
    # A team's spend cap is reached while the account has credits.
    return bool(_BALANCE_WORDS.search(error_words(body)))


def is_spent(balance: Any) -> bool | None:
    """Whether the body of the balance says that no call can be paid: ``{"credits": 0.0, "free-credits": 0.01}``.

    None where it says nothing of credits.
    """
    if not isinstance(balance, dict):
        return None
    parts = [part for name, part in balance.items() if "credit" in name and isinstance(part, int | float)]
    return sum(parts) < PRICE_USD if parts else None


def read_prompt(body: str) -> str | None:
    """Return the prompt in the body of a 200, or None where none can be read.

    Read are Ideogram's ``{"descriptions": [{"text": …}]}``, a list of strings or of such objects, an object with the
    text under a usual name, a JSON string, and bare text. Not taken for a prompt: HTML, and what begins like JSON but
    is none.
    """
    text = body.strip().removeprefix("\ufeff").strip()
    try:
        return _find_text(json.loads(text))
    except (ValueError, RecursionError):
        pass
    if not text or text[0] in '{["<':
        return None
    return text


def error_words(body: str) -> str:
    """Return the endpoint's own words from the body of an error, on one line."""
    words = body.strip()
    try:
        parsed = json.loads(words)
    except (ValueError, RecursionError):
        if words.startswith("<"):
            words = "an HTML page" + "".join(f": {title}" for title in re.findall(r"<title>([^<]*)", words)[:1])
    else:
        if isinstance(parsed, dict):
            said = [parsed[key] for key in ("error", "error_description", "message", "detail") if parsed.get(key)]
            words = ". ".join(part if isinstance(part, str) else json.dumps(part) for part in said) or words
    return " ".join(_encodable(words).split())[:MAX_DETAIL_LENGTH].rstrip() or "no further words"


def redact(text: str, api_key: str) -> str:
    """Take the key, and what signs a presigned URL, out of text that the endpoint sent back."""
    return _SIGNATURES.sub(r"\1REDACTED", text.replace(api_key, "REDACTED") if api_key else text)


def _find_text(value: Any) -> str | None:
    match value:
        case str():
            return _encodable(value).strip() or None
        case list():
            return next((found for each in value if (found := _find_text(each)) is not None), None)
        case dict():
            for key in (*_TEXT_KEYS, *_LIST_KEYS):
                if (found := _find_text(value.get(key))) is not None:
                    return found
    return None


def _encodable(text: str) -> str:
    """Replace halves of surrogate pairs, such as an emoji cut in two leaves in JSON; no AWS service takes them."""
    return text.encode("utf-8", "replace").decode()
