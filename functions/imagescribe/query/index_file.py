"""The file of the index: an SQLite database that is written once, as a whole, and only read from then on.

================  =================================================================================
table ``prompts`` FTS5 over the prompts. It has no copy of them (contentless): the catalog has them
table ``images``   of each row the image and its time, in milliseconds; rows stand in order of time
table ``words``    each word that occurs, with its stem
table ``stems``    each stem, and how many prompts have it
table ``about``    the format, how many images, and until when it is complete
================  =================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Final

import apsw

from imagescribe.query.words import TOKENIZER, Tokenizer

FORMAT: Final = 1
"""Another number for every change of what is in the file or how words are split."""


_CACHE_KIB: Final = 64 * 1024
_HASH_BYTES: Final = 64 * 2**20  # FTS5 keeps as much before it writes a segment; the fewer, the less is merged
_ROWS: Final = 1_000


@dataclass(frozen=True, slots=True)
class Document:
    """A prompt to be found.

    Attributes
    ----------
    at
        When its record was written, in milliseconds since 1970.
    """

    at: int
    image: str
    prompt: str


def create_index(connection: apsw.Connection) -> None:
    """Create an empty index of prompts."""
    tokenizer = " ".join(TOKENIZER)
    connection.execute(f"CREATE VIRTUAL TABLE prompts USING fts5(prompt, content='', tokenize='{tokenizer}')")


def build(path: Path, documents: Iterable[Document], complete_until: int) -> int:
    """Write the file of an index, and return how many documents it has.

    Memory is bounded by SQLite's caches and by the number of different words; documents are sorted on the disk, where
    twice their size is needed for that.

    Parameters
    ----------
    documents
        In any order.
    complete_until
        Everything that was described until then is among them: milliseconds since 1970.
    """
    sorting = path.with_suffix(".sorting")
    path.unlink(missing_ok=True)
    sorting.unlink(missing_ok=True)
    connection = apsw.Connection(str(path))
    try:
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}", "temp_store = FILE"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("ATTACH ? AS sorting", (str(sorting),))
        connection.execute("PRAGMA sorting.journal_mode = OFF")
        with connection:
            count, words = _collect(connection, documents)
            _index(connection)
            _list_words(connection, words)
            _describe(connection, count, complete_until)
        connection.execute("DETACH sorting")
    finally:
        connection.close()
        sorting.unlink(missing_ok=True)
    return count


def _collect(connection: apsw.Connection, documents: Iterable[Document]) -> tuple[int, set[str]]:
    connection.execute("CREATE TABLE sorting.documents (at INTEGER, image TEXT, prompt TEXT)")
    count, words = 0, set[str]()
    for rows in batched(documents, _ROWS):
        connection.executemany(
            "INSERT INTO sorting.documents VALUES (?, ?, ?)", [(row.at, row.image, row.prompt) for row in rows]
        )
        for row in rows:
            words.update(row.prompt.split())
        count += len(rows)
    return count, words


def _index(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE images (id INTEGER PRIMARY KEY, at INTEGER, image TEXT)")
    create_index(connection)
    connection.execute("INSERT INTO prompts (prompts, rank) VALUES ('hashsize', ?)", (_HASH_BYTES,))
    documents = connection.execute("SELECT at, image, prompt FROM sorting.documents ORDER BY at, image")
    numbered = ((number, *document) for number, document in enumerate(documents, start=1))
    for rows in batched(numbered, _ROWS):
        connection.executemany("INSERT INTO images VALUES (?, ?, ?)", [row[:3] for row in rows])
        connection.executemany("INSERT INTO prompts (rowid, prompt) VALUES (?, ?)", [(row[0], row[3]) for row in rows])
    connection.execute("INSERT INTO prompts (prompts) VALUES ('optimize')")  # one segment, which is read fastest


def _list_words(connection: apsw.Connection, chunks: set[str]) -> None:
    tokenizer = Tokenizer(connection)
    stems = {word.folded: word.stem for chunk in chunks for word in tokenizer.words(chunk)}
    connection.execute("CREATE TABLE words (word TEXT PRIMARY KEY, stem TEXT) WITHOUT ROWID")
    connection.executemany("INSERT INTO words VALUES (?, ?)", sorted(stems.items()))
    connection.execute("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab(main, prompts, row)")
    connection.execute("CREATE TABLE stems (stem TEXT PRIMARY KEY, documents INTEGER) WITHOUT ROWID")
    connection.execute("INSERT INTO stems SELECT term, doc FROM temp.vocabulary")
    connection.execute("DROP TABLE temp.vocabulary")


def _describe(connection: apsw.Connection, count: int, complete_until: int) -> None:
    connection.execute("CREATE TABLE about (format INTEGER, images INTEGER, complete_until INTEGER)")
    connection.execute("INSERT INTO about VALUES (?, ?, ?)", (FORMAT, count, complete_until))
