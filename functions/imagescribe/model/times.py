"""Times as they stand in records: ISO 8601 in UTC with milliseconds, so that their text sorts as they do."""

from datetime import UTC, datetime


def iso_utc(epoch_seconds: float) -> str:
    """Return a time like ``2026-11-23T09:30:00.000Z``."""
    return datetime.fromtimestamp(epoch_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
