"""What a query may say, and how it is put to the index.

======================  ======================================================
``red boat``            both words, in any form (English endings don't matter)
``"red boat"``          the words beside each other, in this order
``boat*``               any word that begins so
``boat OR ship``        either of the two neighbours
``-sunset``             not this word, phrase or beginning
======================  ======================================================

Nothing of the text goes into an expression of FTS5 but letters and digits within quotation marks, so no text can be an
operator there.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from imagescribe.query.errors import QueryError

MAX_QUERY_CHARACTERS: Final = 500
MAX_TERMS: Final = 32
MIN_PREFIX_CHARACTERS: Final = 2

_TOKEN = re.compile(r'(?P<minus>-?)(?:"(?P<phrase>[^"]*)(?P<closed>"?)|(?P<word>[^\s"]+))(?P<star>\*?)')
_TYPOGRAPHIC = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "\N{MINUS SIGN}": "-"})


@dataclass(frozen=True, slots=True)
class Term:
    """A word, a phrase, or the beginning of a word.

    Attributes
    ----------
    text
        Words with one space between each two.
    is_prefix
        Whether the last of the words is the beginning of one only.
    """

    text: str
    is_prefix: bool = False

    @property
    def words(self) -> list[str]:
        """The words one by one."""
        return self.text.split(" ")


type Alternatives = Callable[[Term], Sequence[str]]
"""Gives the phrases of an index that a term stands for."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: of each group any term, and none of the others."""

    groups: tuple[tuple[Term, ...], ...]
    without: tuple[Term, ...] = ()

    @property
    def terms(self) -> list[Term]:
        """All terms that an answer may have in it."""
        return [term for group in self.groups for term in group]

    @property
    def all_terms(self) -> list[Term]:
        """All terms, those too that it must not have."""
        return [*self.terms, *self.without]

    def expression(self, alternatives: Alternatives) -> tuple[str, list[Term]]:
        """Return the query as FTS5 takes it, and of each wanted phrase in it the term that it stands for."""
        groups = [_phrases(group, alternatives) for group in self.groups]
        wanted = " AND ".join(map(_any, groups))
        if self.without:
            wanted = f"({wanted}) NOT {_any(_phrases(self.without, alternatives))}"
        return wanted, [term for group in groups for term in group.values()]


def parse(text: str) -> Query:
    """Read a query.

    Raises
    ------
    QueryError
        It can't be understood, or asks for too much; the error says what to change.
    """
    if len(text) > MAX_QUERY_CHARACTERS:
        raise QueryError(
            f"The query has {len(text)} characters, and {MAX_QUERY_CHARACTERS} are the most.", "Ask for fewer words."
        )
    groups: list[list[Term]] = []
    without: list[Term] = []
    joins = False  # whether an OR waits for its right side
    for token in _TOKEN.finditer(text.translate(_TYPOGRAPHIC)):
        if token["word"] == "OR" and not token["minus"]:
            if not groups or joins:
                raise _misplaced_or()
            joins = True
            continue
        term = _term(token)
        if term is None:
            continue
        if token["minus"]:
            if joins:
                raise _misplaced_or()
            without.append(term)
        elif joins:
            groups[-1].append(term)
            joins = False
        else:
            groups.append([term])
    if joins:
        raise _misplaced_or()
    return _checked(groups, without)


def _checked(groups: list[list[Term]], without: list[Term]) -> Query:
    if not groups and without:
        raise QueryError("The query says only what to leave out.", "Add a word to look for: boat -sunset")
    if not groups:
        raise QueryError("The query has no word in it.", "Ask for a word that the prompt has: boat")
    if sum(map(len, groups)) + len(without) > MAX_TERMS:
        raise QueryError(f"The query has more than {MAX_TERMS} words and phrases.", "Ask for fewer.")
    return Query(tuple(map(tuple, groups)), tuple(without))


def _misplaced_or() -> QueryError:
    return QueryError("OR stands between two words or phrases.", 'Write boat OR ship; for the word itself: "or"')


def _term(token: re.Match[str]) -> Term | None:
    """Return the term of a token; None where nothing of it can be looked for."""
    if token["phrase"] is not None:
        if not token["closed"]:
            raise QueryError('A quotation mark (") is not closed.', 'Put one at the end of the phrase: "red boat"')
        if token["star"]:
            raise QueryError("A * goes with a word, not with a phrase.", 'Write boat* or "red boat"')
    raw = token["phrase"] if token["phrase"] is not None else token["word"]
    is_prefix = raw.endswith("*") and token["phrase"] is None
    words = _words(raw)
    if not words:
        return None
    if is_prefix and len(words[-1]) < MIN_PREFIX_CHARACTERS:
        raise QueryError(
            f"{words[-1]}* is too short: too many words begin so.",
            f"Give {MIN_PREFIX_CHARACTERS} letters at least before the *.",
        )
    return Term(" ".join(words), is_prefix)


def _words(text: str) -> list[str]:
    """Return what of a text the index could hold: runs of letters, digits and what is set on them."""
    # As FTS5's unicode61 splits: https://sqlite.org/fts5.html#unicode61_tokenizer
    words = "".join(each if _kind(each) in "LNMC" else " " for each in text).split()
    return [word for word in words if any(_kind(each) in "LNC" for each in word)]


def _kind(character: str) -> str:
    """Return L of a letter, N of a digit, M of a mark, C of a character for private use, and else something other."""
    category = unicodedata.category(character)
    return "C" if category == "Co" else category[0].replace("C", "-")


def _phrases(terms: Iterable[Term], alternatives: Alternatives) -> dict[str, Term]:
    return {phrase: term for term in terms for phrase in alternatives(term)}


def _any(phrases: Iterable[str]) -> str:
    return "(" + " OR ".join(f'"{phrase}"' for phrase in phrases) + ")"
