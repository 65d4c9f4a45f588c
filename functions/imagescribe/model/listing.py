"""Objects as a listing tells of them, and the events that are made for them, since a listing has no sequencer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from imagescribe.model.events import Upload

FIRST_SEQUENCER: Final = "0"
"""Of an event that is made for an object without a record: less than any of S3's own, as text is compared."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object of the bucket.

    Attributes
    ----------
    etag
        Without quotes; empty where it is not known.
    modified_at
        ISO 8601, UTC; empty where it is not known.
    version_id
        None where it is not known, as in a listing, or where there is none.
    storage_class
        S3's name of it.
    """

    key: str
    etag: str
    size: int
    modified_at: str
    version_id: str | None = None
    storage_class: str = "STANDARD"

    @property
    def is_folder(self) -> bool:
        """Whether the console made it as a folder."""
        return self.size == 0 and self.key.endswith("/")


def sequencer_after(record_sequencer: str | None) -> str:
    """Return the sequencer of an event that is made for an object, by that of its record.

    In the order of text it comes right after the event that the record is of and before any later one of S3's, so that
    a real event always wins over it, whichever comes first.
    """
    return FIRST_SEQUENCER if record_sequencer is None else f"{record_sequencer}0"


def made_upload(listed: Listed, bucket: str, record_sequencer: str | None) -> Upload:
    """Return the upload that an event tells of which is made for a listed object."""
    return Upload(
        bucket,
        listed.key,
        listed.version_id,
        listed.etag,
        listed.size,
        sequencer_after(record_sequencer),
        listed.modified_at,
    )
