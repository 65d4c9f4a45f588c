"""Times as they stand in records: ISO 8601 in UTC with milliseconds, so that their text sorts as they do."""

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def iso_utc(epoch_seconds: float) -> str:
    """Return a time like ``2026-11-23T09:30:00.000Z``."""
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds(text: str) -> int:
    """Return a time of that form as milliseconds since 1970, exactly; 0 for an empty text."""
    if not text:
        return 0
    moment = datetime.fromisoformat(text)
    return (moment - _EPOCH) // _MILLISECOND
