"""The objects' tags beside what the catalog says was written, and a repair that writes them anew.

No call is made for that and nothing is announced: the record says all that there is to write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from imagescribe.aws.s3 import Objects
from imagescribe.model.events import Upload
from imagescribe.model.record import Record
from imagescribe.model.tags import OurTags, TagState, tag_value
from imagescribe.stores.dynamodb import get
from imagescribe_ops.audit.bucket import BucketView
from imagescribe_ops.catalog_view import upload_of
from imagescribe_ops.operations import Operations


class TagAudit:
    """Compares the tags of one image after the other."""

    def __init__(self, operations: Operations, bucket: BucketView, *, repairs: bool) -> None:
        self._bucket = bucket
        self._objects = Objects(operations.connection.s3())
        self._dynamodb, self._table = operations.connection.dynamodb(), operations.outputs.catalog_table_name
        self._prompt_key = operations.parameters.get("PromptTagKey") or "prompt"
        self._writes = repairs and operations.parameters.get("WriteTags", "true") == "true"

    def check(self, item: Mapping[str, Any]) -> tuple[str, bool]:
        """Say how an object's tags differ from its record, empty if they don't, and whether that is mended."""
        record = Record.of_item(item)
        upload, ours = upload_of(item), self._ours(record.prompt, record.label_tags, record.label_tags)
        try:
            present = self._bucket.tags(upload.key, upload.version_id)
        except LookupError:
            return "", False  # deleted meanwhile, with an event of its own
        detail = ", ".join(_differences(ours, present))
        return detail, bool(detail) and self._writes and self._mend(item, upload, ours)

    def _mend(self, item: Mapping[str, Any], upload: Upload, ours: OurTags) -> bool:
        head = self._objects.head(upload)
        if head is None or (head.etag, head.version_id) != (upload.etag, upload.version_id):
            return False  # another one by now, with an event of its own
        tagging = self._objects.tag(upload, ours)
        now = get(self._dynamodb, self._table, {"image": upload.image}) or {}
        if now != item and now.get("version_id") == upload.version_id:
            # It was described or labelled anew meanwhile, and our old tags may have been written over its new ones.
            self._objects.tag(upload, self._ours(now.get("prompt"), now.get("label_tags") or {}, ours.known))
            return False
        return tagging is not None and tagging.state is TagState.WRITTEN

    def _ours(self, prompt: str | None, labels: Mapping[str, str], known: Mapping[str, str]) -> OurTags:
        return OurTags({self._prompt_key: tag_value(prompt)} if prompt else {}, labels, known)


def _differences(ours: OurTags, present: Mapping[str, str]) -> Iterator[str]:
    for key, value in ours.prompt.items():
        if key not in present:
            yield f"the tag {key} is gone"
        elif present[key] != value:
            yield f"the tag {key} says {present[key]}"
    # One of labels that says something else was set by a person.
    yield from (f"the tag {key} is gone" for key in ours.known if key not in present and key not in ours.prompt)
