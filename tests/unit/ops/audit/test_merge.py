"""The merge join of two sorted streams, with keys that are sorted by their UTF-8 bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescribe_ops.audit.merge import UnsortedError, merge_join

AWKWARD = [
    *" !#%+-./0Za\x7f\u0080\u00e9\ud7ff\ue000\ufeff\ufffd\uffff\U00010000\U0010ffff",
    *("..", "//", "00", "a b", "a+b", "a/", "a/b", "a\x01", "a\u00e9", "ae\u0301", "\u65e5\u672c", "\U0001f5bc\ufe0f"),
]
"""Around every border of UTF-8, of UTF-16 (where U+10000 sorts before U+E000), and of what S3 takes."""

keys = st.lists(
    st.one_of(
        st.sampled_from(AWKWARD),
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4),
        st.tuples(st.sampled_from(AWKWARD), st.sampled_from(AWKWARD)).map("".join),
    ),
    unique=True,
)


@dataclass(frozen=True, slots=True)
class Item:
    key: str
    side: str


def stream(names: list[str], side: str) -> Iterator[Item]:
    """Items in the order in which S3 lists keys and DynamoDB sorts them."""
    return (Item(name, side) for name in sorted(names, key=lambda name: name.encode()))


@given(left=keys, right=keys)
def test_every_key_comes_once_in_the_order_of_bytes_with_what_each_side_has(left: list[str], right: list[str]) -> None:
    pairs = list(merge_join(stream(left, "left"), stream(right, "right")))
    expected = [
        (Item(key, "left") if key in left else None, Item(key, "right") if key in right else None)
        for key in sorted({*left, *right}, key=lambda key: key.encode())
    ]
    assert pairs == expected


@given(keys.filter(lambda names: len(names) > 1), st.booleans(), st.data())
def test_a_stream_out_of_order_is_refused_rather_than_taken_for_gaps(
    names: list[str], is_left: bool, data: st.DataObject
) -> None:
    ordered = list(stream(names, "any"))
    place = data.draw(st.integers(0, len(ordered) - 2))
    ordered[place], ordered[place + 1] = ordered[place + 1], ordered[place]
    sides = (ordered, []) if is_left else ([], ordered)
    with pytest.raises(UnsortedError, match="listing" if is_left else "catalog"):
        list(merge_join(*sides))


def test_a_key_that_comes_twice_is_refused() -> None:
    with pytest.raises(UnsortedError):
        list(merge_join([Item("a", "left"), Item("a", "left")], []))


def test_no_more_of_a_stream_is_read_than_is_needed() -> None:
    read: list[str] = []

    def counted() -> Iterator[Item]:
        for name in "abcdef":
            read.append(name)
            yield Item(name, "left")

    merged = merge_join(counted(), stream(list("abcdef"), "right"))
    next(merged)
    next(merged)
    assert read == ["a", "b"]
