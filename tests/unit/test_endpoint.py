"""The endpoint is asked once, its answer is bounded in time and size, and nothing secret goes where it should not."""

import gzip
import json
import socket
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from imagescribe.endpoint import MAX_BODY_BYTES, Endpoint
from imagescribe.model.answers import AccountFault, Description, Limited, Rejected, Transient
from imagescribe_ops.simulator import (
    BodyKind,
    Counts,
    Ending,
    Fault,
    LimitKind,
    RateLimit,
    RetryAfter,
    ScriptedAnswer,
    Simulator,
    SimulatorClient,
    SimulatorSettings,
)
from tests.certificates import CERTIFICATES
from tests.factories import API_KEY, PROMPT, Clock, make_picture
from tests.raw_server import Script, answer, closed_port, raw_server

SIGNATURE = "5ec7e7" * 10 + "abcd"
SOME_URL = f"http://127.0.0.1:9/imagescribe-test/cat.png?X-Amz-Expires=300&X-Amz-Signature={SIGNATURE}"
"""Leads nowhere: it is for calls whose answer does not depend on a picture."""

HASTE_SECONDS = 0.3
DESCRIBED = json.dumps({"descriptions": [{"text": PROMPT}]})


@pytest.fixture
def picture_url() -> Iterator[str]:
    with raw_server(answer(make_picture(), "HTTP/1.1 200 OK\r\nConnection: close")) as server:
        yield f"{server.url}.png?X-Amz-Signature={SIGNATURE}"


@pytest.fixture
def endpoint(simulator: SimulatorClient) -> Endpoint:
    return Endpoint(simulator.describe_url, connections=10)


@pytest.fixture
def hasty_endpoint(simulator: SimulatorClient) -> Endpoint:
    """Waits for an answer no longer than a test should take."""
    return Endpoint(simulator.describe_url, connections=1, answer_timeout_seconds=HASTE_SECONDS)


def ask(url: str, answer_timeout_seconds: float | None = None) -> object:
    return Endpoint(url, connections=1, answer_timeout_seconds=answer_timeout_seconds).describe(SOME_URL, API_KEY)


def say_next(answers: Iterator[bytes], connection: socket.socket) -> None:
    connection.sendall(next(answers))


def counts_at_rest(simulator: SimulatorClient) -> Counts:
    """The counts once no call is open: a body that nobody reads to its end is still being sent when we have left."""
    for _ in range(500):
        counts = simulator.counts()
        if counts.in_flight == 0:
            return counts
        time.sleep(0.01)
    raise TimeoutError("a call to the simulator does not end")


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_picture_is_described(simulator: SimulatorClient, picture_url: str, clock: Clock) -> None:
    answered = Endpoint(simulator.describe_url, connections=1, clock=clock).describe(picture_url, API_KEY)
    assert isinstance(answered, Description)
    assert answered.prompt
    (call,) = simulator.journal()
    assert answered.request_id == call.request_id
    assert answered.cost_usd == 0.015
    assert answered.latency_seconds == 0.0
    assert answered.described_at == "2026-11-02T09:15:00.000Z"
    assert call.billed


def test_the_call_is_what_the_endpoint_documents() -> None:
    with raw_server(answer(DESCRIBED.encode())) as server:
        ask(server.url)
    (request,) = server.requests
    head, _, body = request.partition("\r\n\r\n")
    assert head.startswith("POST /v1/ideogram-describe HTTP/1.1")
    assert f"x-api-key: {API_KEY}" in head
    assert "Content-Type: application/json" in head
    assert json.loads(body) == {"image_file": SOME_URL}


@pytest.mark.parametrize("kind", BodyKind)
def test_every_body_of_a_200_is_kept_and_read_as_far_as_it_goes(
    kind: BodyKind, endpoint: Endpoint, simulator: SimulatorClient, picture_url: str
) -> None:
    simulator.configure(body_kind=kind)
    answered = endpoint.describe(picture_url, API_KEY)
    assert isinstance(answered, Description)
    unreadable = {BodyKind.HTML, BodyKind.HALF_JSON, BodyKind.ENDLESS, BodyKind.NULL_TEXT, BodyKind.EMPTY}
    assert (answered.prompt is None) == (kind in unreadable)
    assert len(answered.body.encode()) <= MAX_BODY_BYTES
    assert counts_at_rest(simulator).billed == 1


@pytest.mark.parametrize("fault", [Fault.INTERNAL_ERROR, Fault.BAD_GATEWAY, Fault.UNAVAILABLE, Fault.GATEWAY_TIMEOUT])
def test_a_failure_of_the_endpoint_is_transient(fault: Fault, endpoint: Endpoint, simulator: SimulatorClient) -> None:
    simulator.configure(faults={fault: 1.0})
    answered = endpoint.describe(SOME_URL, API_KEY)
    assert isinstance(answered, Transient)
    assert answered.detail.startswith(f"{fault}: ")
    assert not answered.may_be_billed


@pytest.mark.parametrize("form", [RetryAfter.SECONDS, RetryAfter.DATE, RetryAfter.OFF])
def test_a_limit_is_told_with_its_end(
    form: RetryAfter, endpoint: Endpoint, simulator: SimulatorClient, picture_url: str
) -> None:
    simulator.configure(limit=RateLimit(LimitKind.FIXED_WINDOW, 1), retry_after=form)
    answers = [endpoint.describe(picture_url, API_KEY) for _ in range(3)]  # a minute may turn between two of them
    limited = [each for each in answers if isinstance(each, Limited)]
    assert limited
    assert all(each.until is not None and each.until % 60 == 0 for each in limited)


def test_a_wrong_key_is_the_accounts_fault_and_another_may_help(endpoint: Endpoint) -> None:
    answered = endpoint.describe(SOME_URL, "another-key")
    assert isinstance(answered, AccountFault)
    assert answered.concerns_key


def test_spent_credits_are_the_accounts_fault(endpoint: Endpoint, simulator: SimulatorClient, picture_url: str) -> None:
    simulator.configure(credits_usd=0.015)
    assert isinstance(endpoint.describe(picture_url, API_KEY), Description)
    assert isinstance(endpoint.describe(picture_url, API_KEY), AccountFault)


@pytest.mark.parametrize(("credits_usd", "kind"), [(0.0, AccountFault), (0.014, AccountFault), (5.0, Rejected)])
def test_a_406_that_says_nothing_is_told_apart_by_the_balance(
    credits_usd: float, kind: type, endpoint: Endpoint, simulator: SimulatorClient
) -> None:
    simulator.configure(credits_usd=credits_usd)
    simulator.script(ScriptedAnswer(status=406, body='{"error": "Not acceptable"}'))
    assert endpoint.describe(SOME_URL, API_KEY) == kind("406: Not acceptable")


NOT_ACCEPTABLE = answer(b'{"error": "Not acceptable"}', "HTTP/1.1 406 No")
NO_BALANCE = Transient("406: Not acceptable (and the balance could not be looked up)")


@pytest.mark.parametrize(
    "balance",
    [
        b"garbage\r\n\r\n",
        answer(b"[]"),
        answer(b"{"),
        answer(b"", "HTTP/1.1 500 Oh"),
        answer(b'{"credits": 5.0', length=500),
        answer(b"[" * 100_000),
        answer(b'{"credits": ' * 10_000),
    ],
    ids=lambda balance: ascii(balance[-60:]),
)
def test_a_406_is_tried_again_where_the_balance_can_not_be_had(balance: bytes) -> None:
    with raw_server(partial(say_next, iter([NOT_ACCEPTABLE, balance])), answers_per_connection=2) as server:
        assert ask(server.url) == NO_BALANCE
    assert server.requests[1].startswith("GET /v1/get-user-credits ")


def test_a_406_is_told_apart_by_the_price_that_is_set() -> None:
    for price_usd, kind in ((0.06, AccountFault), (0.05, Rejected)):
        say = partial(say_next, iter([NOT_ACCEPTABLE, answer(b'{"credits": 0.05}')]))
        with raw_server(say, answers_per_connection=2) as server:
            endpoint = Endpoint(server.url, connections=1, price_usd=price_usd)
            assert endpoint.describe(SOME_URL, API_KEY) == kind("406: Not acceptable")


def test_an_image_that_can_not_be_described_is_rejected(endpoint: Endpoint, simulator: SimulatorClient) -> None:
    with raw_server(answer(b"no picture at all")) as server:
        assert isinstance(endpoint.describe(f"{server.url}.png", API_KEY), Rejected)
    assert counts_at_rest(simulator).billed == 0


@pytest.mark.parametrize("header", ["cheap", "-1", "nan", "inf", "1e9", ""])
def test_headers_that_can_not_be_right_leave_a_cost_near_the_price_and_our_own_clock(
    header: str, endpoint: Endpoint, simulator: SimulatorClient
) -> None:
    simulator.script(ScriptedAnswer(body=DESCRIBED, headers={"x-cost": header, "x-generation-time": header}))
    answered = endpoint.describe(SOME_URL, API_KEY)
    assert isinstance(answered, Description)
    assert answered.cost_usd in (0.015, 0.15)
    assert 0 <= answered.latency_seconds < 60


@pytest.mark.parametrize(("header", "cost_usd"), [("0.5", 0.5), ("0.01", 0.2), ("1e-200", 0.2), ("3", 2.0)])
def test_a_cost_in_a_header_is_believed_between_the_price_that_is_set_and_ten_times_it(
    header: str, cost_usd: float, simulator: SimulatorClient
) -> None:
    simulator.script(ScriptedAnswer(body=DESCRIBED, headers={"x-cost": header, "x-generation-time": "2.5"}))
    answered = Endpoint(simulator.describe_url, connections=1, price_usd=0.2).describe(SOME_URL, API_KEY)
    assert isinstance(answered, Description)
    assert answered.cost_usd == cost_usd
    assert answered.latency_seconds == 2.5


# ── Connections ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", [Fault.DROP_BEFORE, Fault.DROP_AFTER])
def test_a_dropped_call_may_be_billed_and_is_not_made_again(
    fault: Fault, endpoint: Endpoint, simulator: SimulatorClient, picture_url: str
) -> None:
    simulator.configure(faults={fault: 1.0})
    answered = endpoint.describe(picture_url, API_KEY)
    assert isinstance(answered, Transient)
    assert answered.may_be_billed
    assert counts_at_rest(simulator).calls == 1


def test_a_refused_connection_can_not_be_billed() -> None:
    answered = ask(f"http://127.0.0.1:{closed_port()}/v1/ideogram-describe")
    assert answered == Transient("the connection failed (ConnectionRefusedError)", may_be_billed=False)


def test_a_host_without_an_address_can_not_be_billed(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_args: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    answered = ask("http://no-such-host.invalid/v1/ideogram-describe")
    assert isinstance(answered, Transient)
    assert not answered.may_be_billed


@pytest.mark.parametrize("fault", [Fault.HANG_BEFORE, Fault.HANG_AFTER])
def test_an_answer_that_does_not_come_in_time_may_be_billed(
    fault: Fault, hasty_endpoint: Endpoint, simulator: SimulatorClient, picture_url: str
) -> None:
    simulator.configure(faults={fault: 1.0})
    answered = hasty_endpoint.describe(picture_url, API_KEY)
    assert answered == Transient("no answer within 0.3 s", may_be_billed=True)


def hang_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "say",
    [
        b"\x16\x03\x01\x02\x00garbage\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTT",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        answer(b"", length=100),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
        hang_up,
    ],
    ids=lambda say: say[:30].decode("latin-1") if isinstance(say, bytes) else "hang up",
)
def test_what_is_no_answer_is_an_attempt_that_may_be_billed(say: Script | bytes) -> None:
    with raw_server(say) as server:
        answered = ask(server.url)
    assert isinstance(answered, Transient)
    assert answered.may_be_billed
    assert len(server.requests) == 1


def test_a_body_that_breaks_off_is_kept_as_far_as_it_came_since_it_is_billed() -> None:
    with raw_server(answer(b'{"descriptions": [{"text": "a light', length=500)) as server:
        answered = ask(server.url)
    assert isinstance(answered, Description)
    assert answered.body == '{"descriptions": [{"text": "a light'
    assert answered.prompt is None


def test_a_body_in_no_encoding_is_still_kept() -> None:
    with raw_server(answer(b"caf\xe9 at dusk")) as server:
        answered = ask(server.url)
    assert isinstance(answered, Description)
    assert answered.prompt == "caf\ufffd at dusk"


def test_a_connection_that_was_closed_while_it_was_idle_is_not_used_again() -> None:
    with raw_server(answer(DESCRIBED.encode())) as server:
        endpoint = Endpoint(server.url, connections=1)
        for _ in range(5):
            assert isinstance(endpoint.describe(SOME_URL, API_KEY), Description)
            server.wait_for_close()
    assert len(server.requests) == 5


def test_a_connection_is_kept_for_the_next_call() -> None:
    with raw_server(answer(DESCRIBED.encode()), answers_per_connection=5) as server:
        endpoint = Endpoint(server.url, connections=1)
        for _ in range(5):
            endpoint.describe(SOME_URL, API_KEY)
    assert server.connections == 1
    assert len(server.requests) == 5


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def secured() -> Iterator[Simulator]:
    """An endpoint whose certificate is of an authority that nobody trusts unasked."""
    with Simulator(SimulatorSettings(api_key=API_KEY, latency_s=0.0), certificate=CERTIFICATES.server) as simulator:
        yield simulator


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of authorities, in which there is only ours."""
    path = tmp_path / "authorities.pem"
    path.write_bytes(CERTIFICATES.authority.read_bytes())
    monkeypatch.setattr("imagescribe.endpoint.DEFAULT_CA_BUNDLE_PATH", str(path))
    return path


@pytest.mark.usefixtures("trusted")
def test_a_picture_is_described_over_tls(secured: Simulator, picture_url: str) -> None:
    assert isinstance(Endpoint(secured.describe_url, connections=1).describe(picture_url, API_KEY), Description)


def test_whoever_no_authority_vouches_for_is_sent_nothing(secured: Simulator) -> None:
    answered = Endpoint(secured.describe_url, connections=1).describe(SOME_URL, API_KEY)
    assert isinstance(answered, Transient)
    assert "CertVerification" in answered.detail
    assert not answered.may_be_billed


@pytest.mark.usefixtures("trusted")
def test_whoever_has_a_certificate_of_another_name_is_sent_nothing(secured: Simulator) -> None:
    elsewhere = secured.describe_url.replace("127.0.0.1", "localhost")
    answered = Endpoint(elsewhere, connections=1).describe(SOME_URL, API_KEY)
    assert isinstance(answered, Transient)
    assert "CertVerification" in answered.detail
    assert not answered.may_be_billed


def test_the_authorities_are_read_once_for_all_connections(secured: Simulator, trusted: Path) -> None:
    endpoint = Endpoint(secured.describe_url, connections=10)
    SimulatorClient(secured.url).script(ScriptedAnswer(body=DESCRIBED, times=11, latency_s=0.2))
    endpoint.describe(SOME_URL, API_KEY)
    trusted.unlink()
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(partial(endpoint.describe, api_key=API_KEY), [SOME_URL] * 10))
    assert {type(answer) for answer in answers} == {Description}


# ── Side by side ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_calls_run_side_by_side(endpoint: Endpoint, simulator: SimulatorClient) -> None:
    simulator.script(ScriptedAnswer(body=DESCRIBED, times=10, latency_s=0.2))
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(partial(endpoint.describe, api_key=API_KEY), [SOME_URL] * 10))
    assert [each.prompt for each in answers if isinstance(each, Description)] == [PROMPT] * 10
    assert simulator.counts().peak_in_flight > 1


# ── Bounds ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_of_a_body_of_50_megabytes_only_the_beginning_is_read(
    endpoint: Endpoint, simulator: SimulatorClient, picture_url: str
) -> None:
    simulator.configure(body_kind=BodyKind.ENDLESS)
    answered = endpoint.describe(picture_url, API_KEY)
    assert isinstance(answered, Description)
    assert len(answered.body) == MAX_BODY_BYTES
    simulator.configure(body_kind=BodyKind.DESCRIPTIONS)
    after = endpoint.describe(picture_url, API_KEY)  # and the rest does not get into the next answer
    assert isinstance(after, Description)
    assert after.prompt


def test_a_body_that_inflates_to_50_megabytes_is_bounded_too() -> None:
    bomb = gzip.compress(b"and on and on " * 3_600_000)
    with raw_server(answer(bomb, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip")) as server:
        answered = ask(server.url)
    assert isinstance(answered, Description)
    assert len(answered.body) == MAX_BODY_BYTES


def test_neither_answer_nor_balance_that_inflates_takes_memory() -> None:
    bomb = answer(gzip.compress(b"[" * 150_000_000), "HTTP/1.1 200 OK\r\nContent-Encoding: gzip")
    refusal = answer(NOT_ACCEPTABLE.partition(b"\r\n\r\n")[2], "HTTP/1.1 406 No")
    for answers, kind in (([bomb], Description), ([refusal, bomb], Transient)):
        say = partial(say_next, iter(answers))
        with raw_server(say, answers_per_connection=2) as server:
            tracemalloc.start()
            answered = ask(server.url)
            peak_bytes = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert isinstance(answered, kind)
        assert peak_bytes < 10_000_000


@pytest.mark.parametrize("start", [b'{"credits": 5.0', b""])
def test_a_balance_that_drips_has_what_is_left_of_the_calls_time(start: bytes) -> None:
    def say(connection: socket.socket) -> None:
        if server.requests[-1].startswith("POST"):
            connection.sendall(NOT_ACCEPTABLE)
        else:
            connection.sendall(answer(start, length=1_000_000))
            server.drip(connection, b" " * 1_000_000, 0.02)

    with raw_server(say, answers_per_connection=2) as server:
        assert ask(server.url, HASTE_SECONDS) == NO_BALANCE


def test_a_compressed_body_is_read_as_it_was_meant() -> None:
    head = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip"
    with raw_server(answer(gzip.compress(DESCRIBED.encode()), head)) as server:
        answered = ask(server.url)
    assert isinstance(answered, Description)
    assert answered.prompt == PROMPT


@pytest.mark.parametrize("framing", ["Content-Length: 1000000", "Transfer-Encoding: chunked", "Connection: close"])
def test_a_body_that_drips_is_read_until_the_time_is_over(framing: str) -> None:
    def say(connection: socket.socket) -> None:
        connection.sendall(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        if "chunked" in framing:
            while not server.stopping.wait(0.02):
                connection.sendall(b"1\r\nx\r\n")
        else:
            server.drip(connection, b"x" * 1_000_000, 0.02)

    with raw_server(say) as server:
        answered = ask(server.url, HASTE_SECONDS)
    assert isinstance(answered, Description)
    assert answered.body.startswith("x")


def test_a_body_that_stops_is_kept_as_far_as_it_came() -> None:
    def say(connection: socket.socket) -> None:
        connection.sendall(answer(b"a light", length=500))
        server.stopping.wait(5)

    with raw_server(say) as server:
        answered = ask(server.url, HASTE_SECONDS)
    assert isinstance(answered, Description)
    assert answered.body == "a light"


# ── Secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_not_carried(
    status: int, endpoint: Endpoint, simulator: SimulatorClient
) -> None:
    with raw_server(answer(DESCRIBED.encode())) as elsewhere:
        simulator.script(ScriptedAnswer(status=status, headers={"Location": elsewhere.url}))
        answered = endpoint.describe(SOME_URL, API_KEY)
    assert isinstance(answered, AccountFault)
    assert elsewhere.requests == []


@pytest.mark.parametrize("status", [200, 400, 401, 406, 429, 500])
def test_a_key_and_a_signature_that_come_back_are_not_kept(
    status: int, endpoint: Endpoint, simulator: SimulatorClient
) -> None:
    echo = f"could not fetch {SOME_URL} for {API_KEY}"
    simulator.script(ScriptedAnswer(status=status, body=json.dumps({"error": echo})))
    answered = endpoint.describe(SOME_URL, API_KEY)
    assert SIGNATURE not in repr(answered)
    assert API_KEY not in repr(answered)
    assert "could not fetch" in repr(answered)


def test_a_good_prompt_survives_a_url_and_a_key_that_come_back_escaped() -> None:
    echo = f"{SOME_URL} {API_KEY}".replace("=", "\\u003d").replace("-", "\\u002D").replace("/", "\\/")
    with raw_server(answer(f'{{"image_file": "{echo}", "descriptions": [{{"text": "{PROMPT}"}}]}}'.encode())) as server:
        answered = ask(server.url)
    assert isinstance(answered, Description)
    assert answered.prompt == PROMPT
    assert SIGNATURE not in answered.body
    assert API_KEY not in repr(json.loads(answered.body))


def test_a_request_id_can_neither_tell_the_key_nor_outgrow_the_record() -> None:
    head = f"HTTP/1.1 200 OK\r\nx-request-id: \x1b{API_KEY} {'7' * 60_000}"
    with raw_server(answer(DESCRIBED.encode(), head)) as server:
        answered = ask(server.url)
    assert isinstance(answered, Description)
    assert answered.request_id is not None
    assert answered.request_id.startswith("REDACTED 7")
    assert len(answered.request_id) <= 200


def test_an_answer_without_a_models_name_is_of_the_model_that_the_url_ends_with() -> None:
    with raw_server(answer(DESCRIBED.encode())) as server:
        answered = ask(f"{server.url}/v1/ideogram-describe/")
    assert isinstance(answered, Description)
    assert answered.model == "ideogram-describe"


def test_an_answer_that_names_its_model_is_believed_but_for_secrets() -> None:
    with raw_server(answer(DESCRIBED.encode(), f"HTTP/1.1 200 OK\r\nx-model: \x1bpixtral-12b {API_KEY}")) as server:
        answered = ask(f"{server.url}/v1/ideogram-describe")
    assert isinstance(answered, Description)
    assert answered.model == "pixtral-12b REDACTED"


@pytest.mark.parametrize("ending", [Ending.DROP, Ending.HANG])
def test_a_failed_connection_tells_neither_key_nor_url(
    ending: Ending, hasty_endpoint: Endpoint, simulator: SimulatorClient
) -> None:
    simulator.script(ScriptedAnswer(ending=ending))
    told = repr(hasty_endpoint.describe(SOME_URL, API_KEY))
    assert not any(secret in told for secret in (SIGNATURE, API_KEY, "http:", "https:"))


def test_no_proxy_and_no_login_of_the_machine_comes_between(
    monkeypatch: pytest.MonkeyPatch, simulator: SimulatorClient
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    simulator.script(ScriptedAnswer(body=DESCRIBED))
    assert isinstance(ask(simulator.describe_url), Description)
