"""What a backfill would do and cost, found by the same source and the same rules as the lister's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from itertools import batched
from random import Random
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from imagescribe.aws.s3 import HEAD_BYTES, MAX_SOURCE_BYTES
from imagescribe.aws.s3_listing import look
from imagescribe.backfill.lister import recorded
from imagescribe.backfill.selection import Recorded, Selection
from imagescribe.backfill.sources import Source
from imagescribe.model.kinds import image_type
from imagescribe.model.listing import Listed
from imagescribe.model.record import Status
from imagescribe_ops.backfill.distinct import DistinctCounter, Sample
from imagescribe_ops.errors import OperationError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client

LOOKED_INTO: Final = 5_000
"""Of each kind of names so many objects are looked into at the most, since names only promise what is in a file."""

BATCH_GET_TRIES: Final = 6

_KINDS: Final = {
    "jpg": "jpeg",
    "jpeg": "jpeg",
    "jpe": "jpeg",
    "png": "png",
    "webp": "webp",
    "heic": "heic",
    "heif": "heic",
    "avif": "avif",
    "tif": "tiff",
    "tiff": "tiff",
    "gif": "gif",
    "bmp": "bmp",
}
OTHER: Final = "other"
_ARCHIVED: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(slots=True)
class Estimate:
    """What a backfill would do.

    Attributes
    ----------
    objects, described, taken
        Listed, described already as they are, and those that would be sent.
    kinds, kind_bytes
        Of what would be sent, by the kind that the name promises.
    unfit
        Of what would be sent, what is skipped for nothing: by reason.
    models
        Of what would be described again, by the model that described it; under an empty name where that is not known.
    paid
        Copies of what is paid for already.
    duplicates
        Copies of each other, beyond the first.
    pays
        Calls that are paid.
    is_exact
        Whether the numbers are counted, and none is projected from a sample.
    """

    objects: int = 0
    described: int = 0
    taken: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    kind_bytes: Counter[str] = field(default_factory=Counter)
    unfit: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)
    paid: int = 0
    duplicates: int = 0
    pays: int = 0
    is_exact: bool = True


@dataclass(frozen=True)
class Estimator:
    """Estimates a backfill of one bucket.

    Parameters
    ----------
    pool
        For requests side by side.
    progress
        Called after each page with what was found so far.
    """

    s3: S3Client
    dynamodb: DynamoDBClient
    bucket: str
    key_prefix: str
    catalog_table: str
    ledger_table: str
    max_bytes_as_they_are: int
    pool: Executor
    progress: Callable[[Estimate], None] = lambda _estimate: None
    random: Random = field(default_factory=Random)

    def run(self, source: Source, selection: Selection, most: int) -> Estimate:
        """Read all of a source, as far as `most` images go (0: all), and estimate."""
        estimate = Estimate()
        groups = {promised: _Group(self.random) for promised in (True, False)}
        for page in self._pages(source, selection, estimate):
            pairs = page[: most - estimate.taken] if most else page
            taken = [listed for listed, _ in pairs]
            estimate.taken += len(taken)
            if selection.described_before:
                estimate.models.update(record.model for _, record in pairs if record)
            for listed in taken:
                kind = _kind(listed)
                estimate.kinds[kind] += 1
                estimate.kind_bytes[kind] += listed.size
            fit = [listed for listed in taken if not self._count_unfit(estimate, listed)]
            paid = set() if selection.described_before else self._paid({_content(listed) for listed in fit})
            estimate.paid += sum(_content(listed) in paid for listed in fit)
            for listed in fit:
                if _content(listed) not in paid:
                    groups[_kind(listed) != OTHER].add(listed)
            self.progress(estimate)
            if most and estimate.taken >= most:
                break
        self._look_into(groups.values(), estimate)
        return estimate

    def _pages(
        self, source: Source, selection: Selection, estimate: Estimate
    ) -> Iterator[list[tuple[Listed, Recorded | None]]]:
        """Yield what is taken of each page."""
        checkpoint: str | None = ""
        while checkpoint is not None:
            page = source.page(checkpoint)
            objects = [each for each in page.objects if each.key.startswith(self.key_prefix) and not each.is_folder]
            records = recorded(self.dynamodb, self.catalog_table, [self._image(each) for each in objects], self.pool)
            pairs = [(each, records.get(self._image(each))) for each in objects]
            if not source.is_current:
                pairs = self._look_again(pairs, selection)
            estimate.objects += len(objects)
            estimate.described += sum(
                record is not None and record.status == Status.DESCRIBED and record.etag == listed.etag
                for listed, record in pairs
            )
            yield [(listed, record) for listed, record in pairs if selection.takes(listed, record)]
            checkpoint = page.checkpoint

    def _look_again(
        self, pairs: Sequence[tuple[Listed, Recorded | None]], selection: Selection
    ) -> list[tuple[Listed, Recorded | None]]:
        def fresh(pair: tuple[Listed, Recorded | None]) -> Listed | None:
            listed, record = pair
            return look(self.s3, self.bucket, listed.key) if selection.may_take(listed, record) else listed

        looked = self.pool.map(fresh, pairs)
        return [(listed, record) for listed, (_, record) in zip(looked, pairs, strict=True) if listed]

    def _count_unfit(self, estimate: Estimate, listed: Listed) -> bool:
        if listed.storage_class in _ARCHIVED:
            estimate.unfit["archived"] += 1
        elif listed.size == 0:
            estimate.unfit["empty"] += 1
        elif listed.size > max(self.max_bytes_as_they_are, MAX_SOURCE_BYTES):
            estimate.unfit["too large"] += 1
        else:
            return False
        return True

    def _paid(self, contents: set[str]) -> set[str]:
        """Return those contents that the ledger has an answer for."""
        batches = batched(sorted(contents), 100)
        return {content for found in self.pool.map(self._paid_of_batch, batches) for content in found}

    def _paid_of_batch(self, contents: tuple[str, ...]) -> list[str]:
        keys: list[Any] = [{"content": {"S": content}} for content in contents]
        paid: list[str] = []
        for _ in range(BATCH_GET_TRIES):
            answer = self.dynamodb.batch_get_item(RequestItems={self.ledger_table: {"Keys": keys}})
            found = answer["Responses"].get(self.ledger_table, [])
            paid += [item["content"]["S"] for item in found if "body" in item]
            unprocessed: dict[str, Any] = dict(answer.get("UnprocessedKeys", {}))
            keys = unprocessed.get(self.ledger_table, {}).get("Keys", [])
            if not keys:
                return paid
        raise OperationError("DynamoDB is too busy to answer.", "Try again in a minute.")

    def _look_into(self, groups: Sequence[_Group] | Any, estimate: Estimate) -> None:
        """Find out how many of the objects are what their names promise, and what there is to pay."""
        for group in groups:
            if not group.sample.offered:
                continue
            are_images = list(self.pool.map(self._is_image, group.sample.taken))
            images = [listed for listed, is_image in zip(group.sample.taken, are_images, strict=True) if is_image]
            if group.sample.is_all:
                count, pays = len(images), len({_content(listed) for listed in images})
            else:
                share = len(images) / len(group.sample.taken)
                count = round(group.sample.offered * share)
                pays = min(count, round(group.contents.count() * share))
                estimate.is_exact = estimate.is_exact and group.contents.is_exact and share in (0, 1)
            estimate.unfit["no image"] += group.sample.offered - count
            estimate.duplicates += count - pays
            estimate.pays += pays
        estimate.unfit = +estimate.unfit

    def _is_image(self, listed: Listed) -> bool:
        try:
            answer = self.s3.get_object(Bucket=self.bucket, Key=listed.key, Range=f"bytes=0-{HEAD_BYTES - 1}")
        except ClientError:
            return False  # gone, or not to be read
        with answer["Body"] as body:
            return image_type(body.read()) is not None

    def _image(self, listed: Listed) -> str:
        return f"s3://{self.bucket}/{listed.key}"


class _Group:
    """Objects whose names promise the same."""

    def __init__(self, random: Random) -> None:
        self.contents = DistinctCounter()
        self.sample: Sample[Listed] = Sample(LOOKED_INTO, random)

    def add(self, listed: Listed) -> None:
        self.contents.add(_content(listed))
        self.sample.offer(listed)


def _kind(listed: Listed) -> str:
    return _KINDS.get(listed.key.rpartition(".")[2].lower(), OTHER)


def _content(listed: Listed) -> str:
    return f"{listed.etag}-{listed.size}"
