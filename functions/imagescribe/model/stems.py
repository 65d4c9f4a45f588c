"""English words without their endings: Porter's stemmer, as SQLite's full-text index has it.

M. F. Porter, "An algorithm for suffix stripping", Program 14 (1980); https://sqlite.org/fts5.html#porter_tokenizer.
Where SQLite's differs from the paper (a suffix is never a whole word; "bli" and "logi" of his later version) it is
SQLite's that counts: the tests hold the one against the other.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

MAX_LENGTH: Final = 64
"""SQLite leaves longer words, and those of one or two letters, as they are."""

_STEP_2: Final = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "logi": "log", "bli": "ble",
    "alli": "al", "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate",
    "alism": "al", "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble",
}  # fmt: skip
_STEP_3: Final = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
_STEP_4: Final = dict.fromkeys(
    (
        *("al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment"),
        *("ent", "ion", "ou", "ism", "ate", "iti", "ous", "ive", "ize"),
    ),
    "",
)


@lru_cache(8_192)
def stem(word: str) -> str:
    """Return the stem of a word in lower case. What is not written in ASCII's letters stays as it is."""
    if not 2 < len(word) <= MAX_LENGTH or not word.isascii():
        return word
    word = _past_and_gerund(_plural(word))
    if word.endswith("y") and _has_vowel(word[:-1]):
        word = word[:-1] + "i"
    word = _replaced(word, _STEP_2, 1)
    word = _replaced(word, _STEP_3, 1)
    word = _replaced(word, _STEP_4, 2)
    if word.endswith("e"):
        measure = _measure(word[:-1])
        if measure > 1 or (measure == 1 and not _ends_short(word[:-1])):
            word = word[:-1]
    return word[:-1] if word.endswith("ll") and _measure(word[:-1]) > 1 else word


def _plural(word: str) -> str:
    if (word.endswith("sses") and len(word) > 4) or (word.endswith("ies") and len(word) > 3):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _past_and_gerund(word: str) -> str:
    if word.endswith("eed") and len(word) > 3:
        return word[:-1] if _measure(word[:-3]) else word
    ending = next((each for each in ("ed", "ing") if word.endswith(each) and len(word) > len(each)), "")
    if not ending or not _has_vowel(word[: -len(ending)]):
        return word
    word = word[: -len(ending)]
    if word.endswith(("at", "bl", "iz")) and len(word) > 2:
        return word + "e"
    if word[-1] not in "aeioulsz" and word[-2:-1] == word[-1]:
        return word[:-1]
    return word + "e" if _measure(word) == 1 and _ends_short(word) else word


def _replaced(word: str, endings: Mapping[str, str], measure: int) -> str:
    """Replace the longest ending that a word has, if what stands before it is long enough."""
    ending = max((each for each in endings if word.endswith(each) and len(word) > len(each)), key=len, default="")
    before = word.removesuffix(ending)
    if not ending or _measure(before) < measure or (ending == "ion" and before[-1] not in "st"):
        return word
    return before + endings[ending]


def _shape(word: str) -> str:
    """Return a ``v`` for each vowel and a ``c`` for each consonant; y is a vowel after a consonant."""
    shape = ""
    for letter in word:
        shape += "v" if letter in "aeiou" or (letter == "y" and shape.endswith("c")) else "c"
    return shape


def _measure(word: str) -> int:
    """Return how often a consonant follows a vowel."""
    return _shape(word).count("vc")


def _has_vowel(word: str) -> bool:
    return "v" in _shape(word)


def _ends_short(word: str) -> bool:
    """Whether a word ends in consonant, vowel and consonant, the last none of w, x, y."""
    return _shape(word).endswith("cvc") and word[-1] not in "wxy"
