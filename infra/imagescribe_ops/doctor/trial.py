"""The proof: a small picture goes up, its prompt is waited for, and it is taken away again."""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from PIL import Image

from imagescribe.model.record import Status
from imagescribe_ops.catalog_view import UNFINISHED, CatalogView, ImageRecord
from imagescribe_ops.display import Steps, cut
from imagescribe_ops.doctor.examination import Examination
from imagescribe_ops.doctor.findings import Verdict, broken, warning, well

MAX_SECONDS: Final = 180.0
"""How long each step is waited for: a cold start, a poll of the queue and the slowest answer take less."""
LOOK_SECONDS: Final = 0.3
SIDE: Final = 256
PROMPT_LENGTH: Final = 100


@dataclass
class Trial:
    """One picture's way through the stack.

    Attributes
    ----------
    took
        Each step in a few words, with its seconds.
    """

    examination: Examination
    steps: Steps
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    took: list[str] = field(default_factory=list)

    def run(self) -> Verdict:
        """Lead a picture through the stack, and take it away again, whatever becomes of it."""
        s3, bucket = self.examination.s3, self.examination.outputs.bucket_name
        prefix = self.examination.parameters.get("KeyPrefix", "")
        key = f"{prefix}imagescribe-doctor-{secrets.token_hex(6)}.png"
        self._begin("Uploading a picture")
        answer = s3.put_object(Bucket=bucket, Key=key, Body=_picture(), ContentType="image/png")
        self._end("uploaded in {}")
        version: Any = {"VersionId": answer["VersionId"]} if answer.get("VersionId") else {}
        image = f"s3://{bucket}/{key}"
        try:
            verdict, record = self._follow(image)
        finally:
            s3.delete_object(Bucket=bucket, Key=key, **version)
        if record is None:
            return verdict
        self._begin("Taking it away")
        if self._until(image, lambda found: found is None) is not None:
            return warning(
                f"{', '.join(self.took)}, but the record of its deletion stays.",
                "Deletions may come late; `imagescribe audit --repair` takes out what stays behind.",
            )
        self._end("its record gone {} after its deletion")
        return Verdict(verdict.state, f"{', '.join(self.took)}. {verdict.found}", verdict.mend)

    def _follow(self, image: str) -> tuple[Verdict, ImageRecord | None]:
        self._begin("Waiting until the stack sees it")
        if self._until(image, lambda found: found is not None) is None:
            return broken(
                f"After {MAX_SECONDS:.0f} s nothing has seen the upload.",
                "See whether the describe function runs: `imagescribe logs`; and whether others wait before it: "
                "`imagescribe status`.",
            ), None
        self._end("seen {} later")
        self._begin("Waiting for its prompt")
        record = self._until(image, lambda found: found is None or found.status not in UNFINISHED)
        if record is None:
            return broken("Its record went away while it was described.", "Try it again."), None
        if record.status != Status.DESCRIBED:
            return broken(
                f"It is {record.status}: {record.error or f'no prompt after {MAX_SECONDS:.0f} s'}",
                "`imagescribe status` and `imagescribe logs` show what holds things up.",
            ), record
        self._end("described {} later")
        if record.tags == "denied":
            return warning(
                "Its tag could not be written: the bucket's policy does not let the describe function.",
                "Let its role do s3:PutObjectTagging in the bucket's policy, or deploy with WriteTags=false.",
            ), record
        return well(f"Its prompt: {cut(record.prompt, PROMPT_LENGTH)}"), record

    def _until(self, image: str, holds: Callable[[ImageRecord | None], bool]) -> ImageRecord | None:
        """Return an image's record as soon as something holds of it, or as it is when the time is over."""
        catalog = CatalogView(self.examination.connection, self.examination.outputs.catalog_table_name)
        began = self.clock()
        while True:
            record = catalog.get(image)
            if holds(record) or self.clock() - began > MAX_SECONDS:
                return record
            self.sleep(LOOK_SECONDS)

    def _begin(self, step: str) -> None:
        self.steps.begin(step)
        self._began = self.clock()

    def _end(self, words: str) -> None:
        self.steps.end()
        self.took.append(words.format(f"{self.clock() - self._began:.1f} s"))


def _picture() -> bytes:
    """Draw a picture that nobody has seen before: one that was paid for already would not be asked for."""
    noise = Image.frombytes("RGB", (4, 4), secrets.token_bytes(48))
    written = io.BytesIO()
    noise.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(written, "PNG")
    return written.getvalue()
