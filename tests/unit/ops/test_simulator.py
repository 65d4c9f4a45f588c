"""The simulator keeps the endpoint's contract, bills what the endpoint would bill, and can be made to fail."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from threading import Thread
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from imagescribe_ops.simulator import (
    BodyKind,
    Drip,
    Ending,
    Fault,
    LimitKind,
    RateLimit,
    ResetHeader,
    RetryAfter,
    ScriptedAnswer,
    Simulator,
    SimulatorClient,
    SimulatorError,
    SimulatorSettings,
    start_simulator,
)
from imagescribe_ops.simulator.faults import draw
from imagescribe_ops.simulator.fetch import Target, target_of
from imagescribe_ops.simulator.limits import ask, fresh_state
from imagescribe_ops.simulator.picture import LABEL, UndecodableError, describe
from tests.certificates import CERTIFICATES

KEY = "sim-key-4711"
SIGNATURE = "X-Amz-Signature=5ec7e7"


def picture(
    colour: str = "navy", size: tuple[int, int] = (320, 200), form: str = "PNG", spot: tuple[int, int] | None = None
) -> bytes:
    image = Image.new("RGB", size, colour)
    if spot:
        brush = ImageDraw.Draw(image)
        for radius in range(4, 28, 4):
            brush.ellipse([spot[0] - radius, spot[1] - radius, spot[0] + radius, spot[1] + radius], outline="white")
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


class _Objects(BaseHTTPRequestHandler):
    """A bucket's worth of objects; every other path is 403, as S3 says it to strangers."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        content = self.objects.get(path)
        self.send_response(307 if path == "/photos/moved.png" else 403 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        try:
            self.wfile.write(content or b"")
        except ConnectionError:
            self.close_connection = True  # The simulator has read enough.

    def log_request(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    _Objects.objects = {
        "/photos/a.png": picture(),
        "/photos/copy%20of%20a%2B%C3%A9.png": picture(),
        "/photos/b.jpg": picture("orange", form="JPEG"),
        "/photos/text.jpg": b"no picture at all",
        "/photos/huge.png": bytes(26 * 1024 * 1024),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Objects)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/photos"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(SimulatorSettings(api_key=KEY, latency_s=0, refusal_s=0)) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> SimulatorClient:
    client = SimulatorClient(running.url)
    client.reset()
    return client


Call = Callable[..., requests.Response]


@pytest.fixture
def call(simulator: SimulatorClient, bucket: str) -> Iterator[Call]:
    session = requests.Session()
    session.trust_env = False

    def describe_it(name: str = "a.png", key: str = KEY, timeout: float = 10, **more: Any) -> requests.Response:
        body = {"image_file": f"{bucket}/{name}?versionId=v7&{SIGNATURE}"}
        headers = {"x-api-key": key}
        return session.post(
            simulator.describe_url, json=body, headers=headers, timeout=timeout, allow_redirects=False, **more
        )

    yield describe_it
    session.close()


def eventually[T](look: Callable[[], T], good: Callable[[T], bool]) -> T:
    """Look again until it is good; calls without an answer end when the simulator notices it."""
    for _ in range(400):
        if good(seen := look()):
            return seen
        time.sleep(0.02)
    raise AssertionError(f"never came: {seen}")


def journal(simulator: SimulatorClient, calls: int) -> Any:
    return eventually(simulator.journal, lambda entries: len(entries) >= calls)


# The contract


def test_a_picture_is_described_and_billed(call: Call, simulator: SimulatorClient) -> None:
    answer = call()
    assert answer.status_code == 200
    prompt = answer.json()["descriptions"][0]["text"]
    assert prompt.startswith(LABEL)
    assert "navy" in prompt
    assert answer.headers["x-cost"] == "0.015"
    assert answer.headers["x-request-id"]
    [entry] = journal(simulator, 1)
    assert (entry.outcome, entry.billed, entry.because) == (200, True, "described")
    counts = simulator.counts()
    assert (counts.calls, counts.billed, counts.billed_usd, counts.outcomes) == (1, 1, 0.015, {"200": 1})
    assert (counts.in_flight, counts.peak_in_flight) == (0, 1)


@pytest.mark.parametrize("key", ["", "wrong", KEY + " x"])
def test_a_wrong_key_is_401_on_both_paths(key: str, call: Call, simulator: SimulatorClient) -> None:
    answer = call(key=key)
    assert answer.status_code == 401
    assert set(answer.json()) == {"error", "error_description", "status_code"}
    url = f"{simulator.url}/v1/get-user-credits"
    assert requests.get(url, headers={"x-api-key": key}, timeout=10).status_code == 401
    assert requests.get(url, timeout=10).status_code == 401


@pytest.mark.parametrize(
    "body", [b"", b"no json", b"[]", b"{}", b'{"image_file": null}', b'{"image_file": ""}', b"\xff"]
)
def test_a_body_without_an_image_file_is_400(body: bytes, simulator: SimulatorClient) -> None:
    headers = {"x-api-key": KEY, "Content-Type": "application/json"}
    answer = requests.post(simulator.describe_url, data=body, headers=headers, timeout=10)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_another_content_type_is_406(call: Call, simulator: SimulatorClient) -> None:
    headers = {"x-api-key": KEY, "Content-Type": "text/plain"}
    answer = requests.post(simulator.describe_url, data=b"{}", headers=headers, timeout=10)
    assert answer.status_code == 406
    assert "Content-Type" in answer.json()["error"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_is_405_in_html(method: str, simulator: SimulatorClient) -> None:
    answer = requests.request(method, simulator.describe_url, timeout=10)
    assert answer.status_code == 405
    assert answer.headers["Content-Type"].startswith("text/html")


def test_another_path_is_404(simulator: SimulatorClient) -> None:
    assert requests.post(f"{simulator.url}/v1/other", json={}, timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("missing.png", 400, "status 403"),
        ("moved.png", 400, "status 307"),
        ("huge.png", 400, "25 MB"),
        ("text.jpg", 422, "not a whole"),
    ],
)
def test_a_picture_that_can_not_be_had_is_refused_unbilled(
    name: str, status: int, words: str, call: Call, simulator: SimulatorClient
) -> None:
    answer = call(name)
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert SIGNATURE not in answer.text
    assert simulator.counts().billed == 0


@pytest.mark.parametrize(
    "url", ["http://192.0.2.7/a.png", "ftp://127.0.0.1/a", "no url", "http://[::", "http://127.0.0.1:1/a?secret=1"]
)
def test_a_url_that_leads_nowhere_is_400(url: str, simulator: SimulatorClient) -> None:
    answer = requests.post(simulator.describe_url, json={"image_file": url}, headers={"x-api-key": KEY}, timeout=10)
    assert answer.status_code == 400
    assert "secret" not in answer.text


# Credits


def test_the_balance_is_told_and_goes_down(call: Call, simulator: SimulatorClient) -> None:
    simulator.configure(credits_usd=0.03)
    assert [call().status_code for _ in range(3)] == [200, 200, 406]
    spent = call()
    assert spent.headers["x-remaining-credits"] == "0"
    assert "credits" in spent.json()["error"].lower()
    balance = requests.get(f"{simulator.url}/v1/get-user-credits", headers={"x-api-key": KEY}, timeout=10)
    assert balance.json() == {"credits": 0.0, "free-credits": 0.0}
    counts = simulator.counts()
    assert (counts.billed, counts.billed_usd, counts.credits_usd) == (2, 0.03, 0.0)


# Limits

RULES = st.builds(
    RateLimit, st.sampled_from([LimitKind.TOKEN_BUCKET, LimitKind.FIXED_WINDOW]), st.integers(1, 1200).map(float)
)
GAPS = st.lists(st.floats(0, 20, allow_nan=False), min_size=1, max_size=200)


@settings(deadline=None)
@given(RULES, GAPS)
def test_a_limit_lets_through_no_more_than_it_says(rule: RateLimit, gaps: list[float]) -> None:
    now = start = 1_800_000_000.0
    state = fresh_state(rule, now)
    granted: list[float] = []
    for gap in gaps:
        now += gap
        state, verdict = ask(rule, state, now, in_flight=0)
        assert verdict.remaining is not None
        assert verdict.remaining >= 0
        if verdict.allowed:
            granted.append(now)
    if rule.kind is LimitKind.TOKEN_BUCKET:
        assert len(granted) <= rule.burst + (now - start) * rule.amount / 60 + 1e-3
    else:
        per_window = [sum(1 for at in granted if at // 60 == window) for window in {at // 60 for at in granted}]
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


# Faults


@settings(deadline=None)
@given(st.integers(), st.sampled_from(Fault))
def test_a_certain_fault_strikes_always_and_none_never(seed: int, fault: Fault) -> None:
    assert draw({fault: 1.0}, Random(seed)) is fault
    assert draw({}, Random(seed)) is None


def test_faults_strike_as_often_as_set_and_the_same_for_a_seed() -> None:
    odds = {Fault.LIMITED: 0.2, Fault.DROP_AFTER: 0.1}
    drawn = [draw(odds, random) for random in [Random(3)] for _ in range(5000)]
    assert 0.17 < drawn.count(Fault.LIMITED) / 5000 < 0.23
    assert 0.08 < drawn.count(Fault.DROP_AFTER) / 5000 < 0.12
    assert drawn[:50] == [draw(odds, random) for random in [Random(3)] for _ in range(50)]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_status_fault_is_unbilled(status: int, call: Call, simulator: SimulatorClient) -> None:
    simulator.configure(faults={str(status): 1.0})
    answer = call()
    assert answer.status_code == status
    assert answer.json()["error"]
    [entry] = journal(simulator, 1)
    assert (entry.billed, entry.sha256, entry.because) == (False, None, f"fault {status}")


@pytest.mark.parametrize(("fault", "billed"), [(Fault.DROP_BEFORE, False), (Fault.DROP_AFTER, True)])
def test_a_dropped_call_gives_no_answer(fault: Fault, billed: bool, call: Call, simulator: SimulatorClient) -> None:
    simulator.configure(faults={fault: 1.0})
    with pytest.raises(requests.ConnectionError):
        call()
    [entry] = journal(simulator, 1)
    assert (entry.outcome, entry.billed, entry.sha256 is not None) == ("dropped", billed, billed)
    assert simulator.counts().billed == int(billed)


@pytest.mark.parametrize(("fault", "billed"), [(Fault.HANG_BEFORE, False), (Fault.HANG_AFTER, True)])
def test_a_hanging_call_ends_when_its_caller_gives_up(
    fault: Fault, billed: bool, call: Call, simulator: SimulatorClient
) -> None:
    simulator.configure(faults={fault: 1.0}, hang_s=300)
    with pytest.raises(requests.ReadTimeout):
        call(timeout=0.3)
    [entry] = journal(simulator, 1)
    assert (entry.outcome, entry.billed, entry.client_gone) == ("hung", billed, True)


def test_an_answer_that_comes_after_its_caller_left_is_still_billed(call: Call, simulator: SimulatorClient) -> None:
    simulator.configure(latency_s=0.6)
    with pytest.raises(requests.ReadTimeout):
        call(timeout=0.2)
    [entry] = journal(simulator, 1)
    assert (entry.outcome, entry.billed, entry.client_gone) == (200, True, True)


def test_down_is_503_until_it_is_up_again(call: Call, simulator: SimulatorClient) -> None:
    simulator.configure(down=True)
    assert call().status_code == 503
    simulator.configure(down=False)
    assert call().status_code == 200


# Bodies and the script


@pytest.mark.parametrize(
    ("kind", "read"),
    [
        (BodyKind.STRINGS, lambda answer: answer.json()[0]),
        (BodyKind.PROMPT, lambda answer: answer.json()["prompt"]),
        (BodyKind.TEXT, lambda answer: answer.text),
    ],
)
def test_a_prompt_comes_in_every_known_shape(
    kind: BodyKind, read: Callable[[requests.Response], str], call: Call, simulator: SimulatorClient
) -> None:
    simulator.configure(body_kind=kind)
    assert read(call()).startswith(LABEL)


def test_broken_bodies_are_broken_and_billed(call: Call, simulator: SimulatorClient) -> None:
    kinds = [BodyKind.HTML, BodyKind.HALF_JSON, BodyKind.NULL_TEXT, BodyKind.EMPTY, BodyKind.LONG_PROMPT]
    simulator.script(*(ScriptedAnswer(body_kind=kind) for kind in [*kinds, BodyKind.PUNCTUATION]))
    html, half, null, empty, long, punctuation = (call() for _ in range(6))
    assert "<h1>" in html.text
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        json.loads(half.text)
    assert null.json() == {"descriptions": [{"text": None}]}
    assert empty.content == b""
    assert len(long.json()["descriptions"][0]["text"]) == 20_000
    assert not any(character.isalnum() for character in punctuation.json()["descriptions"][0]["text"])
    assert simulator.counts().billed == 6


def test_an_endless_body_goes_on_until_the_caller_stops_reading(call: Call, simulator: SimulatorClient) -> None:
    simulator.script(ScriptedAnswer(body_kind=BodyKind.ENDLESS))
    with call(stream=True) as answer:
        read = answer.raw.read(3_000_000)
    assert len(read) == 3_000_000
    [entry] = journal(simulator, 1)
    assert (entry.billed, entry.client_gone) == (True, True)


@pytest.mark.parametrize("part", [Drip.HEADERS, Drip.BODY])
def test_a_dripping_answer_arrives_whole(part: Drip, call: Call, simulator: SimulatorClient) -> None:
    simulator.script(ScriptedAnswer(status=403, drip=part, drip_interval_s=0.0005))
    assert call().json()["status_code"] == 403


def test_the_script_answers_the_calls_it_is_meant_for_and_then_ends(call: Call, simulator: SimulatorClient) -> None:
    simulator.script(
        ScriptedAnswer(
            status=500, times=2, contains="b.jpg", headers={"X-Odd": "1"}, body="oops", content_type="text/x"
        )
    )
    assert simulator.counts().script_left == 1
    assert call("a.png").status_code == 200
    odd = call("b.jpg")
    assert (odd.status_code, odd.text, odd.headers["X-Odd"], odd.headers["Content-Type"]) == (
        500,
        "oops",
        "1",
        "text/x",
    )
    assert [call("b.jpg").status_code for _ in range(2)] == [500, 200]
    assert simulator.counts().script_left == 0


def test_a_scripted_redirect_points_elsewhere_for_good(call: Call, simulator: SimulatorClient) -> None:
    simulator.script(ScriptedAnswer(status=307, times=None, headers={"Location": "http://192.0.2.1/x"}))
    assert {call().headers["Location"] for _ in range(3)} == {"http://192.0.2.1/x"}


def test_a_scripted_drop_can_bill_first(call: Call, simulator: SimulatorClient) -> None:
    simulator.script(ScriptedAnswer(ending=Ending.DROP, billed=True), ScriptedAnswer(ending=Ending.DROP))
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            call()
    assert [entry.billed for entry in journal(simulator, 2)] == [True, False]


def test_a_scripted_body_is_sent_even_where_there_is_no_picture(call: Call, simulator: SimulatorClient) -> None:
    simulator.script(ScriptedAnswer(body='["made up"]'))
    assert call("missing.png").json() == ["made up"]
    assert simulator.counts().billed == 1


# The journal


def test_the_journal_names_the_object_and_never_the_signature(
    call: Call, simulator: SimulatorClient, capfd: pytest.CaptureFixture[str]
) -> None:
    name = quote("copy of a+é.png")
    call(name)
    call("missing.png")
    described, missing = journal(simulator, 2)
    content = _Objects.objects["/photos/" + name]
    assert (described.object_path, described.version_id) == ("photos/copy of a+é.png", "v7")
    assert described.sha256 == hashlib.sha256(content).hexdigest()
    assert described.md5 == hashlib.md5(content).hexdigest()
    assert described.size == len(content)
    assert described.started_at <= described.ended_at
    assert (missing.object_path, missing.sha256, missing.size) == ("photos/missing.png", None, None)
    assert [entry.id for entry in simulator.journal(since=described.id)] == [missing.id]
    raw = requests.get(f"{simulator.url}/_simulator/journal", timeout=10).text
    assert "5ec7e7" not in raw
    assert KEY not in raw
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://127.0.0.1:1/b/k%2Bx+y%20z?versionId=3%2F4&X=1", Target("b/k+x+y z", "3/4")),
        ("https://my.bucket.s3.eu-west-1.amazonaws.com/a/b.png?X=1", Target("my.bucket/a/b.png", None)),
        ("https://bucket.s3.amazonaws.com//a", Target("bucket//a", None)),
        ("https://s3.eu-west-1.amazonaws.com/bucket/a", Target("bucket/a", None)),
        ("http://[bad", Target("", None)),
    ],
)
def test_an_object_is_named_by_path_or_by_host(url: str, target: Target) -> None:
    assert target_of(url) == target


# The control API


@pytest.mark.parametrize(
    "changes",
    [
        {"latencys": 1},
        {"latency_s": "1"},
        {"latency_s": -1},
        {"latency_s": True},
        {"api_key": ""},
        {"limit": {"kind": "leaky"}},
        {"limit": {"kind": "token_bucket", "amount": 0}},
        {"limit": 5},
        {"faults": {"418": 0.1}},
        {"faults": {"500": 0.7, "502": 0.7}},
        {"body_kind": None},
    ],
)
def test_a_wrong_setting_is_refused_and_changes_nothing(changes: dict[str, Any], simulator: SimulatorClient) -> None:
    before = simulator.settings()
    with pytest.raises(SimulatorError):
        simulator.configure(**changes)
    assert simulator.settings() == before


def test_settings_are_partial_and_never_show_the_key(call: Call, simulator: SimulatorClient) -> None:
    shown = simulator.configure(api_key="another", hang_s=1)
    assert (shown["hang_s"], shown["latency_s"]) == (1.0, 0.0)
    assert "api_key" not in shown
    assert call().status_code == 401
    assert call(key="another").status_code == 200
    simulator.reset()
    assert call().status_code == 200


def test_a_script_that_makes_no_sense_is_refused(simulator: SimulatorClient) -> None:
    url = f"{simulator.url}/_simulator/script"
    for answers in (None, [1], [{"status": 99}], [{"times": 0}], [{"billed": True}], [{"headers": {"a": "b\r\nc"}}]):
        assert requests.post(url, json={"answers": answers}, timeout=10).status_code == 400


def test_a_reset_forgets_everything(call: Call, simulator: SimulatorClient) -> None:
    simulator.script(ScriptedAnswer(status=500, times=None))
    call()
    simulator.reset()
    assert simulator.journal() == []
    assert simulator.counts().script_left == 0
    assert call().status_code == 200


# The picture


def test_a_prompt_tells_size_colour_light_and_where_the_detail_is() -> None:
    prompt = describe(picture("navy", (400, 300), spot=(60, 50)))
    assert prompt.startswith(LABEL)
    for words in (
        "landscape-format",
        "navy",
        "deep darkness",
        "cool tone",
        "picture's detail",
        "upper left",
        "(400x300)",
    ):
        assert words in prompt
    assert "centre" in describe(picture("navy", (300, 300), spot=(150, 150)))
    assert "portrait-format" in describe(picture("white", (300, 400)))
    assert "high-key" in describe(picture("white", (300, 400)))


@settings(deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP"]), st.integers(1, 90), st.integers(1, 90), st.integers(0, 0xFFFFFF))
def test_every_picture_is_described_and_always_the_same(form: str, width: int, height: int, colour: int) -> None:
    content = picture(f"#{colour:06x}", (width, height), form)
    assert describe(content) == describe(content)
    assert f"({width}x{height})" in describe(content)


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(0, 400))
def test_broken_files_are_told_apart_from_bugs(noise: bytes, cut: int) -> None:
    for content in (noise, picture(form="JPEG")[:cut] + noise):
        try:
            describe(content)
        except UndecodableError as error:
            told = str(error)
        else:
            continue  # some noise is decodable after all
        assert "picture" in told


def test_a_decompression_bomb_is_refused_before_it_goes_off() -> None:
    file = io.BytesIO()
    Image.new("1", (11_000, 11_000)).save(file, "PNG")
    with pytest.raises(UndecodableError, match="too large"):
        describe(file.getvalue())


# The process


def test_a_process_of_its_own_answers_and_ends_when_told(bucket: str) -> None:
    with start_simulator(SimulatorSettings(api_key=KEY, latency_s=0)) as running:
        body = {"image_file": f"{bucket}/a.png"}
        answer = requests.post(running.describe_url, json=body, headers={"x-api-key": KEY}, timeout=10)
        assert answer.status_code == 200
        assert running.client.counts().billed == 1
    with pytest.raises(requests.ConnectionError):
        requests.get(running.url, timeout=10)


def test_a_process_with_a_certificate_answers_over_tls(bucket: str) -> None:
    settings = SimulatorSettings(api_key=KEY, latency_s=0, hang_s=300)
    with start_simulator(settings, certificate=CERTIFICATES.server) as running:
        assert running.describe_url.startswith("https:")

        def call() -> int:
            body, headers = {"image_file": f"{bucket}/a.png"}, {"x-api-key": KEY}
            trusted = str(CERTIFICATES.authority)
            return requests.post(
                running.describe_url, json=body, headers=headers, timeout=0.5, verify=trusted
            ).status_code

        assert call() == 200
        running.client.configure(faults={Fault.HANG_BEFORE: 1.0})
        with pytest.raises(requests.ReadTimeout):
            call()
        entries = journal(running.client, 2)
    assert [(entry.outcome, entry.client_gone) for entry in entries] == [(200, False), ("hung", True)]


def test_a_file_that_is_no_certificate_is_named() -> None:
    command = [sys.executable, "-m", "imagescribe_ops.simulator", "--key", KEY, "--certificate", __file__]
    run = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert run.returncode == 1
    assert __file__ in run.stderr


@pytest.mark.parametrize("how", ["stdin", "SIGTERM", "SIGINT"])
def test_the_command_tells_where_it_is_and_leaves_cleanly(how: str) -> None:
    command = [sys.executable, "-m", "imagescribe_ops.simulator", "--key", KEY, "--exit-with-stdin"]
    options = ["--latency", "0", "--limit-per-minute", "60", "--credits", "1", "--fault", "503=0.5"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*command, *options], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        where = json.loads(process.stdout.readline())
        shown = SimulatorClient(where["url"]).settings()
        assert (shown["limit"], shown["faults"]) == ({"kind": "token_bucket", "amount": 60.0}, {"503": 0.5})
        if how == "stdin":
            process.stdin.close()
        else:
            os.kill(process.pid, getattr(signal, how))
        assert process.wait(10) == 0
        assert (process.stdout.read(), process.stderr.read()) == ("", "")


def test_a_command_without_a_key_says_so() -> None:
    command = [sys.executable, "-m", "imagescribe_ops.simulator"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert run.returncode == 2
    assert "api_key" in run.stderr
