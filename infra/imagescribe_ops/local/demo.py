"""The main job on one machine: images go up, and each one's prompt comes back, as it would on AWS."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import file_digest, sha256

from botocore.exceptions import ClientError

from imagescribe.model.record import Status
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.catalog_view import CatalogView, ImageRecord
from imagescribe_ops.following import until_final
from imagescribe_ops.local.describer import DescribeCall
from imagescribe_ops.local.pictures import LeftOut, Picture
from imagescribe_ops.local.stack import LocalStack
from imagescribe_ops.uploads import Uploaded, upload_all

LOOK_SECONDS = 0.2
STALL_SECONDS = 120.0
"""After so long without any image coming to its end, the demo gives up waiting. Retries back off, so it is generous."""

MAX_REASON_LENGTH = 120
MISSING = "missing"
"""Shown as the status of an image that has no record."""


@dataclass(frozen=True, slots=True)
class ImageResult:
    """What became of one image.

    Attributes
    ----------
    picture
        The file and its key.
    image
        ``s3://bucket/key``.
    status
        The catalog's word, or `MISSING`.
    tags
        All tags of the object at the end.
    seconds
        From the end of the upload until the catalog had the final status; None if it never had.
    error
        The catalog's reason where it was not described.
    rendered_from
        The kind of image that a JPEG was made of for the endpoint; empty where it took the image as it is.
    content
        The key of its content in the ledger.
    """

    picture: Picture
    image: str
    status: str
    prompt: str
    model: str
    tags: Mapping[str, str]
    seconds: float | None
    error: str
    rendered_from: str = ""
    content: str = ""


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What became of all of them.

    Attributes
    ----------
    model
        What described them; None for the simulator.
    paid_calls, usd
        What the simulator billed; a model's calls are counted, and what they cost is not known here.
    seconds
        From the first upload to the last image's end.
    problems
        Why this is not as it should be; empty when it is.
    """

    images: list[ImageResult]
    left_out: list[LeftOut]
    model: str | None
    paid_calls: int
    usd: float
    seconds: float
    problems: list[str] = field(default_factory=list)

    @property
    def described(self) -> int:
        """How many images were described."""
        return sum(image.status == Status.DESCRIBED for image in self.images)

    def as_json(self) -> dict[str, object]:
        """Return it for ``--json``."""
        return {
            "ok": not self.problems,
            "images": [
                {
                    "file": str(image.picture.path),
                    "key": image.picture.key,
                    "image": image.image,
                    "status": image.status,
                    "prompt": image.prompt,
                    "model": image.model,
                    "tags": dict(image.tags),
                    "seconds": image.seconds,
                    "error": image.error,
                    "rendered_from": image.rendered_from,
                }
                for image in self.images
            ],
            "left_out": [{"file": str(left.path), "reason": left.reason} for left in self.left_out],
            "model": self.model,
            "totals": {
                "described": self.described,
                "paid_calls": self.paid_calls,
                "usd": self.usd,
                "seconds": round(self.seconds, 2),
            },
            "problems": self.problems,
        }


class Demo:
    """Uploads pictures to a local stack and sees what becomes of them.

    Parameters
    ----------
    prompt_tag
        The name of the tag that takes the prompt.
    """

    def __init__(self, stack: LocalStack, prompt_tag: str = "prompt") -> None:
        self._stack = stack
        self._prompt_tag = prompt_tag
        self._bucket = stack.outputs.bucket_name
        self._derived = stack.outputs.derived_bucket_name
        self._s3 = stack.connection.s3()
        self._catalog = CatalogView(stack.connection, stack.outputs.catalog_table_name)

    def run(
        self, pictures: Sequence[Picture], left_out: Sequence[LeftOut], show: Callable[[ImageResult], None]
    ) -> DemoResult:
        """Upload, wait and judge; ``show`` is called for each image as soon as it came to its end."""
        began = time.monotonic()
        at: dict[str, float] = {}
        results: dict[str, ImageResult] = {}
        with readable_errors():
            uploaded: dict[str, Uploaded] = {}
            for one in upload_all(self._s3, self._bucket, pictures, {}):
                uploaded[one.image], at[one.image] = one, time.monotonic()
            images = {one.image: one.etag for one in uploaded.values()}
            for record in until_final(self._catalog, images, seconds=STALL_SECONDS, look_seconds=LOOK_SECONDS):
                seconds = round(time.monotonic() - at[record.image], 2)
                results[record.image] = self._result(uploaded[record.image], record, seconds)
                show(results[record.image])
            seconds = time.monotonic() - began
            late = {record.image: record for record in self._catalog.get_many(images.keys() - results.keys())}
            for image in images.keys() - results.keys():
                results[image] = self._result(uploaded[image], late.get(image), None)
                show(results[image])
        in_order = [results[f"s3://{self._bucket}/{picture.key}"] for picture in pictures]
        cloud = self._stack.cloud
        return DemoResult(
            images=in_order,
            left_out=list(left_out),
            model=cloud.describer.model.model if cloud.describer.model else None,
            paid_calls=sum(call.billed for call in cloud.describer.calls()),
            usd=0.0 if cloud.describer.model else cloud.simulator.counts().billed_usd,
            seconds=seconds,
            problems=self._problems(in_order),
        )

    def _result(self, one: Uploaded, record: ImageRecord | None, seconds: float | None) -> ImageResult:
        return ImageResult(
            picture=one.picture,
            image=one.image,
            status=record.status if record else MISSING,
            prompt=record.prompt if record else "",
            model=record.model if record else "",
            tags=self._tags(one.picture.key),
            seconds=seconds,
            error=record.error if record else "the catalog has no record of it",
            rendered_from=record.rendered_from if record else "",
            content=f"{record.etag}-{record.size}" if record else "",
        )

    def _tags(self, key: str) -> dict[str, str]:
        try:
            answer = self._s3.get_object_tagging(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                return {}
            raise
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def _digest_of_rendition(self, content: str) -> str:
        answer = self._s3.get_object(Bucket=self._derived, Key=f"renditions/{content}")
        with answer["Body"] as body:
            return sha256(body.read()).hexdigest()

    def _problems(self, results: Sequence[ImageResult]) -> list[str]:
        problems = []
        for result in results:
            key = result.picture.key
            if result.status != Status.DESCRIBED:
                problems.append(
                    f"{key} was not described: {result.status}" + (f" ({result.error})" * bool(result.error))
                )
                continue
            if not result.prompt:
                problems.append(f"{key} has an empty prompt in the catalog")
            if not result.tags.get(self._prompt_tag):
                problems.append(f"{key} has no tag {self._prompt_tag!r}")
            lost = [name for name, value in result.picture.tags.items() if result.tags.get(name) != value]
            if lost:
                problems.append(f"{key} lost its own tags {', '.join(lost)}")
        described = {
            self._digest_of_rendition(result.content) if result.rendered_from else _digest(result.picture)
            for result in results
            if result.status == Status.DESCRIBED
        }
        problems += payment_problems(self._stack.cloud.describer.calls(), described)
        dead = QueueDepth.read(self._stack.connection, self._stack.outputs.dead_letter_queue_url).total
        if dead:
            problems.append(f"{dead} message{'s' * (dead > 1)} on the dead-letter queue")
        return problems


def _digest(picture: Picture) -> str:
    with picture.path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def payment_problems(calls: Sequence[DescribeCall], described: set[str]) -> list[str]:
    """Say which contents were not paid for exactly once.

    Parameters
    ----------
    calls
        Of whoever described.
    described
        SHA-256 of each content that was described, or of the JPEG that was made of it.
    """
    paid = Tally(call.sha256 for call in calls if call.billed)
    twice = [digest for digest, times in paid.items() if times > 1]
    never = described - paid.keys()
    extra = paid.keys() - described - {None}
    problems = []
    if twice:
        problems.append(f"{len(twice)} of the contents were paid for more than once")
    if never:
        problems.append(f"{len(never)} of the contents were described without a paid call")
    if extra:
        problems.append(f"{len(extra)} of the contents were paid for and not described")
    return problems
