"""A vocabulary is read as it is written, and a prompt has the labels that its words are terms of."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from imagescribe.model.labels import Vocabulary, VocabularyError, words_of
from imagescribe.model.tags import MAX_VALUE_LENGTH, utf16_length
from imagescribe_ops.template import constraint_broken
from tests.factories import PROMPT
from tests.sam_template import load
from tests.unit.model.test_tags import is_taken_by_s3

WRITTEN = "beach, #boat=ship|vessel|yacht|sailing boat, person=man|woman|child"
VOCABULARY = Vocabulary.parse(WRITTEN)

nouns = st.sampled_from(["beach", "boat", "ship", "vessel", "yacht", "man", "woman", "child", "tree", "dog", "café"])
names = st.from_regex(r"[a-z0-9][a-z0-9_.:/+@-]{0,20}", fullmatch=True)
entries = st.builds(
    lambda mark, name, terms: f"{mark}{name}" + (f"={'|'.join(terms)}" if terms else ""),
    st.sampled_from(["", "#"]),
    names,
    st.lists(st.text("abc xyzé'-", min_size=1, max_size=12), max_size=3),
)
vocabularies = st.lists(entries, max_size=8).map(", ".join)


def labels_of(prompt: str, written: str = WRITTEN) -> list[str]:
    return sorted(Vocabulary.parse(written).labels_of(prompt))


# ── What is written ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_written_is_no_vocabulary() -> None:
    for nothing in ("", " ", ",", "\n, \r\n", "\ufeff"):
        vocabulary = Vocabulary.parse(nothing)
        assert not vocabulary
        assert vocabulary.labels_of(PROMPT) == frozenset()


def test_a_label_is_a_name_alone_or_with_what_it_goes_by() -> None:
    assert VOCABULARY.names == {"beach", "boat", "person"}
    assert VOCABULARY.own_tags == {"boat"}


def test_a_file_has_a_label_on_each_line_or_several() -> None:
    in_a_file = "\ufeff# boat = ship | vessel|yacht|sailing boat\r\n\r\nbeach,\nperson=man|woman|child\n"
    assert Vocabulary.parse(in_a_file) == VOCABULARY


def test_a_label_that_is_written_twice_goes_by_all_its_words() -> None:
    assert Vocabulary.parse("boat=ship, #Boat=vessel") == Vocabulary.parse("#boat=ship|vessel")


@pytest.mark.parametrize("wrong", ["two words", "=ship", "a'b", "#", "boat|ship", "_a", "x" * 65, "=", "İx"])
def test_what_is_no_name_is_told_with_the_rule(wrong: str) -> None:
    with pytest.raises(VocabularyError, match="letters and digits") as told:
        Vocabulary.parse(f"beach, {wrong}")
    assert wrong[:60] in str(told.value)


@given(vocabularies)
def test_whatever_the_template_takes_is_read(written: str) -> None:
    parameter = load()["Parameters"]["Labels"]
    assert constraint_broken(parameter, written) is None or len(written) > 1500
    Vocabulary.parse(written)


@given(st.text("aB1 #=|,_-é", max_size=30))
def test_what_the_template_refuses_is_what_can_not_be_read(written: str) -> None:
    taken = constraint_broken(load()["Parameters"]["Labels"], written) is None
    try:
        Vocabulary.parse(written)
    except VocabularyError:
        assert not taken
    else:
        assert taken or written.count("=") > 1


# ── What a prompt has ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("prompt", "labels"),
    [
        ("A Beach at dusk", ["beach"]),
        ("two SHIPS, and sailing-boats", ["boat"]),
        ("children on the beaches", ["beach", "person"]),
        ("people and women", ["person"]),
        ("a mandarin, childhood, beachwear, a manor", []),
        ("", []),
        ("sailing", []),
    ],
)
def test_a_prompt_has_the_labels_whose_words_it_has_in_any_form(prompt: str, labels: list[str]) -> None:
    assert labels_of(prompt) == labels


def test_the_longest_term_at_a_place_counts() -> None:
    written = "dog, food=hot dog|meat, stand=hot dog stand"
    assert labels_of("a dog", written) == ["dog"]
    assert labels_of("a hot dog", written) == ["food"]
    assert labels_of("a dog with hot dogs", written) == ["dog", "food"]
    assert labels_of("a dog beside a hot-dog stand", written) == ["dog", "stand"]


def test_a_term_can_stand_for_several_labels() -> None:
    assert labels_of("a golden retriever", "dog=golden retriever, goldie=golden retriever") == ["dog", "goldie"]


@pytest.mark.parametrize("denied", ["no people", "without people", "no other people", "without any visible people"])
def test_what_is_not_there_is_no_label(denied: str) -> None:
    assert labels_of(f"an empty beach, {denied}") == ["beach"]
    assert labels_of(f"an empty beach, {denied}, and a man") == ["beach", "person"]


def test_accents_make_no_difference() -> None:
    for prompt in ("a café", "a cafe\u0301", "CAFÉS", "the cafe"):
        assert labels_of(prompt, "café") == ["café"]


@given(vocabularies, st.lists(nouns, max_size=30).map(" ".join))
def test_labels_are_of_the_vocabulary_and_the_same_each_time(written: str, prompt: str) -> None:
    vocabulary = Vocabulary.parse(written)
    assert vocabulary.labels_of(prompt) <= vocabulary.names
    assert vocabulary.labels_of(prompt) == Vocabulary.parse(written).labels_of(prompt.upper())


@given(st.lists(nouns, max_size=10), nouns, st.lists(nouns, max_size=10))
def test_a_word_counts_wherever_it_stands(before: list[str], noun: str, after: list[str]) -> None:
    assume("sailing" not in before)
    assert labels_of(" ".join([*before, f"{noun}s" if noun not in ("man", "woman", "child") else noun, *after]), noun)


@given(st.text(max_size=200), vocabularies)
def test_any_text_has_labels_or_none(prompt: str, written: str) -> None:
    Vocabulary.parse(written).labels_of(prompt)


@given(st.text("abc défgé ,.'-\n", max_size=100))
def test_composed_or_not_a_text_has_the_same_words(text: str) -> None:
    assert words_of(unicodedata.normalize("NFD", text)) == words_of(unicodedata.normalize("NFC", text))


# ── The tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_tag_has_all_labels_and_those_that_are_marked_have_one_of_their_own() -> None:
    assert VOCABULARY.tags({"person", "boat"}) == {"labels": "boat person", "label:boat": "yes"}
    assert VOCABULARY.tags({"beach"}) == {"labels": "beach"}
    assert VOCABULARY.tags(()) == {}


@given(st.lists(names, min_size=1, max_size=40, unique=True))
def test_s3_takes_the_tags_and_a_label_is_in_them_whole_or_not_at_all(labels: list[str]) -> None:
    tags = Vocabulary.parse(", ".join(f"#{name}" for name in labels)).tags(labels)
    assert all(is_taken_by_s3(value) for value in tags.values())
    assert all(is_taken_by_s3(key) and len(key) <= 128 for key in tags)
    kept = tags["labels"].split(" ")
    assert kept == sorted(labels)[: len(kept)]
    if len(kept) < len(labels):
        assert utf16_length(" ".join(sorted(labels)[: len(kept) + 1])) > MAX_VALUE_LENGTH
