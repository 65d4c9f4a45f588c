"""Finding prompts: in the file of the snapshot, and in memory for what was described since."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import apsw

from imagescribe.query.index_file import Document, create_index
from imagescribe.query.records import Entry
from imagescribe.query.words import Tokenizer

MAX_WORDS_OF_PREFIXES: Final = 64
"""As many words are looked for in place of the beginnings in a query: the commonest that begin so."""

MAX_RANKED: Final = 10_000
"""Matches that are ranked: the newest."""

_MAP_BYTES: Final = 4 * 2**30
_FIRST_WINDOW: Final = 20_000
_STRETCH: Final = 100
"""Matches that are taken at a time: a page needs no more, as a rule."""
_LAST_CHARACTER: Final = chr(0x10FFFF)

# BM25 with the usual constants: https://sqlite.org/fts5.html#the_bm25_function
_K1: Final = 1.2
_B: Final = 0.75
_WORDS_OF_A_PROMPT: Final = 100
"""About the average; it need not be exact, since only long and short prompts are told apart by it."""


@dataclass(frozen=True, slots=True)
class Range:
    """Which entries are asked for besides the query.

    Attributes
    ----------
    since, until
        Milliseconds since 1970; the first is included, the last is not.
    before
        Only what comes after this one in an answer, where the newest is the first.
    prefix
        Of the image's address.
    """

    since: int = 0
    until: int = 2**62
    before: Entry | None = None
    prefix: str = ""

    @property
    def end(self) -> Entry:
        """The first entry that is too new."""
        until = Entry(self.until, "")
        return min(until, self.before) if self.before else until

    def has(self, entry: Entry) -> bool:
        """Say whether an entry is among them."""
        return self.since <= entry.at and entry < self.end and entry.image.startswith(self.prefix)


@dataclass(frozen=True, slots=True, order=True)
class Scored:
    """An entry and how well it fits; more is better."""

    score: float
    entry: Entry


type Words = list[tuple[str, str, int]]
"""Words with their stems, and how many prompts have each stem."""


class SnapshotIndex:
    """The file of an index, open to read."""

    def __init__(self, path: Path) -> None:
        # immutable: nobody writes to it, so SQLite need not lock or look for a journal.
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        self._connection = apsw.Connection(f"file:{quote(str(path))}?immutable=1", flags=flags)
        self._connection.execute(f"PRAGMA mmap_size = {_MAP_BYTES}")
        self._scores = _Scores(self._connection)
        (self.images, self.complete_until), *_ = self._rows("SELECT images, complete_until FROM about")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def beginning_with(self, beginning: str) -> Words:
        """Return the commonest words that begin so, one for each stem."""
        return self._rows(
            "SELECT min(word), stem, documents FROM words JOIN stems USING (stem) WHERE word >= ? AND word < ?"
            " GROUP BY stem ORDER BY documents DESC LIMIT ?",
            beginning,
            beginning + _LAST_CHARACTER,
            MAX_WORDS_OF_PREFIXES,
        )

    def documents_with(self, stem: str) -> int:
        """Return how many prompts have a word with this stem."""
        rows = self._rows("SELECT documents FROM stems WHERE stem = ?", stem)
        return int(rows[0][0]) if rows else 0

    def newest(self, expression: str, wanted: Range) -> Iterator[tuple[list[Entry], Entry]]:
        """Yield what matches, newest first, a stretch of the rows at a time.

        A common word is found in the first stretch. A rare one makes them longer, so that it needs few more.

        Yields
        ------
        list of Entry, Entry
            What was found in the stretch, and the oldest entry that it reached.
        """
        high, lowest = self._first_id(wanted.end) - 1, self._first_id(Entry(wanted.since, ""))
        window = _FIRST_WINDOW
        while high >= lowest:
            low = max(lowest, high - window + 1)
            rows = self._connection.execute(
                "SELECT images.at, images.image FROM prompts JOIN images ON images.id = prompts.rowid"
                " WHERE prompts MATCH ?1 AND prompts.rowid BETWEEN ?2 AND ?3"
                " AND (?4 = '' OR (images.image >= ?4 AND images.image < ?4 || ?5)) ORDER BY prompts.rowid DESC",
                (expression, low, high, wanted.prefix, _LAST_CHARACTER),
            )
            found: list[Entry] = []
            for at, image in rows:
                found.append(Entry(at, image))
                if len(found) == _STRETCH:
                    yield found, found[-1]
                    found = []
            yield found, self._entry(low)
            high, window = low - 1, window * 4

    def best(self, expression: str, weights: Sequence[float], wanted: Range) -> Iterator[Scored]:
        """Yield the newest matches, `MAX_RANKED` at most, the best first, and of equally good ones the newest."""
        high, low = self._first_id(wanted.end) - 1, self._first_id(Entry(wanted.since, ""))
        self._scores.weights = weights
        ranked = self._rows(
            "SELECT score, rowid FROM (SELECT score(prompts) AS score, rowid FROM prompts"
            " WHERE prompts MATCH ? AND rowid BETWEEN ? AND ? ORDER BY rowid DESC LIMIT ?)"
            " ORDER BY score DESC, rowid DESC",
            expression,
            low,
            high,
            MAX_RANKED,
        )
        for score, row in ranked:
            entry = self._entry(row)
            if entry.image.startswith(wanted.prefix):
                yield Scored(score, entry)

    def _first_id(self, entry: Entry) -> int:
        """Return the first row that is not before an entry."""
        rows = range(1, self.images + 1)
        return 1 + bisect_left(rows, entry, key=self._entry)

    def _entry(self, row: int) -> Entry:
        at, image = self._rows("SELECT at, image FROM images WHERE id = ?", row)[0]
        return Entry(at, image)

    def _rows(self, statement: str, *values: Any) -> list[Any]:
        return list(self._connection.execute(statement, values))


class FreshIndex:
    """An index in memory of what was described since the snapshot: of each image, the newest record."""

    def __init__(self) -> None:
        self._connection = apsw.Connection(":memory:")
        create_index(self._connection)
        self._scores = _Scores(self._connection)
        self.tokenizer = Tokenizer(self._connection)
        self._entries: list[Entry] = []  # of each row
        self._newest: dict[str, Entry] = {}
        self._stems: dict[str, str] = {}
        self._documents: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._newest)

    def newest_of(self, image: str) -> Entry | None:
        """Return what is known of an image; None where it was not described since the snapshot."""
        return self._newest.get(image)

    def add(self, documents: Iterable[Document]) -> None:
        """Add what is not there already."""
        with self._connection:
            for document in documents:
                entry = Entry(document.at, document.image)
                known = self._newest.get(entry.image)
                if known and known >= entry:
                    continue
                self._newest[entry.image] = entry
                self._entries.append(entry)
                row = (len(self._entries) - 1, document.prompt)
                self._connection.execute("INSERT INTO prompts (rowid, prompt) VALUES (?, ?)", row)
                words = self.tokenizer.words(document.prompt)
                self._stems |= {word.folded: word.stem for word in words}
                for stem in {word.stem for word in words}:
                    self._documents[stem] = self._documents.get(stem, 0) + 1

    def beginning_with(self, beginning: str) -> Words:
        """Return the words that begin so, one for each stem."""
        of_stem = {stem: word for word, stem in self._stems.items() if word.startswith(beginning)}
        return [(word, stem, self._documents[stem]) for stem, word in of_stem.items()]

    def documents_with(self, stem: str) -> int:
        """Return how many prompts have a word with this stem."""
        return self._documents.get(stem, 0)

    def newest(self, expression: str, wanted: Range) -> list[Entry]:
        """Return what matches, newest first."""
        rows = self._connection.execute("SELECT rowid FROM prompts WHERE prompts MATCH ?", (expression,))
        return sorted((entry for (row,) in rows if self._is_wanted(entry := self._entries[row], wanted)), reverse=True)

    def best(self, expression: str, weights: Sequence[float], wanted: Range) -> list[Scored]:
        """Return what matches, the best first, and of equally good ones the newest."""
        self._scores.weights = weights
        statement = "SELECT score(prompts), rowid FROM prompts WHERE prompts MATCH ?"
        rows: Iterable[Any] = self._connection.execute(statement, (expression,))
        scored = [Scored(score, entry) for score, row in rows if self._is_wanted(entry := self._entries[row], wanted)]
        return sorted(scored, reverse=True)

    def _is_wanted(self, entry: Entry, wanted: Range) -> bool:
        return self._newest[entry.image] == entry and wanted.has(entry)


class _Scores:
    """How well a row fits: BM25 with given weights of the phrases.

    FTS5's own `bm25` weighs a phrase by counting its rows, all of them, at each query; and in another index it comes to
    another weight, so that scores of two could not be compared.

    Attributes
    ----------
    weights
        Of each phrase that is looked for, in their order; those to be left out have none.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self.weights: Sequence[float] = ()
        connection.register_fts5_function("score", self._score)

    def _score(self, api: apsw.FTS5ExtensionApi, *_: apsw.SQLiteValue) -> float:
        norm = _K1 * (1 - _B + _B * api.column_size(0) / _WORDS_OF_A_PROMPT)
        score = 0.0
        for phrase, weight in enumerate(self.weights):
            if weight and (times := len(api.phrase_column_offsets(phrase, 0))):
                score += weight * times * (_K1 + 1) / (times + norm)
        return score
