"""The `Image Described` event, for whoever builds on it. It comes at least once for each description."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from imagescribe.errors import ImageScribeError

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

    from imagescribe.uploads import Upload

SOURCE = "imagescribe"
DETAIL_TYPE = "Image Described"


class AnnouncementError(ImageScribeError):
    """EventBridge did not take an event."""


class Announcements:
    """Events on the account's default bus."""

    def __init__(self, client: EventBridgeClient) -> None:
        self._client = client

    def described(self, upload: Upload, prompt: str) -> None:
        """Say that an image is described.

        Raises
        ------
        AnnouncementError
            The bus refused the event.
        """
        detail = {
            "image": upload.image,
            "bucket": upload.bucket,
            "key": upload.key,
            "version_id": upload.version_id,
            "etag": upload.etag,
            "size": upload.size,
            "sequencer": upload.sequencer,
            "prompt": prompt,
        }
        answer = self._client.put_events(
            Entries=[
                {"Source": SOURCE, "DetailType": DETAIL_TYPE, "Detail": json.dumps(detail, ensure_ascii=False)},
            ]
        )
        if answer["FailedEntryCount"]:
            raise AnnouncementError(f"EventBridge refused an event: {answer['Entries'][0].get('ErrorCode')}")
