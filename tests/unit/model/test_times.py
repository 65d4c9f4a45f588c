"""Times in records sort as text in the order in which they were."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagescribe.model.times import iso_utc

epoch_seconds = st.floats(0, 253_402_300_799)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_793_610_900, "2026-11-02T09:15:00.000Z"),
        (1_793_610_900.25, "2026-11-02T09:15:00.250Z"),
        (253_402_300_799, "9999-12-31T23:59:59.000Z"),
    ],
)
def test_a_time_is_told_in_utc_with_milliseconds(seconds: float, text: str) -> None:
    assert iso_utc(seconds) == text


@given(epoch_seconds, epoch_seconds)
def test_their_text_sorts_as_they_do(one: float, other: float) -> None:
    assert (iso_utc(one) <= iso_utc(other)) or one > other


@given(epoch_seconds)
def test_a_time_reads_back_to_the_millisecond(seconds: float) -> None:
    assert datetime.fromisoformat(iso_utc(seconds)).timestamp() == pytest.approx(seconds, abs=0.0011)
