"""Labels: which words of a vocabulary a prompt has, and the tags of the object that say so.

A vocabulary is written ``beach, #boat=ship|sailing yacht, person=man|woman|child``: names, and what else they go by. A
name with ``#`` gets a tag of its own besides, since a lifecycle rule matches a tag by its whole value and nothing less.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from imagescribe.errors import ImageScribeError
from imagescribe.model.stems import stem
from imagescribe.model.tags import MAX_VALUE_LENGTH, utf16_length

TAG_KEY: Final = "labels"
"""The tag with all labels of an image, in the order of the alphabet, with spaces between them."""

OWN_TAG_PREFIX: Final = "label:"
OWN_TAG_VALUE: Final = "yes"

_NAME: Final = re.compile(r"[^\W_][\w.:/+@-]{0,63}")

_PLURALS: Final = {
    "calves": "calf",
    "children": "child",
    "feet": "foot",
    "firemen": "fireman",
    "fishermen": "fisherman",
    "geese": "goose",
    "halves": "half",
    "hooves": "hoof",
    "knives": "knife",
    "loaves": "loaf",
    "men": "man",
    "mice": "mouse",
    "oxen": "ox",
    "people": "person",
    "policemen": "policeman",
    "scarves": "scarf",
    "sheaves": "sheaf",
    "shelves": "shelf",
    "snowmen": "snowman",
    "teeth": "tooth",
    "thieves": "thief",
    "wives": "wife",
    "wolves": "wolf",
    "women": "woman",
}
"""Plurals that no ending tells, of what is seen in pictures."""

_DENIALS: Final = frozenset({"no", "without"})
_BETWEEN: Final = frozenset(map(stem, ("a", "an", "any", "other", "single", "visible")))
"""May stand between a denial and what it denies."""

type Words = tuple[str, ...]


class VocabularyError(ImageScribeError):
    """A vocabulary is not written as one."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Labels, and the words that each of them goes by.

    Attributes
    ----------
    names
        All labels.
    own_tags
        Those that get a tag of their own.
    terms
        By its first word, each term's words (as `words_of` has them) and the labels that it stands for; the longest
        term is the first.
    """

    names: frozenset[str] = frozenset()
    own_tags: frozenset[str] = frozenset()
    terms: Mapping[str, tuple[tuple[Words, frozenset[str]], ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.names)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a vocabulary; commas or line breaks stand between its labels.

        Raises
        ------
        VocabularyError
            A name is none; the error says which.
        """
        names: set[str] = set()
        own_tags: set[str] = set()
        labels: dict[Words, set[str]] = {}
        for entry in re.split(r"[,\r\n]", text.removeprefix("\ufeff")):
            if not entry.strip():
                continue
            written, _, terms = entry.partition("=")
            name = unicodedata.normalize("NFC", written.strip().removeprefix("#").strip().lower())
            if not _NAME.fullmatch(name):
                raise VocabularyError(f"{entry.strip()[:100]!r} does not begin with the name of a label: {_RULE}")
            names.add(name)
            if written.lstrip().startswith("#"):
                own_tags.add(name)
            for term in (name, *terms.split("|")):
                if words := words_of(term):
                    labels.setdefault(words, set()).add(name)
        longest_first = sorted(labels.items(), key=lambda item: -len(item[0]))
        by_first: dict[str, list[tuple[Words, frozenset[str]]]] = {}
        for words, of_term in longest_first:
            by_first.setdefault(words[0], []).append((words, frozenset(of_term)))
        return cls(frozenset(names), frozenset(own_tags), {first: tuple(found) for first, found in by_first.items()})

    def labels_of(self, prompt: str) -> frozenset[str]:
        """Return the labels of a prompt.

        Of the terms at one place the longest counts: where "hot dog" is one, a hot dog is no "dog". What the prompt
        says that there is none of ("no people", "without any boats") does not count.
        """
        words = words_of(prompt) if self.terms else ()
        return frozenset(label for labels in self._found(words) for label in labels)

    def _found(self, words: Words) -> Iterator[frozenset[str]]:
        place = 0
        while place < len(words):
            longest = 1
            for term, labels in self.terms.get(words[place], ()):
                if words[place : place + len(term)] == term:
                    longest = len(term)
                    if not _is_denied(words, place):
                        yield labels
                    break
            place += longest

    def tags(self, labels: Iterable[str]) -> dict[str, str]:
        """Return the tags that say which labels an image has; none where it has none."""
        ordered = sorted(labels)
        if not ordered:
            return {}
        own = {OWN_TAG_PREFIX + label: OWN_TAG_VALUE for label in ordered if label in self.own_tags}
        return {TAG_KEY: _joined(ordered), **own}


_RULE: Final = "letters and digits, and after the first of them _ . : / + @ - too, 64 in all"


def words_of(text: str) -> Words:
    """Return the words of a text as labels are looked for: without accents, in lower case, and stemmed."""
    decomposed = unicodedata.normalize("NFD", text)
    folded = "".join(letter for letter in decomposed if not unicodedata.combining(letter)).lower()
    return tuple(stem(_PLURALS.get(word, word)) for word in re.findall(r"[^\W_]+", folded))


def _is_denied(words: Words, place: int) -> bool:
    before = place - 1
    while before > 0 and place - before < 3 and words[before] in _BETWEEN:
        before -= 1
    return before >= 0 and words[before] in _DENIALS


def _joined(ordered: Iterable[str]) -> str:
    """Join as many as a tag's value has room for."""
    value = ""
    for name in ordered:
        longer = f"{value} {name}".lstrip()
        if utf16_length(longer) > MAX_VALUE_LENGTH:
            break
        value = longer
    return value
