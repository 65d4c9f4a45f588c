"""A changed vocabulary, applied to what is in the catalog: no call is made, and nothing is paid to the endpoint.

Each image stands for itself, and what has its labels already is left as it is: a run that was stopped is gone on with
by the next one. An object's tags are written as when it was described, while it is the one that the record tells of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import batched
from typing import Any, Final

from botocore.exceptions import ClientError

from imagescribe.aws.s3 import Objects, error_code
from imagescribe.aws.vocabulary import Source
from imagescribe.model.labels import Vocabulary, VocabularyError
from imagescribe.model.record import Record, Status
from imagescribe.model.tags import OurTags, TagState
from imagescribe.stores.catalog import Catalog
from imagescribe.stores.dynamodb import get
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.catalog_view import CatalogView, upload_of
from imagescribe_ops.errors import NotFoundError, OperationError
from imagescribe_ops.operations import Operations

SIDE_BY_SIDE: Final = 16
CHUNK: Final = 100


class Result(StrEnum):
    """What became of an image."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    LEFT_ALONE = "left alone"  # the object or its record changed meanwhile, or is gone: it has an event of its own


@dataclass
class Report:
    """What a run did, or would do.

    Attributes
    ----------
    labels
        How many images have each label now.
    gained, lost
        How many got it, and how many have it no more.
    tags
        Objects whose tags of labels were looked at, by what became of them; `kept` where a person's stay.
    """

    results: Counter[Result] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    gained: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    tags: Counter[str] = field(default_factory=Counter)

    @property
    def described(self) -> int:
        """How many images with a prompt were looked at."""
        return self.results.total()


def read_vocabulary(operations: Operations) -> Vocabulary:
    """Read the vocabulary that a stack has now.

    Raises
    ------
    OperationError
        It can't be read, or is not written as one.
    """
    parameters, bucket = operations.parameters, operations.outputs.bucket_name
    source = Source(parameters.get("Labels", ""), bucket, parameters.get("LabelsKey", ""))
    with readable_errors():
        try:
            return source.read(operations.connection.s3())
        except VocabularyError as error:
            raise OperationError(
                f"The vocabulary is not right: {error}.",
                "Correct the stack's parameter Labels, or the file (LabelsKey).",
            ) from error
        except ClientError as error:
            if error_code(error) not in ("NoSuchKey", "404"):
                raise
            raise NotFoundError(
                f"There is no file s3://{bucket}/{source.key} (the stack's parameter LabelsKey).",
                f"Put it there: `aws s3 cp labels.txt s3://{bucket}/{source.key}`.",
            ) from error


class Relabelling:
    """One run.

    Parameters
    ----------
    is_dry
        Whether nothing is written.
    progress
        Called now and then with the report so far.
    """

    def __init__(
        self,
        operations: Operations,
        vocabulary: Vocabulary,
        *,
        is_dry: bool = False,
        progress: Callable[[Report], None] = lambda _report: None,
    ) -> None:
        connection, outputs = operations.connection, operations.outputs
        self._bucket = outputs.bucket_name
        self._vocabulary = vocabulary
        self._is_dry = is_dry
        self._progress = progress
        self._writes_tags = operations.parameters.get("WriteTags", "true") == "true"
        self._objects = Objects(connection.s3())
        self._view = CatalogView(connection, outputs.catalog_table_name)
        self._dynamodb, self._table = connection.dynamodb(), outputs.catalog_table_name
        self._catalog = Catalog(self._dynamodb, self._table)
        self.report = Report()

    def run(self, prefix: str = "") -> Report:
        """Relabel what is described under a prefix."""
        items = self._view.walk_items(self._bucket, prefix)
        with readable_errors(), ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for chunk in batched(items, CHUNK):
                described = [item for item in chunk if item["status"] == Status.DESCRIBED and item.get("prompt")]
                for item, (result, tags) in zip(described, pool.map(self._relabel, described), strict=True):
                    self._count(item, result, tags)
                self._progress(self.report)
        return self.report

    def _relabel(self, item: Mapping[str, Any]) -> tuple[Result, str]:
        """Relabel an image; say what became of it, and of its tags."""
        record = Record.of_item(item)
        labels = self._vocabulary.labels_of(record.prompt or "")
        wanted = self._vocabulary.tags(labels) if self._writes_tags else record.label_tags
        if labels == record.labels and wanted == record.label_tags:
            return Result.UNCHANGED, ""
        if self._is_dry:
            return Result.CHANGED if labels != record.labels else Result.UNCHANGED, ""
        upload = upload_of(item)
        label_tags, state = record.label_tags, ""
        if wanted != record.label_tags:
            head = self._objects.head(upload)
            is_same = head is not None and (head.etag, head.version_id) == (upload.etag, upload.version_id)
            tagging = self._objects.tag(upload, OurTags({}, wanted, record.label_tags)) if is_same else None
            if tagging is None:
                return Result.LEFT_ALONE, ""
            label_tags, state = tagging.labels, str(tagging.state)
            if tagging.state is TagState.WRITTEN and tagging.labels != wanted:
                state = "kept"
        if labels == record.labels and label_tags == record.label_tags:
            return Result.UNCHANGED, state
        if self._catalog.relabel(
            upload, item["updated_at"], labels, None if label_tags == record.label_tags else label_tags
        ):
            return Result.CHANGED, state
        if label_tags != record.label_tags and upload.version_id is None:
            # It was overwritten after we looked, and whoever describes it would take our tags for a person's.
            now = get(self._dynamodb, self._table, {"image": upload.image}) or {}
            self._objects.tag(upload, OurTags(labels=now.get("label_tags") or {}, known=label_tags))
        return Result.LEFT_ALONE, ""

    def _count(self, item: Mapping[str, Any], result: Result, tags: str) -> None:
        before, now = set(item.get("labels") or ()), self._vocabulary.labels_of(item["prompt"])
        report = self.report
        report.results[result] += 1
        if tags:
            report.tags[tags] += 1
        if result is Result.LEFT_ALONE:
            report.labels.update(before)
            return
        report.labels.update(now)
        report.gained.update(now - before)
        report.lost.update(before - now)
