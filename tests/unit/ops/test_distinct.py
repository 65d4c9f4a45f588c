"""Distinct things and samples of a stream, in bounded memory."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from imagescribe_ops.backfill.distinct import DistinctCounter, Sample


@given(st.lists(st.text(max_size=3)))
def test_few_are_counted_exactly_whatever_their_order_and_number(texts: list[str]) -> None:
    counter = DistinctCounter(1_000)
    for text in texts:
        counter.add(text)
    assert counter.is_exact
    assert counter.count() == len(set(texts))


def test_many_are_estimated_within_a_few_percent_in_the_same_memory() -> None:
    counter = DistinctCounter(1_024)
    for number in range(50_000):
        counter.add(str(number % 20_000))
    assert not counter.is_exact
    assert abs(counter.count() - 20_000) < 20_000 * 0.1
    assert len(counter._kept) == 1_024


def test_a_sample_takes_each_with_the_same_chance() -> None:
    random, taken = Random(1), [0] * 20
    for _ in range(2_000):
        sample: Sample[int] = Sample(5, random)
        for item in range(20):
            sample.offer(item)
        assert len(sample.taken) == 5
        assert not sample.is_all
        for item in sample.taken:
            taken[item] += 1
    assert all(400 < count < 600 for count in taken)
