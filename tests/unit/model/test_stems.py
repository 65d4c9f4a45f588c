"""A word's stem is the one that the index of prompts has for it."""

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from imagescribe.model.stems import _STEP_2, _STEP_3, _STEP_4, stem
from imagescribe.query.words import Tokenizer

TOKENIZER = Tokenizer(apsw.Connection(":memory:"))

endings = st.sampled_from([*_STEP_2, *_STEP_3, *_STEP_4, "s", "es", "ed", "ing", "eed", "y", "e", "ll", "ies"])
beginnings = st.text("aeiouybcdghklmnrstwxz0", max_size=6)
words = st.builds(
    lambda beginning, ends: (beginning + "".join(ends)) or "a", beginnings, st.lists(endings, max_size=3)
) | st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=70)


@settings(max_examples=2_000)  # quick ones
@given(words)
@example("boxed")
@example("x" * 64)
@example("relational" * 6 + "ies")
def test_a_stem_is_the_one_of_sqlites_index(word: str) -> None:
    (found,) = TOKENIZER.words(word)
    assert stem(word) == found.stem


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("boat boats boating boated", "boat"),
        ("beach beaches", "beach"),
        ("berry berries", "berri"),
        ("hop hopping hopped", "hop"),
        ("relate related relational", "relat"),
        ("caress caresses", "caress"),
    ],
)
def test_forms_of_a_word_have_one_stem(words: str, expected: str) -> None:
    assert {stem(word) for word in words.split()} == {expected}


@pytest.mark.parametrize("word", ["a", "is", "straßen", "写真", "лодки", "x" * 65 + "s"])
def test_what_is_short_or_very_long_or_no_ascii_stays_as_it_is(word: str) -> None:
    assert stem(word) == word
