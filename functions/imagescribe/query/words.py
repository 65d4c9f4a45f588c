"""Words as the index has them: folded to lower case without accents, and stemmed. SQLite's own tokenizers do both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import apsw

from imagescribe.query.grammar import Query, Term

FOLDING: Final = ("unicode61", "remove_diacritics", "2")
TOKENIZER: Final = ("porter", *FOLDING)
"""Of the index: https://sqlite.org/fts5.html#porter_tokenizer"""


@dataclass(frozen=True, slots=True)
class Word:
    """A word within a text.

    Attributes
    ----------
    start, end
        Where it stands, in UTF-8's bytes.
    folded
        Without accents, in lower case.
    stem
        Without its English ending: how the index has it.
    """

    start: int
    end: int
    folded: str
    stem: str


class Tokenizer:
    """Splits texts as the index does."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._fold = connection.fts5_tokenizer(FOLDING[0], list(FOLDING[1:]))
        self._stem = connection.fts5_tokenizer(TOKENIZER[0], list(TOKENIZER[1:]))

    def words(self, text: str) -> list[Word]:
        """Return the words of a text, in their order."""
        raw = text.encode("utf-8", "replace")
        folded: Any = self._fold(raw, apsw.FTS5_TOKENIZE_DOCUMENT, None, include_offsets=False)
        stemmed: Any = self._stem(raw, apsw.FTS5_TOKENIZE_DOCUMENT, None)
        return [
            Word(start, end, fold[0], stem)
            for (start, end, stem), fold in zip(stemmed, folded, strict=True)  # they split alike
        ]


def matches(query: Query, prompt: str, tokenizer: Tokenizer) -> list[tuple[int, int]]:
    """Return where the words stand that a query found a prompt by: first character and the one after the last.

    Characters are code points. The ranges are in order, and none overlaps another.
    """
    words = tokenizer.words(prompt)
    found: list[tuple[int, int]] = []
    for term in query.terms:
        found += _of_term(term, words, tokenizer)
    raw = prompt.encode("utf-8", "replace")
    return [(_characters(raw, start), _characters(raw, end)) for start, end in _merged(sorted(found))]


def _of_term(term: Term, words: Sequence[Word], tokenizer: Tokenizer) -> Iterator[tuple[int, int]]:
    wanted = tokenizer.words(term.text)
    if not wanted:
        return
    for place in range(len(words) - len(wanted) + 1):
        here = words[place : place + len(wanted)]
        pairs = list(zip(here, wanted, strict=True))
        whole, (last, beginning) = (pairs[:-1], pairs[-1]) if term.is_prefix else (pairs, (here[0], wanted[0]))
        fits = all(one.stem == other.stem for one, other in whole)
        if fits and (not term.is_prefix or last.folded.startswith(beginning.folded)):
            yield here[0].start, here[-1].end


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in ranges:
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _characters(raw: bytes, offset: int) -> int:
    return len(raw[:offset].decode("utf-8", "replace"))
