"""The simulator keeps the endpoint's contract, and bills what the endpoint would bill."""

import pytest
import requests

from imagescribe_ops.simulator import (
    SimulatorClient,
)
from imagescribe_ops.simulator.picture import LABEL
from tests.unit.simulator.conftest import KEY, SIGNATURE, Call, journal


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
