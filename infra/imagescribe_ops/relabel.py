"""Changed settings, applied to what is in the catalog: no call is made, and nothing is paid to the endpoint.

They are the vocabulary, and whether objects bear annotations. Each image stands for itself, and what has its labels and
its annotation already is left as it is: a run that was stopped is gone on with by the next one. An object's tags and
annotation are written as when it was described, while it is the one that the record tells of.
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

from imagescribe.aws.annotations import NAME, annotation_text, refused
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
    annotations
        Objects that had none, by what became of that; `missing` where it is to be written by a run that is not dry.
    """

    results: Counter[Result] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    gained: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    tags: Counter[str] = field(default_factory=Counter)
    annotations: Counter[str] = field(default_factory=Counter)

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
    vocabulary
        None where labels stay as they are.
    is_dry
        Whether nothing is written.
    progress
        Called now and then with the report so far.
    """

    def __init__(
        self,
        operations: Operations,
        vocabulary: Vocabulary | None,
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
        self._annotates = operations.parameters.get("WriteAnnotation") == "true"
        self._s3 = connection.s3()
        self._objects = Objects(self._s3)
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
                for item, result in zip(described, pool.map(self._relabel, described), strict=True):
                    self._count(item, *result)
                self._progress(self.report)
        return self.report

    def _relabel(self, item: Mapping[str, Any]) -> tuple[Result, str, str]:
        """Relabel and annotate an image; say what became of it, of its tags and of its annotation."""
        record = Record.of_item(item)
        labels = self._labels_of(item)
        wanted = record.label_tags
        if self._vocabulary is not None and self._writes_tags:
            wanted = self._vocabulary.tags(labels)
        is_missing = self._annotates and item.get("annotation") != TagState.WRITTEN
        result = Result.UNCHANGED if labels == record.labels else Result.CHANGED
        if self._is_dry or (result is Result.UNCHANGED and wanted == record.label_tags and not is_missing):
            return result, "", "missing" if is_missing else ""
        upload = upload_of(item)
        label_tags, state, annotation = record.label_tags, "", None
        if is_missing:
            annotation = self._annotate(item)
            if annotation is None:
                return Result.LEFT_ALONE, "", ""
        if wanted != record.label_tags:
            head = self._objects.head(upload)
            is_same = head is not None and (head.etag, head.version_id) == (upload.etag, upload.version_id)
            tagging = self._objects.tag(upload, OurTags({}, wanted, record.label_tags)) if is_same else None
            if tagging is None:
                return Result.LEFT_ALONE, "", ""
            label_tags, state = tagging.labels, str(tagging.state)
            if tagging.state is TagState.WRITTEN and tagging.labels != wanted:
                state = "kept"
        new_tags = None if label_tags == record.label_tags else label_tags
        if result is Result.UNCHANGED and new_tags is None and annotation in (None, item.get("annotation")):
            return result, state, annotation or ""
        if self._catalog.relabel(upload, item["updated_at"], labels, new_tags, annotation):
            return result, state, annotation or ""
        # It was described anew or overwritten after we looked, and what we wrote may stand over what is new.
        now = get(self._dynamodb, self._table, {"image": upload.image}) or {}
        if annotation is TagState.WRITTEN and now.get("prompt"):
            self._annotate(now)
        if new_tags is not None and upload.version_id is None:
            # Whoever describes it would take our tags for a person's.
            self._objects.tag(upload, OurTags(labels=now.get("label_tags") or {}, known=new_tags))
        return Result.LEFT_ALONE, "", ""

    def _labels_of(self, item: Mapping[str, Any]) -> frozenset[str]:
        if self._vocabulary is None:
            return frozenset(item.get("labels") or ())
        return self._vocabulary.labels_of(item["prompt"])

    def _annotate(self, item: Mapping[str, Any]) -> TagState | None:
        """Write a record's prompt onto its object. None where that is another one by now."""
        version: dict[str, Any] = {"VersionId": item["version_id"]} if item.get("version_id") else {}
        try:
            self._s3.put_object_annotation(
                Bucket=item["bucket"],
                Key=item["key"],
                AnnotationName=NAME,
                AnnotationPayload=annotation_text(item["prompt"], item.get("model"), item["described_at"]).encode(),
                ObjectIfMatch=f'"{item["etag"]}"',
                **version,
            )
        except ClientError as error:
            return refused(error)
        return TagState.WRITTEN

    def _count(self, item: Mapping[str, Any], result: Result, tags: str, annotation: str) -> None:
        before, now = set(item.get("labels") or ()), self._labels_of(item)
        report = self.report
        report.results[result] += 1
        report.tags.update([tags] if tags else [])
        report.annotations.update([annotation] if annotation else [])
        if result is Result.LEFT_ALONE:
            report.labels.update(before)
            return
        report.labels.update(now)
        report.gained.update(now - before)
        report.lost.update(before - now)
