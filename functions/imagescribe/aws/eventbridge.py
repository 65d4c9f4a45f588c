"""The account's default bus, where the end of each image is announced, at least once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from imagescribe.model.announcements import Announcement

SOURCE: Final = "imagescribe"

MAX_ENTRIES: Final = 10
MAX_BYTES: Final = 250_000
"""Of one request: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html (256 KB, ten entries)."""


class Announcements:
    """Events on the account's default bus."""

    def __init__(self, client: EventBridgeClient) -> None:
        self._client = client

    def send(self, announcements: Sequence[Announcement]) -> list[str | None]:
        """Announce what became of images, in as few requests as the service takes.

        Returns
        -------
        list[str | None]
            For each announcement None, or the code of the error with which the bus refused it.
        """
        errors: list[str | None] = []
        entries: list[PutEventsRequestEntryTypeDef] = []
        size = 0
        for each in announcements:
            detail, detail_type = each.detail(), str(each.detail_type)
            length = len(detail.encode()) + len(SOURCE) + len(detail_type)
            if len(entries) == MAX_ENTRIES or (entries and size + length > MAX_BYTES):
                errors += self._put(entries)
                entries, size = [], 0
            entries.append({"Source": SOURCE, "DetailType": detail_type, "Detail": detail})
            size += length
        return errors + (self._put(entries) if entries else [])

    def _put(self, entries: Sequence[PutEventsRequestEntryTypeDef]) -> list[str | None]:
        return [entry.get("ErrorCode") for entry in self._client.put_events(Entries=entries)["Entries"]]
