"""What a retry tells of an image, and which dead letters it makes pointless."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from imagescribe.aws.s3 import ObjectHead
from imagescribe.errors import MalformedMessageError
from imagescribe.model.dead_letter import DeadLetter
from imagescribe.model.events import Upload, parse_body
from imagescribe.model.listing import sequencer_after
from imagescribe_ops.catalog_view import ImageRecord


def upload_again(bucket: str, key: str, head: ObjectHead, record: ImageRecord | None, uploaded_at: str) -> Upload:
    """Return the upload that a retry tells of."""
    sequencer = sequencer_after(record.sequencer if record else None)
    return Upload(bucket, key, head.version_id, head.etag, head.size, sequencer, uploaded_at)


def is_superseded_by(retried: Sequence[Upload]) -> Callable[[DeadLetter], bool]:
    """Return a test for dead letters that tell of these images alone, save one that the retry itself has come to."""
    sequencers = {upload.image: upload.sequencer for upload in retried}

    def is_superseded(dead_letter: DeadLetter) -> bool:
        try:
            events = parse_body(dead_letter.body)
        except MalformedMessageError:
            return False
        return bool(events) and all(sequencers.get(event.image, event.sequencer) != event.sequencer for event in events)

    return is_superseded
