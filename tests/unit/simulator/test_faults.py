"""The simulator can be made to fail in every way that the endpoint may."""

import json
from collections.abc import Callable
from random import Random

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from imagescribe_ops.simulator import (
    BodyKind,
    Drip,
    Ending,
    Fault,
    ScriptedAnswer,
    SimulatorClient,
)
from imagescribe_ops.simulator.faults import draw
from imagescribe_ops.simulator.picture import LABEL
from tests.unit.simulator.conftest import Call, journal


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
