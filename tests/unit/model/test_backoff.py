"""Waits are spread evenly up to an exponential bound; the time that a 429 tells is believed within reason."""

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from random import Random
from statistics import mean

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from imagescribe.model.backoff import MAX_BACKOFF_SECONDS, MAX_LIMIT_WAIT_SECONDS, full_jitter, limit_reset

NOW = 1_793_610_900.25
RESET = "x-rate-limit-reset-at-utc"

# What a whole second can name: dates of HTTP have no fractions.
delays = st.integers(1, 3599)
times = st.floats(0.0, 1e11, allow_nan=False)


# ── The time that a 429 tells ────────────────────────────────────────────────────────────────────────────────────────


@given(delays)
def test_retry_after_in_seconds_counts_from_now(seconds: int) -> None:
    assert limit_reset({"retry-after": str(seconds)}, NOW) == NOW + seconds
    assert limit_reset({"retry-after": f" {seconds:09d} "}, NOW) == NOW + seconds


@given(delays)
def test_retry_after_as_a_date_is_that_time(seconds: int) -> None:
    at = int(NOW) + seconds
    date = format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)
    assert limit_reset({"retry-after": date}, NOW) == at


def test_the_obsolete_dates_of_http_are_read_too() -> None:
    # RFC 9110, section 5.6.7: a recipient must take all three forms.
    moment = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    for form in ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"):
        assert limit_reset({"retry-after": moment.strftime(form)}, NOW) == moment.timestamp()


@given(st.floats(0.001, 3599), st.integers(-14, 14))
def test_the_endpoints_own_header_is_read_in_every_form_that_a_time_has(seconds: float, zone: int) -> None:
    at = round(NOW + seconds, 3)
    moment = datetime.fromtimestamp(at, UTC)
    forms = [
        moment.isoformat(),
        moment.isoformat().replace("+00:00", "Z"),
        moment.replace(tzinfo=None).isoformat(sep=" "),  # without a zone it is UTC: the header's name says so
        moment.astimezone(timezone(timedelta(hours=zone))).isoformat(),
        f"{at:.3f}",
        f"  {at * 1000:.0f}  ",
    ]
    for form in forms:
        reset = limit_reset({RESET: form}, NOW)
        assert reset == pytest.approx(at, abs=0.0011), form


def test_the_endpoints_own_header_comes_first_and_retry_after_where_it_can_not_be_read() -> None:
    both = {RESET: str(NOW + 10), "retry-after": "99"}
    assert limit_reset(both, NOW) == NOW + 10
    assert limit_reset(both | {RESET: "soon"}, NOW) == NOW + 99


@pytest.mark.parametrize("text", ["", " ", "soon", "-5", "1.5", "0x10", "٣", "nan", "inf", "12 s", "5;6", "0"])
def test_what_names_no_time_is_none_of_ours_to_guess(text: str) -> None:
    expected = NOW if text == "0" else None  # no delay is a delay too
    assert limit_reset({"retry-after": text}, NOW) == expected
    assert limit_reset({RESET: text}, NOW) is None
    assert limit_reset({}, NOW) is None


@given(st.one_of(st.text(), times.map(str), st.integers().map(str), st.datetimes().map(str)), st.booleans())
@example("Mon, 01 Jan 2026 00:00:00 +99999999999999999999", False)
@example("Mon, 01 Jan 2026 00:00:00 -2400", True)
@example("0001-01-01T00:00:00+14:00", False)
@example("9999-12-31T23:59:59-14:00", True)
def test_no_header_names_a_time_in_the_past_or_beyond_an_hour(text: str, is_own_header: bool) -> None:
    reset = limit_reset({RESET if is_own_header else "retry-after": text}, NOW)
    if reset is not None:
        assert NOW <= reset <= NOW + MAX_LIMIT_WAIT_SECONDS


@given(st.sampled_from(["Mon", "1 Jan", "00:00", ",", ":", "-", "+", "9", "99999", "T", "Z", " ", "GMT", "2026"]))
def test_half_a_date_is_no_error(start: str) -> None:
    for end in ("", " 2026", ":00 +0000", " 99999999999", "-W99", " Jan -1 25:61:61 EST"):
        limit_reset({"retry-after": start + end, RESET: end + start}, NOW)


@given(times)
def test_a_time_that_has_passed_is_now_and_one_too_far_is_an_hour(at: float) -> None:
    reset = limit_reset({RESET: datetime.fromtimestamp(at, UTC).isoformat()}, NOW)
    assert reset == pytest.approx(min(max(at, NOW), NOW + 3600), abs=0.001)


# ── Backoff ──────────────────────────────────────────────────────────────────────────────────────────────────────────

bases = st.floats(1, 900)


@given(bases, st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_a_wait_stays_between_nothing_and_its_bound(base: float, failures: int, random: Random) -> None:
    wait = full_jitter(base, failures, random)
    assert 0 <= wait <= MAX_BACKOFF_SECONDS
    assert wait <= base * 2 ** min(max(failures - 1, 0), 30)


@pytest.mark.parametrize(
    ("failures", "bound"), [(0, 4), (1, 4), (2, 8), (3, 16), (8, 512), (9, 900), (100, 900), (10**6, 900)]
)
def test_waits_spread_evenly_over_the_whole_of_their_bound_which_doubles(failures: int, bound: float) -> None:
    random = Random(4711)
    waits = [full_jitter(4, failures, random) for _ in range(2_000)]
    assert 0.99 * bound < max(waits) <= bound
    assert min(waits) < 0.01 * bound
    assert mean(waits) == pytest.approx(bound / 2, rel=0.05)
