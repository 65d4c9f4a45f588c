"""An export: the records of a query, from the catalog into files, a hundred at a time.

They come in the order of their keys, which no change of a record disturbs, so the last key is all that is needed to go
on with an export that was stopped.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from itertools import batched
from typing import Protocol, Self

from imagescribe.model.record import Status
from imagescribe_ops.catalog_view import CatalogView, ImageRecord
from imagescribe_ops.errors import OperationError
from imagescribe_ops.local.processes import shielded

CHUNK = 100
"""Records that are written together: an interruption waits for that long."""

FIELDS = tuple(each.name for each in fields(ImageRecord))


@dataclass(frozen=True, slots=True)
class Query:
    """Which records are exported, and as what.

    Attributes
    ----------
    since
        ISO 8601, UTC: only records that changed then or later. Empty for all.
    """

    bucket: str
    prefix: str = ""
    status: Status | None = None
    since: str = ""
    form: str = ""

    def takes(self, record: ImageRecord) -> bool:
        """Whether a record under the prefix is one of them."""
        return (self.status is None or record.status == self.status) and record.updated_at >= self.since

    @property
    def digest(self) -> str:
        """Eight characters that another query, or one with other columns, does not have."""
        whole = [self.bucket, self.prefix, self.status, self.since, self.form, FIELDS]
        return sha256(json.dumps(whole).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far an export came.

    Attributes
    ----------
    key
        Of the last image that is done; empty where none is.
    size
        Bytes of the file then, 0 where it is none that can be gone on with.
    """

    key: str = ""
    size: int = 0

    def encoded(self, query: Query) -> str:
        """Return it as one word."""
        text = json.dumps([query.digest, self.size, self.key], ensure_ascii=False, separators=(",", ":"))
        return urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def decoded(cls, word: str, query: Query) -> Self:
        """Read it again.

        Raises
        ------
        OperationError
            It is none, or of another query.
        """
        try:
            digest, size, key = json.loads(urlsafe_b64decode(word + "=" * (-len(word) % 4)))
        except (ValueError, TypeError):
            digest, size, key = None, None, None
        if not (isinstance(size, int) and isinstance(key, str)):
            raise OperationError(
                "--after is no cursor of an export.", "Take it as an export printed it when it was stopped."
            )
        if digest != query.digest or not key.startswith(query.prefix):
            raise OperationError(
                "--after is the cursor of another export.",
                "Give the same stack, --prefix, --status, --since and --format as before.",
            )
        return cls(key, size)


class TornError(OperationError):
    """What was written ends nobody knows where, so that no cursor leads on from there."""


class Sink(Protocol):
    """Where records go."""

    @property
    def size(self) -> int:
        """Bytes of a file that can be gone on with, or 0."""

    def write(self, records: Sequence[ImageRecord]) -> None:
        """Write all of them or, if that fails, none, unless it is a `TornError`."""


class Export:
    """One run of an export.

    Parameters
    ----------
    sinks
        Of several the last is the one whose file must not have a record twice.

    Attributes
    ----------
    read, written
        Records that were looked at, and those that the query took.
    cursor
        How far it came: what is before it is written, and nothing after it is.
    """

    def __init__(
        self,
        view: CatalogView,
        query: Query,
        sinks: Sequence[Sink],
        cursor: Cursor,
        progress: Callable[[Export], None] = lambda _export: None,
    ) -> None:
        self._view = view
        self._query = query
        self._sinks = sinks
        self._progress = progress
        self.cursor = cursor
        self.read = 0
        self.written = 0

    def run(self) -> None:
        """Export what comes after the cursor."""
        records = self._view.walk(self._query.bucket, self._query.prefix, self.cursor.key)
        for chunk in batched(records, CHUNK):
            taken = [record for record in chunk if self._query.takes(record)]
            with shielded():
                for sink in self._sinks:
                    sink.write(taken)
                self.cursor = Cursor(chunk[-1].key, self._sinks[-1].size)
                self.read += len(chunk)
                self.written += len(taken)
            self._progress(self)
        if not self.read:
            for sink in self._sinks:
                sink.write([])  # a table without rows has a head still
