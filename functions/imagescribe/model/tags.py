"""Cut a prompt to what S3 takes as an object tag, and set it among the tags that are there."""

import unicodedata
from collections.abc import Mapping
from enum import StrEnum

MAX_TAGS = 10
"""Tags on one object: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html"""

MAX_VALUE_LENGTH = 256
"""Length of a tag's value in UTF-16 code units, which is how S3 counts."""


class TagState(StrEnum):
    """What became of an image's tags."""

    WRITTEN = "written"
    FULL = "full"  # the object has as many tags as S3 allows, and none of them is ours
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


def merge(present: Mapping[str, str], key: str, value: str) -> dict[str, str] | None:
    """Return the tags with ours set and all others kept, or None where there is no room for ours."""
    if key not in present and len(present) >= MAX_TAGS:
        return None
    return {**present, key: value}


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
