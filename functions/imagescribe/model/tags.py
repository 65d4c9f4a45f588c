"""Cut a prompt to what S3 takes as an object tag, and set it among the tags that are there."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

MAX_TAGS = 10
"""Tags on one object: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html"""

MAX_VALUE_LENGTH = 256
"""Length of a tag's value in UTF-16 code units, which is how S3 counts."""


class TagState(StrEnum):
    """What became of an image's tags."""

    WRITTEN = "written"
    FULL = "full"  # the object has as many tags as S3 allows: there was no room for ours, or for all of them
    DENIED = "denied"  # we may not read or write its tags
    OFF = "off"  # the stack writes none


# A prompt writes contractions and possessives with these; they go without leaving a gap: "dog's" becomes "dogs".
_APOSTROPHES = frozenset("'\u2018\u2019\u02bc`")


def tag_value(prompt: str) -> str:
    r"""Return as much of a prompt as S3 takes as the value of a tag.

    S3 takes letters, digits, spaces and ``_ . : / = + - @`` (``\\p{L}\\p{Z}\\p{N}_.:/=+\\-@``). What else stands in the
    prompt becomes a space, runs of spaces become one, and a value that is too long ends at a word. The value is empty
    where nothing of the prompt is left.
    """
    composed = unicodedata.normalize("NFC", prompt)
    kept = "".join(_legal(character) for character in composed if character not in _APOSTROPHES)
    return _cut(" ".join(kept.split()))


def utf16_length(text: str) -> int:
    """Return a text's length as S3 counts it."""
    return len(text.encode("utf-16-le", "replace")) // 2


@dataclass(frozen=True, slots=True)
class Tagging:
    """An object's tags with ours among them.

    Attributes
    ----------
    labels
        Those that say which labels it has, and that are ours.
    """

    tags: Mapping[str, str]
    state: TagState
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OurTags:
    """The tags that an object is to have of ours.

    A tag of labels is ours as long as it says what we recorded to have written, or what we would write now. Any other
    value is a person's, and stays.

    Attributes
    ----------
    prompt
        The tag of the prompt, if any: written whatever it says now.
    labels
        The tags of its labels; None where labels are no concern.
    known
        The tags of labels that we recorded to have written.
    """

    prompt: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] | None = None
    known: Mapping[str, str] = field(default_factory=dict)

    def among(self, present: Mapping[str, str]) -> Tagging:
        """Return the tags that an object has with ours set, and all others kept."""
        tags, has_room = dict(present), True
        wanted = {key: value for key, value in (self.labels or {}).items() if key not in self.prompt}
        if self.labels is not None:
            for key, value in self.known.items():
                if key not in wanted and tags.get(key) == value:
                    del tags[key]
        ours = {}
        for key, value in (*self.prompt.items(), *wanted.items()):
            is_label = key not in self.prompt
            if is_label and tags.get(key, value) not in (value, self.known.get(key)):
                continue  # a person's
            if key not in tags and len(tags) >= MAX_TAGS:
                has_room = False
                continue
            tags[key] = value
            if is_label:
                ours[key] = value
        state = TagState.WRITTEN if has_room else TagState.FULL
        return Tagging(tags, state, self.known if self.labels is None else ours)

    def denied(self) -> Tagging:
        """Return what is known of tags that may not be read or written."""
        return Tagging({}, TagState.DENIED, self.known)


def _legal(character: str) -> str:
    if character in "_.:/=+-@" or unicodedata.category(character)[0] in "LN":
        return character
    return " "


def _cut(text: str) -> str:
    units = text.encode("utf-16-le")  # two bytes each
    if len(units) <= 2 * MAX_VALUE_LENGTH:
        return text
    # One unit more than fits: if that is a space, the word before it is whole. Half of a letter is ignored.
    words, space, _rest = units[: 2 * MAX_VALUE_LENGTH + 2].decode("utf-16-le", errors="ignore").rpartition(" ")
    # One word longer than the whole value is cut inside, any other at the space before it.
    return words if space else units[: 2 * MAX_VALUE_LENGTH].decode("utf-16-le", errors="ignore")
