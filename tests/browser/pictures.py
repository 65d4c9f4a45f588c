"""The pictures of the gallery under test, with the prompts that they have there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from imagescribe.model.events import Upload
from imagescribe.model.outcomes import Deferred
from imagescribe.model.record import Status
from imagescribe.model.tags import TagState, tag_value
from imagescribe.model.times import iso_utc
from imagescribe_ops.local.pictures import samples
from imagescribe_ops.simulator.picture import describe
from tests.factories import make_picture, make_upload, unique
from tests.unit.stack_in_moto import StackInMoto

RIGHT_TO_LEFT: Final = "قارب أحمر عند الغسق \N{RIGHT-TO-LEFT OVERRIDE}gnp.exe"
HOSTILE: Final = {
    "hostile/markup.png": '<img src=x onerror="document.title=\'run\'"><script>document.title="run"</script> zebra',
    "hostile/right-to-left.png": RIGHT_TO_LEFT,
    "hostile/long.png": "endless " * 2_500,
    "hostile/one-word.png": "x" * 20_000,
}
SCAN: Final = "scans/page.tiff"
SEARCHABLE: Final = {"boats/dusk.png": "A red boat at dusk on a calm lake", "boats/noon.png": "A blue boat at noon"}
LABELS: Final = {"boats/dusk.png": frozenset({"boat", "dusk"})}
WITHOUT_PROMPT: Final = {
    "refused.png": (Status.REJECTED, "the endpoint refused it (422): inference failed"),
    "notes.txt": (Status.SKIPPED, "not an image of a known kind (by its first bytes)"),
    "late.png": (Status.WAITING, "the endpoint's limit is reached"),
}


@dataclass
class Shelf:
    """A stack's bucket and catalog, filled as its functions would fill them."""

    stack: StackInMoto

    def fill(self) -> None:
        """Put everything there: the samples last, so that they are seen first."""
        for number, key in enumerate([*SEARCHABLE, *HOSTILE]):
            colour = f"hsl({(number * 67) % 360}, 50%, 50%)"
            self.describe(key, make_picture(colour, (320, 240)), (SEARCHABLE | HOSTILE)[key], {"project": "lake"})
        for key, (status, reason) in WITHOUT_PROMPT.items():
            content = b"not a picture" if key.endswith(".txt") else make_picture()
            self._leave(key, content, status, reason)
        self.describe(SCAN, make_picture("teal", (900, 600), "TIFF"), "A scan of a teal page")
        for sample in samples().pictures:
            content = sample.path.read_bytes()
            self.describe(sample.key, content, describe(content), sample.tags)

    def describe(self, key: str, content: bytes, prompt: str, tags: Mapping[str, str] | None = None) -> None:
        """Let a picture be uploaded and described."""
        upload = self._upload(key, content, {**(tags or {}), "prompt": tag_value(prompt)})
        self.stack.catalog.open(upload)
        at = iso_utc(self.stack.clock())
        model, labels = "ideogram-describe", LABELS.get(key, frozenset())
        self.stack.catalog.describe(upload, at, prompt, TagState.WRITTEN, 1, model=model, labels=labels)

    def describe_again(self, prompt: str) -> str:
        """Do as the describe function does with the message that waits for it; return the image's key."""
        until = time.monotonic() + 30
        while not self.stack.message_ids("UploadQueueUrl"):
            assert time.monotonic() < until, "nothing was sent to be described"
            time.sleep(0.02)
        upload = self.stack.sent_upload()
        self.stack.clock.now = time.time()
        self.stack.catalog.open(upload)
        self.stack.catalog.describe(upload, iso_utc(time.time()), prompt, TagState.WRITTEN, 1)
        self.stack.sqs.purge_queue(QueueUrl=self.stack.outputs["UploadQueueUrl"])
        return upload.key

    def _leave(self, key: str, content: bytes, status: Status, reason: str) -> None:
        upload = self._upload(key, content)
        self.stack.catalog.open(upload)
        if status is Status.WAITING:
            self.stack.catalog.wait(upload, Deferred(self.stack.clock() + 3600, reason), 0)
        else:
            self.stack.catalog.give_up(upload, status, reason, 1)

    def _upload(self, key: str, content: bytes, tags: Mapping[str, str] | None = None) -> Upload:
        self.stack.clock.sleep(0.01)
        answer = self.stack.s3.put_object(
            Bucket=self.stack.bucket, Key=key, Body=content, Tagging=urlencode(tags or {})
        )
        return make_upload(
            bucket=self.stack.bucket,
            key=key,
            etag=answer["ETag"].strip('"'),
            size=len(content),
            version_id=None,
            sequencer=f"{unique('0').replace('-', ''):0>20}",
            uploaded_at=iso_utc(self.stack.clock()),
        )
