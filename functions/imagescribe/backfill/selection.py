"""Which objects a job takes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from imagescribe.model.listing import Listed
from imagescribe.model.record import Status


class Only(StrEnum):
    """What a job is narrowed to."""

    MISSING = "missing"  # no record
    STALE = "stale"  # a record of another content
    FAILED = "failed"  # rejected or dead
    SKIPPED = "skipped"


_STATUSES: Final = {Only.FAILED: (Status.REJECTED, Status.DEAD), Only.SKIPPED: (Status.SKIPPED,)}


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the catalog's record of an object says, as far as a job depends on it."""

    etag: str
    status: str
    sequencer: str
    described_at: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects a job takes: by default those without a record, or with one of another content.

    Attributes
    ----------
    since
        ISO 8601: only what was modified then or later; empty for all.
    only
        Narrower than the default, or something else than it; empty for the default.
    described_before
        ISO 8601: what was described before this, which is then described and paid for again; empty for the default.
    not_by
        Of that only what another model than this one described; empty for all.
    """

    since: str = ""
    only: str = ""
    described_before: str = ""
    not_by: str = ""

    def takes(self, listed: Listed, record: Recorded | None) -> bool:
        """Say whether an object is taken."""
        if listed.is_folder or listed.modified_at < self.since:
            return False
        is_same = record is not None and record.etag == listed.etag
        if self.described_before:
            return (
                record is not None
                and is_same
                and record.status == Status.DESCRIBED
                and record.described_at < self.described_before
                and not (self.not_by and record.model == self.not_by)
            )
        match self.only:
            case Only.MISSING:
                return record is None
            case Only.STALE:
                return record is not None and not is_same
            case Only.FAILED | Only.SKIPPED as only:
                return record is not None and is_same and record.status in _STATUSES[Only(only)]
            case _:
                return not is_same

    def may_take(self, listed: Listed, record: Recorded | None) -> bool:
        """Say whether an object may turn out to be taken of which not all is known yet, or not for sure."""
        return True if not listed.etag or not listed.modified_at else self.takes(listed, record)
