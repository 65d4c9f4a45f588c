"""A prompt is cut to what S3 takes as the value of a tag, and put among the tags that are there."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from imagescribe.model.tags import MAX_TAGS, MAX_VALUE_LENGTH, OurTags, Tagging, TagState, tag_value
from tests.factories import make_picture, unique

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import TagTypeDef

PROMPTS = [
    "",
    " ",
    "a cat",
    "(!?), '…' — \"&%#*\" ;;",
    "A fox's den, \u201cquoted\u201d; 3.5 × zoom (macro)! #wildlife 100% @dusk, f/2.8, C:\\path=a+b_c-d",
    "tabs\tand\nlines\r\nand \x00 nulls",
    "x" * 20_000,
    "word " * 4_000,
    "🦊" * 300,
    "写真の中の山は雪に覆われている" * 40,
    "𝔣𝔯𝔞𝔨𝔱𝔲𝔯 " * 60,
    "हिन्दी में एक लंबा विवरण " * 30,
    "a" * 256 + " b",
    "a" * 255 + " b",
    "a" * 255 + "𝔣",
    "lone \ud83d surrogate",
    "e\u0301" * 200,
]
near_the_limit = st.builds(
    lambda start, word: f"{start * 63}{word} and more", st.sampled_from(["abc ", "𝔣 c "]), st.text()
)
prompts = (
    st.sampled_from(PROMPTS) | st.text(max_size=400) | st.lists(st.text(max_size=20)).map(" ".join) | near_the_limit
)


def is_taken_by_s3(value: str) -> bool:
    """S3's own rule: at most 256 characters (UTF-16 units) of `[\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]`.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_S3Tag.html
    """
    legal = all(unicodedata.category(letter)[0] in "LZN" or letter in "_.:/=+-@" for letter in value)
    return legal and len(value.encode("utf-16-le")) <= 2 * 256


@given(prompts)
def test_whatever_the_prompt_s3s_rule_takes_the_value(prompt: str) -> None:
    assert is_taken_by_s3(tag_value(prompt))


@pytest.fixture(scope="module")
def tagged(s3: S3Client, bucket: str) -> dict[str, str]:
    address = {"Bucket": bucket, "Key": unique("tagged")}
    s3.put_object(Bucket=address["Bucket"], Key=address["Key"], Body=make_picture())
    return address


# The object is only ever overwritten, so that examples may share it.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompts)
@example(PROMPTS[4])
def test_whatever_the_prompt_s3_takes_the_value_and_gives_it_back(
    s3: S3Client, tagged: dict[str, str], prompt: str
) -> None:
    tags: list[TagTypeDef] = [{"Key": "prompt", "Value": tag_value(prompt)}]
    s3.put_object_tagging(Bucket=tagged["Bucket"], Key=tagged["Key"], Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=tagged["Bucket"], Key=tagged["Key"])["TagSet"] == tags


@given(prompts)
def test_a_value_is_whole_words_of_the_prompt_as_many_as_there_is_room_for(prompt: str) -> None:
    value = tag_value(prompt)
    words = tag_value_unlimited(prompt).split()
    kept = value.split()
    assert kept == words[: len(kept)]
    if len(kept) < len(words):
        assert utf16_length(" ".join(words[: len(kept) + 1])) > MAX_VALUE_LENGTH


def tag_value_unlimited(prompt: str) -> str:
    """The value of a prompt were there no limit: word by word, since each word has room."""
    return " ".join(filter(None, (tag_value(word) for word in prompt.split())))


def utf16_length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize(("letter", "letters_kept"), [("x", 256), ("é", 256), ("写", 256), ("𝔣", 128)])
def test_a_word_longer_than_a_value_is_cut_inside(letter: str, letters_kept: int) -> None:
    assert tag_value(letter * 20_000) == letter * letters_kept
    assert tag_value(letter * 20_000 + " and more") == letter * letters_kept


def test_a_letter_of_two_units_is_not_cut_in_half() -> None:
    assert tag_value("x" * 255 + "𝔣") == "x" * 255


def test_a_word_that_ends_where_the_value_does_is_kept() -> None:
    assert tag_value("a " + "b" * 254 + " c") == "a " + "b" * 254
    assert tag_value("a " + "b" * 254) == "a " + "b" * 254


@given(prompts)
def test_a_value_has_single_spaces_and_none_at_its_ends(prompt: str) -> None:
    value = tag_value(prompt)
    assert value == " ".join(value.split(" ")).strip()
    assert "  " not in value


@given(prompts)
def test_a_value_stays_as_it_is_when_it_is_cut_again(prompt: str) -> None:
    assert tag_value(tag_value(prompt)) == tag_value(prompt)


@pytest.mark.parametrize(
    ("prompt", "value"),
    [
        ("a lighthouse, at dusk", "a lighthouse at dusk"),
        ("the dog's bowl, the dogs\u2019 bowls", "the dogs bowl the dogs bowls"),
        ('"Stop" (red) & 100% real; 1/60s @ f/2.8', "Stop red 100 real 1/60s @ f/2.8"),
        ("café, e\u0301tude", "café étude"),
        ("日本語、タグ。", "日本語 タグ"),
        ("a fox 🦊 asleep", "a fox asleep"),
        ("line\none\tand\u2028two", "line one and two"),
        ("(!?), '…' — \"&%#*\" ;;", ""),
        ("", ""),
    ],
)
def test_what_s3_refuses_becomes_a_space_and_the_words_stay_readable(prompt: str, value: str) -> None:
    assert tag_value(prompt) == value


# ── Among the other tags ─────────────────────────────────────────────────────────────────────────────────────────────

names = st.sampled_from(["album", "labels", "label:boat", "label:dog", "owner", "prompt", *"abcdefgh"])
tag_sets = st.dictionaries(names, st.sampled_from(["", "yes", "boat", "boat dog", "theirs"]), max_size=MAX_TAGS)
label_tags = st.dictionaries(
    st.sampled_from(["labels", "label:boat", "label:dog"]), st.sampled_from(["yes", "boat", "boat dog"])
)


@given(tag_sets)
def test_a_full_set_is_left_alone_and_any_other_gets_the_prompt_and_keeps_the_users(present: dict[str, str]) -> None:
    tagging = OurTags({"prompt": "ours"}).among(present)
    if tagging.state is TagState.FULL:
        assert len(present) == 10
        assert "prompt" not in present
        assert tagging.tags == present
    else:
        assert tagging.tags == {**present, "prompt": "ours"}
        assert len(tagging.tags) <= 10


def test_ten_tags_leave_room_for_ours_only_where_it_is_one_of_them() -> None:
    ten = {f"user-{number}": "theirs" for number in range(10)}
    nine_and_ours = {**dict(list(ten.items())[:9]), "prompt": "old"}
    ours = OurTags({"prompt": "new"})
    assert ours.among(ten) == Tagging(ten, TagState.FULL)
    assert ours.among(nine_and_ours) == Tagging({**nine_and_ours, "prompt": "new"}, TagState.WRITTEN)


def test_the_set_that_was_read_is_not_changed() -> None:
    present = {"album": "garden", "labels": "boat"}
    OurTags({"prompt": "new"}, {}, {"labels": "boat"}).among(present)
    assert present == {"album": "garden", "labels": "boat"}


@given(tag_sets, label_tags, label_tags)
def test_whatever_tags_there_are_what_a_person_set_is_never_changed_or_taken_away(
    present: dict[str, str], wanted: dict[str, str], known: dict[str, str]
) -> None:
    tagging = OurTags({"prompt": "ours"}, wanted, known).among(present)
    assert len(tagging.tags) <= 10
    for name, value in present.items():
        if name != "prompt" and value not in (known.get(name), wanted.get(name)):
            assert tagging.tags[name] == value
    assert set(tagging.tags) - set(present) <= {"prompt", *wanted}
    # What is called ours is there, and as it is wanted.
    assert all(tagging.tags[name] == value == wanted[name] for name, value in tagging.labels.items())


@given(tag_sets, label_tags, label_tags)
def test_written_once_they_stay_as_they_are(
    present: dict[str, str], wanted: dict[str, str], known: dict[str, str]
) -> None:
    once = OurTags({"prompt": "ours"}, wanted, known).among(present)
    again = OurTags({"prompt": "ours"}, wanted, once.labels).among(once.tags)
    assert again.tags == once.tags
    assert again.labels == once.labels


@given(tag_sets, label_tags)
def test_labels_that_are_no_more_take_only_their_own_tags_with_them(
    present: dict[str, str], wanted: dict[str, str]
) -> None:
    with_labels = OurTags({}, wanted).among(present)
    without = OurTags({}, {}, with_labels.labels).among(with_labels.tags)
    assert without.tags == {name: value for name, value in present.items() if wanted.get(name) != value}
    assert without.labels == {}


def test_the_prompt_comes_first_where_there_is_no_room_for_all() -> None:
    nine = {f"user-{number}": "theirs" for number in range(9)}
    tagging = OurTags({"prompt": "a boat"}, {"labels": "boat", "label:boat": "yes"}).among(nine)
    assert tagging == Tagging({**nine, "prompt": "a boat"}, TagState.FULL, {})


def test_a_label_that_is_no_more_makes_room_for_another() -> None:
    ten = {**{f"user-{number}": "theirs" for number in range(8)}, "label:boat": "yes", "prompt": "a boat"}
    tagging = OurTags({"prompt": "a boat"}, {"label:dog": "yes"}, {"label:boat": "yes"}).among(ten)
    assert tagging.state is TagState.WRITTEN
    assert tagging.labels == {"label:dog": "yes"}
    assert len(tagging.tags) == 10


def test_where_labels_are_no_concern_their_tags_stay() -> None:
    known = {"labels": "boat"}
    tagging = OurTags({"prompt": "a dog"}, None, known).among({"labels": "boat"})
    assert tagging.tags == {"labels": "boat", "prompt": "a dog"}
    assert tagging.labels == known


def test_where_the_prompts_tag_has_the_name_of_a_labels_tag_it_is_the_prompts() -> None:
    tagging = OurTags({"label:boat": "a boat"}, {"labels": "boat", "label:boat": "yes"}).among({})
    assert tagging == Tagging({"label:boat": "a boat", "labels": "boat"}, TagState.WRITTEN, {"labels": "boat"})
