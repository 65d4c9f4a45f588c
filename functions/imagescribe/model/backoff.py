"""How long to wait before the next try: pure arithmetic, the randomness comes in."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random

MAX_BACKOFF_SECONDS = 900.0
MAX_LIMIT_WAIT_SECONDS = 3600.0  # an answer that names a later time is not believed


def full_jitter(base_seconds: float, failures: int, random: Random) -> float:
    """Return a wait in seconds, drawn evenly between 0 and the exponential bound for this many failures.

    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    bound = min(MAX_BACKOFF_SECONDS, base_seconds * 2 ** min(max(failures - 1, 0), 30))
    return random.uniform(0, bound)


def limit_reset(headers: Mapping[str, str], now: float) -> float | None:
    """Return when a 429 says that calls are taken again, in epoch seconds, or None where it does not say.

    Parameters
    ----------
    headers
        Case-insensitive, or with lower-case names. ``x-rate-limit-reset-at-utc`` is the endpoint's own; it is
        documented without a format, so a date, epoch seconds and epoch milliseconds are all read. ``Retry-After`` is
        seconds or a date (RFC 9110, section 10.2.3).
    now
        Epoch seconds.
    """
    reset = _parse_time(headers.get("x-rate-limit-reset-at-utc", ""))
    if reset is None:
        retry_after = headers.get("retry-after", "").strip()
        reset = now + int(retry_after) if _is_delay(retry_after) else _parse_time(retry_after)
    if reset is None:
        return None
    return min(max(reset, now), now + MAX_LIMIT_WAIT_SECONDS)


def _is_delay(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def _parse_time(text: str) -> float | None:
    text = text.strip()
    try:
        number = float(text)
    except ValueError:
        return _parse_date(text)
    if 1e9 <= number < 1e11:
        return number
    if 1e12 <= number < 1e14:
        return number / 1000
    return None


def _parse_date(text: str) -> float | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return None
