"""What an object and its record say of each other: the rules of the audit, without any service."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from imagescribe.model.listing import Listed
from imagescribe.model.record import Status
from imagescribe_ops.catalog_view import UNFINISHED, ImageRecord


class Verdict(StrEnum):
    """How an image stands."""

    WELL = "well"  # described, rejected or skipped, as the object is now
    UNDERWAY = "underway"  # changed so lately that its event may still be on its way
    MISSING = "missing"  # an object without a record
    STALE = "stale"  # a record of another content than the object's
    ORPHAN = "orphan"  # a record without an object
    STUCK = "stuck"  # waiting or being described, for longer than makes sense
    DEAD = "dead"  # given up, as the dead-letter queue says
    TAGS = "tags"  # the object's tag is not what the catalog says
    FOLDER = "folder"  # a folder of the console, which is no image
    GONE = "gone"  # neither object nor record, any more


WRONG: Final = (Verdict.MISSING, Verdict.STALE, Verdict.ORPHAN, Verdict.STUCK, Verdict.DEAD, Verdict.TAGS)
"""What makes an audit fail, in the order in which it is told."""

MENDED: Final = frozenset({Verdict.MISSING, Verdict.STALE, Verdict.ORPHAN, Verdict.STUCK})
"""What a repair does something about."""


def judge(listed: Listed | None, record: ImageRecord | None, since: str, created_at: str = "") -> Verdict:
    """Say how an image stands.

    Parameters
    ----------
    since
        ISO 8601: what changed later than this may still be underway.
    created_at
        ISO 8601: what was uploaded before the stack was there has no event, and without a record it is on no way.
    """
    if listed is None:
        return Verdict.GONE if record is None else Verdict.ORPHAN
    changed_lately = listed.modified_at > since
    if record is None:
        if listed.is_folder:
            return Verdict.FOLDER
        return Verdict.UNDERWAY if changed_lately and listed.modified_at >= created_at else Verdict.MISSING
    is_other_version = listed.version_id is not None and listed.version_id != record.version_id
    if listed.etag != record.etag or is_other_version:
        return Verdict.UNDERWAY if changed_lately else Verdict.STALE
    if record.status in UNFINISHED:
        # Texts of times compare as the times do, and an empty one is before all.
        return Verdict.UNDERWAY if max(record.updated_at, record.waiting_until) > since else Verdict.STUCK
    return Verdict.DEAD if record.status == Status.DEAD else Verdict.WELL
