"""The gateway keeps the describe endpoint's contract, whatever the model does."""

import io
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection
from typing import Any

import pytest
import requests
from PIL import Image

from imagescribe.endpoint import Endpoint
from imagescribe.model.answers import AccountFault, Description, Limited, Refusal, Rejected, Transient
from imagescribe_ops.contract.addresses import Reach
from imagescribe_ops.gateway.gateway import Call
from imagescribe_ops.gateway.server import RunningGateway
from imagescribe_ops.gateway.settings import default_instruction
from tests.model_server import MODEL, PROMPT, ModelServer, Reply, failed, said, streamed
from tests.raw_server import answer, closed_port, raw_server
from tests.unit.gateway.conftest import KEY, MODEL_KEY, SIGNATURE, Ask, ask_for, photograph

# The contract


def test_a_picture_is_described_by_the_model(ask: Ask, model: ModelServer, calls: list[Call]) -> None:
    answered = ask()
    assert answered.status_code == 200
    assert answered.json() == {"descriptions": [{"text": PROMPT}]}
    assert answered.headers["x-model"] == MODEL
    assert float(answered.headers["x-generation-time"]) >= 0
    assert answered.headers["x-request-id"]
    assert model.keys == [f"Bearer {MODEL_KEY}"]
    assert [(call.object_path, call.billed) for call in calls] == [("photos/cat +.png", True)]


def test_what_describes_images_reads_prompt_and_model_out_of_it(gateway: RunningGateway, bucket: str) -> None:
    described = Endpoint(gateway.describe_url, connections=1).describe(f"{bucket}/cat.png?{SIGNATURE}", KEY)
    assert isinstance(described, Description)
    assert (described.prompt, described.model) == (PROMPT, MODEL)


@pytest.mark.parametrize("key", [None, "", "wrong", KEY + " x", KEY[:-1], "schlüssel"])
def test_a_wrong_key_is_401_and_the_model_hears_nothing_of_it(
    key: str | None, ask: Ask, model: ModelServer, gateway: RunningGateway
) -> None:
    answered = ask(key=key.encode("latin-1") if key else key)
    assert answered.status_code == 401
    assert set(answered.json()) == {"error", "error_description", "status_code"}
    balance = requests.get(f"{gateway.url}/v1/get-user-credits", headers={"x-api-key": "wrong"}, timeout=10)
    assert balance.status_code == 401
    assert model.requests == []


def test_the_balance_has_no_end_and_needs_the_key(gateway: RunningGateway) -> None:
    url = f"{gateway.url}/v1/get-user-credits"
    balance = requests.get(url, headers={"x-api-key": KEY}, timeout=10).json()
    assert balance["credits"] > 1000
    assert balance["free-credits"] == 0.0


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"{}", b'{"image_file": 7}', b"\xff", b"[" * 100_000])
def test_a_body_without_an_image_file_is_400(body: bytes, ask: Ask) -> None:
    headers = {"x-api-key": KEY, "Content-Type": "application/json"}
    assert ask(json=None, data=body, headers=headers).status_code == 400


def test_other_requests_are_refused_as_by_the_endpoint(ask: Ask, gateway: RunningGateway) -> None:
    assert ask(headers={"x-api-key": KEY, "Content-Type": "text/plain"}, json=None, data=b"{}").status_code == 406
    assert ask(json=None, data=b"x" * 2_000_000).status_code == 413
    not_allowed = requests.get(gateway.describe_url, timeout=10)
    assert (not_allowed.status_code, not_allowed.headers["Allow"]) == (405, "POST")
    assert not_allowed.headers["Content-Type"].startswith("text/html")
    assert requests.post(f"{gateway.url}/v1/chat/completions", json={}, timeout=10).status_code == 404


# The picture


def test_the_model_gets_the_picture_upright_small_and_without_metadata(
    ask: Ask, model: ModelServer, started: Callable[..., RunningGateway]
) -> None:
    lying = photograph((3000, 2000), orientation=6)  # its left side is up
    assert b"Maker of cameras" in lying
    with raw_server(answer(lying)) as server:
        reach = Reach(frozenset({server.url.split("/")[2]}))
        assert ask_for(started(reach=reach), "", url=f"{server.url}?{SIGNATURE}").status_code == 200
    [jpeg] = model.pictures()
    picture = Image.open(io.BytesIO(jpeg), formats=["JPEG"])
    assert picture.size == (683, 1024)
    assert dict(picture.getexif()) == {}
    assert not {"exif", "comment", "icc_profile", "xmp"} & set(picture.info)
    assert b"Maker" not in jpeg
    top, bottom = picture.getpixel((340, 100)), picture.getpixel((340, 900))
    assert isinstance(top, tuple)
    assert isinstance(bottom, tuple)
    assert top[0] > 200 > bottom[0]


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (answer(b"no picture"), 422, "not a whole"),
        (answer(photograph()[:-200]), 422, "not a whole"),
        (answer(b"", "HTTP/1.1 403 Forbidden"), 400, "could not fetch image_file: status 403"),
    ],
)
def test_a_picture_that_can_not_be_had_never_gets_to_the_model(
    content: bytes, status: int, words: str, model: ModelServer, started: Callable[..., RunningGateway]
) -> None:
    with raw_server(content) as server:
        reach = Reach(frozenset({server.url.split("/")[2]}))
        answered = ask_for(started(reach=reach), "", url=f"{server.url}?{SIGNATURE}")
    assert (answered.status_code, words in answered.json()["error"]) == (status, True)
    assert SIGNATURE not in answered.text
    assert model.requests == []


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest/meta-data/", "http://127.0.0.1:1/", "https://[::1]/a"])
def test_a_host_that_is_not_allowed_pauses_calls_and_gives_no_picture_up(url: str, ask: Ask) -> None:
    answered = ask(url=f"{url}?{SIGNATURE}")
    assert answered.status_code == 403
    assert "not fetched from" in answered.json()["error"]
    assert SIGNATURE not in answered.text


# What the model answers


@pytest.mark.parametrize(
    ("reply", "status", "because", "becomes"),
    [
        (failed(429, "Rate limit reached"), 429, "model's limit", Limited),
        (failed(429, "You exceeded your quota", "insufficient_quota"), 406, "model's credits", AccountFault),
        (failed(402, "Insufficient credits"), 406, "model's credits", AccountFault),
        (
            failed(503, "server busy, please try again. maximum pending requests"),
            429,
            "model is busy",
            Limited,
        ),
        (failed(529, "Overloaded"), 429, "model is busy", Limited),
        (failed(503, "Loading model"), 503, "model is away", Transient),
        (failed(500, "model runner has unexpectedly stopped"), 502, "model's 500", Transient),
        (failed(502, "bad gateway"), 502, "model's 502", Transient),
        (failed(504, "took too long"), 504, "model's time-out", Transient),
        (failed(408, "took too long"), 504, "model's time-out", Transient),
        (failed(401, f"Incorrect API key provided: {MODEL_KEY}"), 403, "model's key", AccountFault),
        (failed(403, "Country not supported"), 403, "model's key", AccountFault),
        (failed(404, "model 'x' not found"), 404, "no such model", AccountFault),
        (Reply(404, b"404 page not found", "text/plain"), 404, "no such model", AccountFault),
        (Reply(405, b"", "text/plain"), 404, "no such model", AccountFault),
        (Reply(307, headers={"Location": "http://127.0.0.1:1/"}), 404, "redirect", AccountFault),
        (failed(400, "this model does not support images"), 422, "refused", Rejected),
        (failed(413, "too large"), 422, "refused", Rejected),
        (said(None, refusal="I can't help with that"), 422, "refused", Rejected),
        (said("", finish="content_filter"), 422, "refused", Rejected),
        (Reply(200, b"<html>It works!</html>", "text/html"), 502, "garbage", Transient),
        (Reply(200, b""), 502, "garbage", Transient),
        (Reply(200, b'{"choices": []}'), 502, "garbage", Transient),
        (Reply(200, b'{"choices": [{"message": 7}]}'), 502, "garbage", Transient),
        (Reply(200, b'{"object": "error", "message": "no"}'), 502, "garbage", Transient),
        (Reply(200, b"[" * 200_000), 502, "garbage", Transient),
        (Reply(200, b'{"choices": [', breaks_off=True), 502, "broke off", Transient),
        (Reply(200, b"x" * (5 << 20)), 502, "endless", Transient),
        (Reply(seconds=20), 504, "time-out", Transient),
    ],
    ids=lambda value: str(value)[:60],  # some replies have megabytes
)
def test_what_is_not_a_prompt_becomes_a_status_of_the_contract(
    reply: Reply,
    status: int,
    because: str,
    becomes: type[Refusal],
    model: ModelServer,
    gateway: RunningGateway,
    started: Callable[..., RunningGateway],
    bucket: str,
    calls: list[Call],
) -> None:
    """And that status makes a stack do the right thing: wait, try again, pause, or give this one picture up."""
    model.reply(reply, reply)
    if reply.seconds:
        gateway = started(timeout_s=0.2)
    answered = ask_for(gateway, bucket)
    assert answered.status_code == status, answered.text
    assert calls[0].answer is not None
    assert (calls[0].answer.because, calls[0].billed) == (because, False)
    assert MODEL_KEY not in answered.text
    assert SIGNATURE not in answered.text
    # A stack calls again: with the same key, as a 401 or 403 would make it read its own key afresh.
    assert isinstance(Endpoint(gateway.describe_url, 1).describe(f"{bucket}/cat.png", KEY), becomes)


@pytest.mark.parametrize("reply", [said(""), said(None), said("<think>a cat, I think</think>  ", finish="length")])
def test_an_answer_without_text_is_paid_for_and_so_not_asked_for_again(
    reply: Reply, ask: Ask, model: ModelServer, gateway: RunningGateway, bucket: str
) -> None:
    model.reply(reply, reply)
    answered = ask()
    assert (answered.status_code, answered.json()["descriptions"]) == (200, [])
    assert "without text" in answered.json()["error"]
    described = Endpoint(gateway.describe_url, connections=1).describe(f"{bucket}/cat.png", KEY)
    assert isinstance(described, Description)
    assert described.prompt is None


@pytest.mark.parametrize("status", [429, 500, 503, 504])
def test_when_to_come_back_is_passed_on_or_made_up(status: int, ask: Ask, model: ModelServer) -> None:
    model.reply(failed(status, "no", retry_after="17"), failed(status, "no"))
    assert [ask().headers["Retry-After"] for _ in range(2)] == ["17", "5"]


def test_a_server_that_is_not_there_is_503(started: Callable[..., RunningGateway], bucket: str) -> None:
    answered = ask_for(started(model_url=f"http://127.0.0.1:{closed_port()}/v1"), bucket)
    assert answered.status_code == 503
    assert "can't be reached" in answered.json()["error"]
    assert answered.headers["Retry-After"]


def test_a_stream_that_nobody_asked_for_is_put_together(ask: Ask, model: ModelServer) -> None:
    model.reply(streamed("A grey ", "cat, ", "asleep"))
    assert ask().json() == {"descriptions": [{"text": "A grey cat, asleep"}]}


def test_a_model_that_refuses_the_stream_parameter_is_not_sent_it(ask: Ask, model: ModelServer) -> None:
    ask()
    assert "stream" not in model.requests[0]


def test_a_very_long_text_is_cut_at_a_word(ask: Ask, model: ModelServer) -> None:
    model.reply(said("a cat " * 100_000))
    text = ask().json()["descriptions"][0]["text"]
    assert 7_900 < len(text) <= 8_000
    assert text.endswith(("a", "cat"))


# What it is asked


def test_the_model_is_asked_by_the_instruction_and_with_the_options(
    started: Callable[..., RunningGateway], bucket: str, model: ModelServer
) -> None:
    ask_for(started(instruction="Say it in a haiku.", options={"temperature": 0.2}), bucket)
    [request] = model.requests
    assert request["temperature"] == 0.2
    assert request["messages"][0]["content"][0] == {"type": "text", "text": "Say it in a haiku."}


def test_the_instruction_that_ships_asks_for_a_prompt(ask: Ask, model: ModelServer) -> None:
    ask()
    assert model.requests[0]["messages"][0]["content"][0]["text"] == default_instruction()
    assert "text-to-image" in default_instruction()


# Many, and gone


def wait_until(check: Callable[[], object]) -> None:
    for _ in range(1000):
        if check():
            return
        time.sleep(0.01)
    raise TimeoutError


def test_more_calls_than_the_model_may_have_at_once_are_limited_until_one_ends(
    started: Callable[..., RunningGateway], bucket: str, model: ModelServer
) -> None:
    model.may_answer.clear()
    gateway = started(max_concurrency=2, timeout_s=60)
    with ThreadPoolExecutor(2) as pool:
        working = [pool.submit(ask_for, gateway, bucket, timeout=60) for _ in range(2)]
        wait_until(lambda: len(model.requests) == 2)
        limited = [ask_for(gateway, bucket) for _ in range(3)]
        model.may_answer.set()
        assert [each.result().status_code for each in working] == [200, 200]
    assert [(each.status_code, each.headers["Retry-After"]) for each in limited] == [(429, "1")] * 3
    assert ask_for(gateway, bucket).status_code == 200


def test_a_caller_who_leaves_frees_the_model(
    started: Callable[..., RunningGateway], bucket: str, model: ModelServer, calls: list[Call]
) -> None:
    model.seconds = 60
    gateway = started(max_concurrency=1, timeout_s=60)
    caller = HTTPConnection(gateway.url.removeprefix("http://"))
    body = json.dumps({"image_file": f"{bucket}/cat.png"})
    caller.request("POST", "/v1/ideogram-describe", body, {"x-api-key": KEY, "Content-Type": "application/json"})
    wait_until(lambda: model.requests)
    caller.close()
    wait_until(model.left.is_set)
    wait_until(lambda: calls)
    assert [(call.answer, call.billed) for call in calls] == [(None, False)]
    model.seconds = 0
    assert ask_for(gateway, bucket).status_code == 200


def test_stopping_ends_the_calls_that_are_open(
    started: Callable[..., RunningGateway], bucket: str, model: ModelServer
) -> None:
    model.seconds = 60
    gateway = started(timeout_s=60)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(partial(ask_for, gateway, bucket))
        wait_until(lambda: model.requests)
        began = time.monotonic()
        gateway.__exit__(None, None, None)
        assert time.monotonic() - began < 10
        assert not isinstance(asked.exception(), requests.Timeout)
    wait_until(model.left.is_set)


def test_a_bug_is_told_by_its_kind_and_place_alone(
    started: Callable[..., RunningGateway],
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def buggy(*_: Any) -> bytes:
        raise ZeroDivisionError(SIGNATURE)

    monkeypatch.setattr("imagescribe_ops.gateway.gateway.rendition", buggy)
    answered = ask_for(started(), bucket)
    assert answered.status_code == 500
    assert answered.json() == {"error": "Server error"}
    told = capfd.readouterr()
    assert "ZeroDivisionError at " in told.err
    assert SIGNATURE not in answered.text + told.err + told.out
