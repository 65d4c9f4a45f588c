"""What an answer of the describe endpoint means: pure functions of its status, headers and body.

Only status 200 is billed. What its body looks like is documented nowhere, so it is kept raw and read tolerantly:
a reader that learns a new shape later makes sense of what was unreadable, without paying again. What is read is
untrusted text: it goes through ``clean`` before anybody sees it.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imagescribe.model.backoff import limit_reset
from imagescribe.model.text import clean, parse_json

PRICE_USD = 0.015
"""What a call costs by the price list."""

MAX_COST_FACTOR = 10
"""How many times its price a call is believed to have cost."""

MAX_DETAIL_LENGTH = 1000

_TEXT_KEYS = ("text", "prompt", "description", "caption")
_LIST_KEYS = ("descriptions", "prompts", "captions", "output", "outputs", "results", "result", "data")
_FETCH_WORDS = re.compile(
    r"\b(?:could not|couldn't|cannot|can't|failed to|unable to)\s+(?:fetch|download|retrieve|access|reach)\b",
    re.IGNORECASE,
)
_BALANCE_WORDS = re.compile(r"credit|balance|insufficient|spend|quota|billing|payment|top.?up", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Description:
    """What the endpoint answered and billed.

    Attributes
    ----------
    body
        The raw body as text, without secrets.
    cost_usd
        At least the price of a call and at most MAX_COST_FACTOR times it, whatever the endpoint says.
    latency_seconds
        As the endpoint says; by our own clock where it does not.
    request_id
        The endpoint's own, where it gave one.
    described_at
        ISO 8601, UTC.
    model
        What wrote it; None in answers of before that was kept.
    rendered_from
        The kind of image that it is of, where the endpoint got a JPEG of it; None where it got the image itself.
    """

    body: str
    cost_usd: float
    latency_seconds: float
    request_id: str | None
    described_at: str
    model: str | None = None
    rendered_from: str | None = None

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


def classify(status: int, headers: Mapping[str, str], body: str, now: float, price_usd: float = PRICE_USD) -> Refusal:
    """Say what an answer other than 200 means.

    Parameters
    ----------
    headers
        Case-insensitive, or with lower-case names.
    now
        Epoch seconds.
    price_usd
        What a call costs: with less, credits are spent.
    """
    detail = f"{status}: {error_words(body)}"
    match status:
        case 429:
            return Limited(detail, limit_reset(headers, now))
        case 401 | 403:
            return AccountFault(detail, concerns_key=True)
        case 402 | 404 | 405 | 410:
            return AccountFault(detail)
        case 406 if balance_is_spent(headers, body, price_usd):
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


def balance_is_spent(headers: Mapping[str, str], body: str, price_usd: float) -> bool:
    """Tell a 406 for want of credits from one for a wrong parameter, by the header or the words of the body."""
    # A team's spend cap is reached while the account has credits.
    return number(headers.get("x-remaining-credits")) < price_usd or bool(_BALANCE_WORDS.search(error_words(body)))


def is_spent(balance: str, price_usd: float) -> bool | None:
    """Whether the body of the balance says that no call can be paid; None where it says nothing of credits."""
    usd = credits_usd(balance)
    return None if usd is None else usd < price_usd


def credits_usd(balance: str) -> float | None:
    """Return what is left by the body of the balance: ``{"credits": 0.0, "free-credits": 0.01}``.

    None where it says nothing of credits.
    """
    try:
        parsed = parse_json(balance)
    except ValueError:
        return None
    named = [value for name, value in parsed.items() if "credit" in name] if isinstance(parsed, dict) else []
    parts = [value for value in named if type(value) in (int, float) and abs(value) < 1e300]
    return sum(parts) if parts else None


def cost_usd(header: str | None, price_usd: float) -> float:
    """Return what a call counts as spent, by the header ``x-cost``."""
    said = number(header)
    # Rounded, since DynamoDB refuses a number like 1e-200.
    return price_usd if math.isnan(said) else max(price_usd, min(round(said, 6), MAX_COST_FACTOR * price_usd))


def number(header: str | None) -> float:
    """Return the number in a header, or NaN where there is none."""
    try:
        return float(header or "")
    except ValueError:
        return math.nan


def read_prompt(body: str) -> str | None:
    """Return the prompt in the body of a 200, or None where none can be read.

    Read are Ideogram's ``{"descriptions": [{"text": …}]}``, a list of strings or of such objects, an object with the
    text under a usual name, a JSON string, and bare text. Not taken for a prompt: HTML, and what begins like JSON but
    is none.
    """
    try:
        return _find_text(parse_json(body))
    except (ValueError, RecursionError):
        text = clean(body).strip().removeprefix("\ufeff").strip()
        return None if text.startswith(("{", "[", '"', "<")) else text or None


def error_words(body: str) -> str:
    """Return the endpoint's own words from the body of an error, on one line."""
    words = body.strip()
    try:
        parsed = parse_json(words)
        if isinstance(parsed, dict):
            said = [parsed[key] for key in ("error", "error_description", "message", "detail") if parsed.get(key)]
            words = ". ".join(part if isinstance(part, str) else json.dumps(part) for part in said) or words
    except (ValueError, RecursionError):
        if words.startswith("<"):
            words = "an HTML page" + "".join(f": {title}" for title in re.findall(r"<title>([^<]*)", words)[:1])
    return " ".join(clean(words).split())[:MAX_DETAIL_LENGTH].rstrip() or "no further words"


def _find_text(value: Any) -> str | None:
    match value:
        case str():
            return clean(value).strip() or None
        case list():
            return next((found for each in value if (found := _find_text(each)) is not None), None)
        case dict():
            for key in (*_TEXT_KEYS, *_LIST_KEYS):
                if (found := _find_text(value.get(key))) is not None:
                    return found
    return None
