"""The `Image Described` event, for whoever builds on it. It comes at least once for each description."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from imagescribe.model.events import Upload

SOURCE: Final = "imagescribe"
DETAIL_TYPE: Final = "Image Described"

MAX_ENTRIES: Final = 10
MAX_BYTES: Final = 250_000
"""Of one request: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html (256 KB, ten entries)."""


@dataclass(frozen=True, slots=True)
class ImageDescribed:
    """What there is to announce of an upload."""

    upload: Upload
    prompt: str
    model: str | None = None

    def detail(self) -> str:
        """Return the event's detail, as JSON."""
        upload = self.upload
        detail = {
            "image": upload.image,
            "bucket": upload.bucket,
            "key": upload.key,
            "version_id": upload.version_id,
            "etag": upload.etag,
            "size": upload.size,
            "sequencer": upload.sequencer,
            "prompt": self.prompt,
            "model": self.model,
        }
        return json.dumps(detail, ensure_ascii=False)


class Announcements:
    """Events on the account's default bus."""

    def __init__(self, client: EventBridgeClient) -> None:
        self._client = client

    def send(self, events: Sequence[ImageDescribed]) -> list[str | None]:
        """Announce events, in as few requests as the service takes.

        Returns
        -------
        list[str | None]
            For each event None, or the code of the error with which the bus refused it.
        """
        errors: list[str | None] = []
        entries: list[PutEventsRequestEntryTypeDef] = []
        size = 0
        for event in events:
            detail = event.detail()
            length = len(detail.encode()) + len(SOURCE) + len(DETAIL_TYPE)
            if len(entries) == MAX_ENTRIES or (entries and size + length > MAX_BYTES):
                errors += self._put(entries)
                entries, size = [], 0
            entries.append({"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": detail})
            size += length
        return errors + (self._put(entries) if entries else [])

    def _put(self, entries: Sequence[PutEventsRequestEntryTypeDef]) -> list[str | None]:
        return [entry.get("ErrorCode") for entry in self._client.put_events(Entries=entries)["Entries"]]
