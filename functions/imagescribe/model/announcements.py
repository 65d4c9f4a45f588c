"""What is announced of an image: every end that it can come to is an event, for whoever builds on it.

The schemas and a sample of each stand in ``events/sent/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

from imagescribe.model.events import Upload

if TYPE_CHECKING:
    from imagescribe.model.events import ObjectEvent

SCHEMA_VERSION: Final = 1
"""Of every event's detail: it rises where a field goes or comes to mean something else, not where one is added."""


class DetailType(StrEnum):
    """What became of the image."""

    DESCRIBED = "Image Described"
    REJECTED = "Image Rejected"
    SKIPPED = "Image Skipped"
    DEAD = "Image Dead"
    REMOVED = "Image Removed"


@dataclass(frozen=True, slots=True)
class Announcement:
    """An image's end, once its record tells of it.

    Attributes
    ----------
    event
        The upload that came to this end, or the event that took the image's record out.
    facts
        What this end has to tell besides: the prompt, its model and its labels, or the error.
    """

    detail_type: DetailType
    event: ObjectEvent
    facts: Mapping[str, object] = field(default_factory=dict, hash=False)

    @classmethod
    def of_status(cls, upload: Upload, status: str, **facts: object) -> Self:
        """Return what there is to announce of an upload whose record has come to a status."""
        return cls(DetailType(f"Image {status.capitalize()}"), upload, facts)

    def detail(self) -> str:
        """Return the event's detail, as JSON."""
        event = self.event
        detail: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "image": event.image,
            "bucket": event.bucket,
            "key": event.key,
            "sequencer": event.sequencer,
        }
        if isinstance(event, Upload) and self.detail_type != DetailType.REMOVED:
            detail |= {"version_id": event.version_id, "etag": event.etag, "size": event.size}
        return json.dumps(detail | dict(self.facts), ensure_ascii=False)
