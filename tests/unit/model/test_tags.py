"""A prompt is cut to what S3 takes as the value of a tag, and put among the tags that are there."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from imagescribe.model.tags import MAX_TAGS, MAX_VALUE_LENGTH, merge, tag_value
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

tag_sets = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=MAX_TAGS)


@given(tag_sets, st.text(min_size=1, max_size=5))
def test_a_full_set_is_left_alone_and_any_other_gets_ours_and_keeps_the_users(
    present: dict[str, str], key: str
) -> None:
    merged = merge(present, key, "ours")
    if merged is None:
        assert len(present) == 10
        assert key not in present
    else:
        assert merged[key] == "ours"
        assert len(merged) <= 10
        assert {name: value for name, value in merged.items() if name != key} == {
            name: value for name, value in present.items() if name != key
        }


def test_ten_tags_leave_room_for_ours_only_where_it_is_one_of_them() -> None:
    ten = {f"user-{number}": "theirs" for number in range(10)}
    nine_and_ours = {**dict(list(ten.items())[:9]), "prompt": "old"}
    assert merge(ten, "prompt", "new") is None
    assert merge(nine_and_ours, "prompt", "new") == {**nine_and_ours, "prompt": "new"}


def test_the_set_that_was_read_is_not_changed() -> None:
    present = {"album": "garden"}
    merge(present, "prompt", "new")
    assert present == {"album": "garden"}
