"""A limit lets through what it says, and tells when the next call is allowed."""

from email.utils import parsedate_to_datetime
from http.client import HTTPConnection
from urllib.parse import urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st

from imagescribe_ops.simulator import (
    LimitKind,
    RateLimit,
    ResetHeader,
    RetryAfter,
    SimulatorClient,
)
from imagescribe_ops.simulator.limits import ask, fresh_state
from tests.unit.simulator.conftest import KEY, Call, eventually, journal

RULES = st.builds(
    RateLimit, st.sampled_from([LimitKind.TOKEN_BUCKET, LimitKind.FIXED_WINDOW]), st.integers(1, 1200).map(float)
)
GAPS = st.lists(st.floats(0, 20, allow_nan=False), min_size=1, max_size=200)


@settings(deadline=None)
@given(RULES, GAPS)
def test_a_limit_lets_through_no_more_than_it_says(rule: RateLimit, gaps: list[float]) -> None:
    now = start = 1_800_000_000.0
    state = fresh_state(rule, now)
    accepted: list[float] = []
    for gap in gaps:
        now += gap
        state, verdict = ask(rule, state, now, in_flight=0)
        assert verdict.remaining is not None
        assert verdict.remaining >= 0
        if verdict.allowed:
            accepted.append(now)
    if rule.kind is LimitKind.TOKEN_BUCKET:
        assert len(accepted) <= rule.burst + (now - start) * rule.amount / 60 + 1e-3
    else:
        per_window = [sum(1 for at in accepted if at // 60 == window) for window in {at // 60 for at in accepted}]
        assert max(per_window) <= rule.amount


@settings(deadline=None)
@given(RULES, GAPS)
def test_the_reset_time_is_when_a_call_is_allowed_again(rule: RateLimit, gaps: list[float]) -> None:
    now = 1_800_000_000.0
    state = fresh_state(rule, now)
    for gap in gaps:
        now += gap / 1000
        state, verdict = ask(rule, state, now, in_flight=0)
        assert verdict.reset_at is not None
        if not verdict.allowed:
            if verdict.reset_at - now > 0.01:
                assert ask(rule, state, (now + verdict.reset_at) / 2, 0)[1].allowed is False
            assert ask(rule, state, verdict.reset_at, 0)[1].allowed is True


@settings(deadline=None)
@given(RULES, st.integers(0, 50))
def test_refused_calls_use_nothing_up(rule: RateLimit, refused: int) -> None:
    now = 1_800_000_000.0
    state = fresh_state(rule, now)
    while (outcome := ask(rule, state, now, 0))[1].allowed:
        state = outcome[0]
    hammered = state
    for _ in range(refused):
        hammered, _ = ask(rule, hammered, now, 0)
    assert hammered == state


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(0, 30))
def test_calls_in_flight_are_capped(cap: int, in_flight: int) -> None:
    rule = RateLimit(LimitKind.IN_FLIGHT, cap)
    _, verdict = ask(rule, fresh_state(rule, 0.0), 0.0, in_flight)
    assert verdict.allowed == (in_flight < cap)


def test_a_bucket_holds_a_second_and_at_least_two() -> None:
    assert RateLimit(LimitKind.TOKEN_BUCKET, 5).burst == 2
    assert RateLimit(LimitKind.TOKEN_BUCKET, 600).burst == 10


def test_calls_over_the_limit_are_429_and_told_until_when(call: Call, simulator: SimulatorClient) -> None:
    simulator.configure(limit=RateLimit(LimitKind.TOKEN_BUCKET, 1), remaining_header=True)
    assert [call().status_code for _ in range(3)] == [200, 200, 429]
    refused = call()
    assert refused.headers["x-rate-limit-reset-at-utc"].endswith("Z")
    assert refused.headers["x-rate-limit-remaining"] == "0"
    assert "Retry-After" not in refused.headers
    simulator.configure(retry_after=RetryAfter.SECONDS, reset_header=ResetHeader.OFF, remaining_header=False)
    refused = call()
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert not [name for name in refused.headers if name.lower().startswith("x-rate-limit")]
    simulator.configure(retry_after=RetryAfter.DATE, reset_header=ResetHeader.EPOCH)
    refused = call()
    reset = float(refused.headers["x-rate-limit-reset-at-utc"])
    assert 0 <= parsedate_to_datetime(refused.headers["Retry-After"]).timestamp() - reset < 1.001
    assert simulator.counts().billed == 2


def test_a_cap_on_calls_in_flight_refuses_the_next_and_counts_the_peak(call: Call, simulator: SimulatorClient) -> None:
    simulator.configure(limit={"kind": "in_flight", "amount": 1}, faults={"hang_before": 1.0}, hang_s=300)
    first = HTTPConnection(urlsplit(simulator.url).netloc)
    headers = {"x-api-key": KEY, "Content-Type": "application/json"}
    first.request("POST", "/v1/ideogram-describe", body=b'{"image_file": "http://127.0.0.1/a"}', headers=headers)
    eventually(simulator.counts, lambda counts: counts.in_flight == 1)
    assert call().status_code == 429
    first.close()
    journal(simulator, 2)
    simulator.configure(faults={})
    assert call().status_code == 200
    assert simulator.counts().peak_in_flight == 2
