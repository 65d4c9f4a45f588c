"""An image's record as those see it who ask for it, and the id by which an address names an image."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self

from imagescribe.model.times import milliseconds
from imagescribe.query.cursors import of_text, to_text
from imagescribe.query.errors import QueryError

MAX_ID_LENGTH: Final = 2_048


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One version of an image's record: when it was written, in milliseconds since 1970. Entries sort by time."""

    at: int
    image: str


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One image's record; times are ISO 8601 in UTC, and what the record lacks is empty or zero."""

    image: str
    bucket: str
    key: str
    status: str
    prompt: str
    tags: str
    attempts: int
    error: str
    etag: str
    version_id: str
    size: int
    sequencer: str
    uploaded_at: str
    described_at: str
    updated_at: str
    waiting_until: str
    model: str = ""
    rendered_from: str = ""
    labels: tuple[str, ...] = ()
    annotation: str = ""
    job: str = ""

    @classmethod
    def of_item(cls, item: Mapping[str, Any]) -> Self:
        """Read a DynamoDB item in the client's form (``{"status": {"S": "described"}, …}``)."""

        def text(name: str) -> str:
            return str(item.get(name, {}).get("S", ""))

        def number(name: str) -> int:
            return int(item.get(name, {}).get("N", 0))

        return cls(
            image=text("image"),
            bucket=text("bucket"),
            key=text("key"),
            status=text("status"),
            prompt=text("prompt"),
            tags=text("tags"),
            attempts=number("attempts"),
            error=text("error"),
            etag=text("etag"),
            version_id=text("version_id"),
            size=number("size"),
            sequencer=text("sequencer"),
            uploaded_at=text("uploaded_at"),
            described_at=text("described_at"),
            updated_at=text("updated_at"),
            waiting_until=text("waiting_until"),
            model=text("model"),
            rendered_from=text("rendered_from"),
            labels=tuple(sorted(item.get("labels", {}).get("SS", ()))),
            annotation=text("annotation"),
            job=text("job"),
        )

    @property
    def entry(self) -> Entry:
        """The record as this version of it."""
        return Entry(milliseconds(self.updated_at), self.image)


def image_id(image: str) -> str:
    """Return the id of ``s3://bucket/key``: its URL-safe Base64, without padding.

    An address can hold that as one segment. Percent-encoding can't be relied on there: an HTTP API decodes it before
    the function sees it, and ends the path at a ``?`` that was encoded in a key.
    """
    return to_text(image)


def image_of_id(text: str) -> str:
    """Return the image that an id names.

    Raises
    ------
    QueryError
        It is no id.
    """
    with suppress(ValueError):
        image = of_text(text, MAX_ID_LENGTH)
        if image.startswith("s3://"):
            return image
    raise QueryError(
        "That is not the id of an image.",
        "Take `id` from an answer, or make it of s3://BUCKET/KEY: URL-safe Base64 without padding.",
    )
