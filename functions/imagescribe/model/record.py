"""An image's record in the catalog, and how an upload stands by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from imagescribe.model.events import Upload


class Status(StrEnum):
    """What became of an image."""

    DESCRIBING = "describing"
    WAITING = "waiting"
    DESCRIBED = "described"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Opened:
    """The record is ours to write.

    Attributes
    ----------
    attempts
        Failed calls so far.
    """

    attempts: int = 0


@dataclass(frozen=True, slots=True)
class AlreadyFinal:
    """The same upload came to its end before: described, rejected or skipped."""

    status: Status
    prompt: str | None
    error: str | None
    model: str | None = None
    labels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Stale:
    """The record is of a newer event."""


type Standing = Opened | AlreadyFinal | Stale


@dataclass(frozen=True, slots=True)
class Record:
    """What a record says of the event that it was written for.

    Attributes
    ----------
    label_tags
        The tags of labels that were written onto the object, as they were written.
    """

    status: Status
    sequencer: str
    etag: str
    version_id: str | None
    prompt: str | None
    error: str | None
    attempts: int
    model: str | None = None
    labels: frozenset[str] = frozenset()
    label_tags: Mapping[str, str] = field(default_factory=dict)
    renewing: bool = False

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> Self:
        """Read a record. One that none of ours is counts as begun for an event before all others."""
        status = str(item.get("status"))
        return cls(
            status=Status(status) if status in Status else Status.DESCRIBING,
            sequencer=item.get("sequencer", ""),
            etag=item.get("etag", ""),
            version_id=item.get("version_id"),
            prompt=item.get("prompt"),
            error=item.get("error"),
            attempts=int(item.get("attempts", 0)),
            model=item.get("model"),
            labels=frozenset(item.get("labels") or ()),
            label_tags=item.get("label_tags") or {},
            renewing=bool(item.get("renewing")),
        )

    def standing(self, upload: Upload) -> Standing | None:
        """Return how an upload stands by its image's record; None where the record is to be opened for it."""
        if self.sequencer < upload.sequencer:
            return None
        if (self.sequencer, self.etag, self.version_id) != (upload.sequencer, upload.etag, upload.version_id):
            # Of a newer event; or a deletion came again, and finds another version than before.
            return Stale()
        match self.status:
            case Status.DEAD:
                return None
            case Status.WAITING | Status.DESCRIBING:
                return Opened(self.attempts)
            case Status.DESCRIBED if self.renewing:
                return Opened(self.attempts)
            case Status.DESCRIBED | Status.REJECTED | Status.SKIPPED:
                return AlreadyFinal(self.status, self.prompt, self.error, self.model, self.labels)
