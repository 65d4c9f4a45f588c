"""Search: the snapshot, what was described since, and the catalog, which has the last word.

The snapshot lies in the function's own storage. A newer one is taken when there is one, and before each answer what
the catalog's index `by-described` tells of since then is added in memory. Every hit is looked up in the catalog before
it is shown: what was deleted, overwritten or described anew since is left out, however old the index.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge, nlargest
from itertools import islice
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.log import logger
from imagescribe.model.record import Status
from imagescribe.model.times import iso_utc
from imagescribe.query import cursors
from imagescribe.query.grammar import Query, Term
from imagescribe.query.index import MAX_RANKED, MAX_WORDS_OF_PREFIXES, FreshIndex, Range, SnapshotIndex
from imagescribe.query.index_file import Document
from imagescribe.query.pages import MAX_EXAMINED
from imagescribe.query.reader import BATCH_GET_LIMIT
from imagescribe.query.records import Entry, ImageRecord
from imagescribe.query.words import matches

if TYPE_CHECKING:
    from imagescribe.query.reader import CatalogReader
    from imagescribe.query.snapshot import Snapshots

LATENESS_MS: Final = 30_000
"""How long after its own time a record can appear in the index: a write is tried for 22 s (`AWS_CONFIG`)."""

NO_SNAPSHOT_MS: Final = 2 * 86_400_000
"""How far back is looked while there is no snapshot yet: the first is made within minutes of a deployment."""

SNAPSHOT_CHECK_SECONDS: Final = 60.0
SEARCH_SECONDS: Final = 1.0
"""A search that is not done by then ends with what it has, and a cursor."""


@dataclass(frozen=True, slots=True)
class Hit:
    """An image that was found.

    Attributes
    ----------
    matches
        Where in the prompt the words stand that it was found by: first character, and the one after the last.
    """

    record: ImageRecord
    matches: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Hits:
    """A page of hits.

    Attributes
    ----------
    after
        The cursor of the next page; empty where there is none.
    """

    hits: list[Hit]
    after: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """What is searched.

    Attributes
    ----------
    snapshot, fresh
        How many images are in the snapshot, and how many were described since.
    is_complete
        False until the first snapshot was made: then only the last two days are searched.
    """

    snapshot: int
    fresh: int
    complete_until: str
    is_complete: bool


class Search:
    """Finds images by their prompts.

    Parameters
    ----------
    directory
        Where the snapshot is kept.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        catalog: CatalogReader,
        directory: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._snapshots = snapshots
        self._catalog = catalog
        self._directory = directory
        self._clock = clock
        self._etag = ""
        self._checked_at = float("-inf")
        self._snapshot: SnapshotIndex | None = None
        self._fresh = FreshIndex()
        self._complete_until = 0

    # ── Being up to date ─────────────────────────────────────────────────────────────────────────────────────────────

    def refresh(self) -> None:
        """Take a newer snapshot if there is one, and add what was described since."""
        now = self._clock()
        if now - self._checked_at >= SNAPSHOT_CHECK_SECONDS:
            self._take_snapshot(now)
            self._checked_at = now
        told = self._catalog.described_since(self._complete_until - LATENESS_MS)
        unknown = [entry.image for entry in told if not self._knows(entry)]
        self._fresh.add(
            Document(record.entry.at, record.image, record.prompt)
            for record in self._catalog.get_many(unknown)
            if record.status == Status.DESCRIBED
        )
        self._complete_until = max(self._complete_until, int(now * 1000))

    def _knows(self, entry: Entry) -> bool:
        known = self._fresh.newest_of(entry.image)
        return known is not None and known >= entry

    def _take_snapshot(self, now: float) -> None:
        path = self._directory / "index.sqlite"
        try:
            etag = self._snapshots.fetch(path, self._etag)
        except (ClientError, BotoCoreError):
            if self._snapshot is None:
                raise
            logger.exception("the snapshot could not be fetched; the one before is used")
            return
        if etag == self._etag and self._complete_until:
            return
        if self._snapshot:
            self._snapshot.close()
        self._etag = etag
        self._snapshot = SnapshotIndex(path) if etag else None
        self._fresh = FreshIndex()
        self._complete_until = self._snapshot.complete_until if self._snapshot else int(1000 * now) - NO_SNAPSHOT_MS
        logger.info("took a snapshot", extra={"etag": etag, "images": self._snapshot.images if self._snapshot else 0})

    def coverage(self) -> Coverage:
        """Return what is searched."""
        self.refresh()
        return Coverage(
            snapshot=self._snapshot.images if self._snapshot else 0,
            fresh=len(self._fresh),
            complete_until=iso_utc(self._complete_until / 1000),
            is_complete=self._snapshot is not None,
        )

    # ── Answering ────────────────────────────────────────────────────────────────────────────────────────────────────

    def newest(self, query: Query, wanted: Range, limit: int, label: str = "") -> Hits:
        """Return the newest images that match, as they are in the catalog at this moment.

        Parameters
        ----------
        label
            Only images that have it. The index knows of no labels: the records of all other matches are looked at too,
            so a page ends after `MAX_EXAMINED` of them with what it has, and a cursor.
        """
        self.refresh()
        ends_at = self._clock() + SEARCH_SECONDS
        expression, _ = self._expression(query)
        hits: list[Hit] = []
        examined = 0
        for found, reached in self._stretches(expression, wanted):
            place = 0
            while place < len(found):
                batch = found[place : place + _looked_up(limit - len(hits), label)]
                place += len(batch)
                examined += len(batch)
                hits += self._checked(query, batch, label)
                if len(hits) >= limit:
                    last = hits[limit - 1].record.entry
                    is_last = last == found[-1] and reached is None
                    return Hits(hits[:limit], "" if is_last else _cursor(last))
                if label and examined >= MAX_EXAMINED:
                    return Hits(hits, _cursor(batch[-1]))
            if reached and self._clock() > ends_at:
                return Hits(hits, _cursor(reached))
        return Hits(hits, "")

    def best(self, query: Query, wanted: Range, limit: int, skip: int = 0, label: str = "") -> Hits:
        """Return the images that match best, of the newest ones that match at all; by label as `newest` does."""
        self.refresh()
        expression, weights = self._expression(query)
        of_snapshot = self._snapshot.best(expression, weights, wanted) if self._snapshot else iter(())
        of_snapshot = (each for each in of_snapshot if self._fresh.newest_of(each.entry.image) is None)
        ranked = merge(self._fresh.best(expression, weights, wanted), of_snapshot, reverse=True)
        entries = (each.entry for each in islice(ranked, skip, MAX_RANKED))
        hits: list[Hit] = []
        examined = 0
        while batch := list(islice(entries, _looked_up(limit - len(hits), label))):
            hits += self._checked(query, batch, label)
            if len(hits) >= limit:
                last = batch.index(hits[limit - 1].record.entry) + 1
                is_last = last == len(batch) and next(entries, None) is None
                return Hits(hits[:limit], "" if is_last else cursors.encode((skip + examined + last,)))
            examined += len(batch)
            if label and examined >= MAX_EXAMINED:
                return Hits(hits, cursors.encode((skip + examined,)))
        return Hits(hits, "")

    def _stretches(self, expression: str, wanted: Range) -> Iterator[tuple[list[Entry], Entry | None]]:
        """Yield what matches, newest first, and down to which entry that is all; None at the end."""
        fresh = self._fresh.newest(expression, wanted)
        for found, reached in self._snapshot.newest(expression, wanted) if self._snapshot else ():
            of_snapshot = [entry for entry in found if self._fresh.newest_of(entry.image) is None]
            newer = [entry for entry in fresh if entry >= reached]
            fresh = fresh[len(newer) :]
            yield sorted(newer + of_snapshot, reverse=True), reached
        yield fresh, None

    def _checked(self, query: Query, entries: list[Entry], label: str) -> list[Hit]:
        """Return those that are in the catalog still as they were found, and have the label if there is one."""
        records = self._catalog.get_many((entry.image for entry in entries), consistent=True)
        found = set(entries)
        return [
            Hit(record, matches(query, record.prompt, self._fresh.tokenizer))
            for record in records
            if record.status == Status.DESCRIBED and record.entry in found and (not label or label in record.labels)
        ]

    def _expression(self, query: Query) -> tuple[str, list[float]]:
        """Return a query as the indexes take it, and how much each of its phrases tells."""
        prefixes = [term for term in query.all_terms if term.is_prefix]
        most = max(1, MAX_WORDS_OF_PREFIXES // max(1, len(prefixes)))

        def alternatives(term: Term) -> list[str]:
            if not term.is_prefix:
                return [term.text]
            # It matches nothing as it is, but what has no word for it must be no error either.
            words = self._beginning_with(term.words[-1], most) or [term.words[-1]]
            return [" ".join([*term.words[:-1], word]) for word in words]

        expression, terms = query.expression(alternatives)
        return expression, [self._weight(term) for term in terms]

    def _beginning_with(self, beginning: str, most: int) -> list[str]:
        """Return the commonest words that begin so."""
        words = self._fresh.tokenizer.words(beginning)
        if not words:
            return []
        folded = words[-1].folded
        found: dict[str, tuple[str, int]] = {}
        of_snapshot = self._snapshot.beginning_with(folded) if self._snapshot else []
        for word, stem, documents in of_snapshot + self._fresh.beginning_with(folded):
            known, before = found.get(stem, (word, 0))
            found[stem] = known, before + documents
        return [word for word, _ in nlargest(most, found.values(), key=lambda pair: pair[1])]

    def _weight(self, term: Term) -> float:
        """Return how much a term tells: the rarer, the more (the idf of BM25). A beginning tells nothing."""
        if term.is_prefix:
            return 0.0
        images = (self._snapshot.images if self._snapshot else 0) + len(self._fresh)
        rarest = min(images, *map(self._documents_with, term.words))
        return log(1 + (images - rarest + 0.5) / (rarest + 0.5))

    def _documents_with(self, word: str) -> int:
        words = self._fresh.tokenizer.words(word)
        if not words:
            return 0
        of_snapshot = self._snapshot.documents_with(words[0].stem) if self._snapshot else 0
        return of_snapshot + self._fresh.documents_with(words[0].stem)


def _looked_up(missing: int, label: str) -> int:
    """Return how many records are looked up together: few matches may have the label."""
    return BATCH_GET_LIMIT if label else missing


def _cursor(entry: Entry) -> str:
    return cursors.encode((entry.at, entry.image))
