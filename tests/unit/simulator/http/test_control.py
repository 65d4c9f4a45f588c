"""The journal tells what was asked and nothing secret; settings, script and reset are checked before they hold."""

import hashlib
from typing import Any
from urllib.parse import quote

import pytest
import requests

from imagescribe_ops.contract.fetch import Target, target_of
from imagescribe_ops.simulator import (
    ScriptedAnswer,
    SimulatorClient,
    SimulatorError,
)
from tests.unit.simulator.conftest import KEY, Call, Objects, journal


def test_the_journal_names_the_object_and_never_the_signature(
    call: Call, simulator: SimulatorClient, capfd: pytest.CaptureFixture[str]
) -> None:
    name = quote("copy of a+é.png")
    call(name)
    call("missing.png")
    described, missing = journal(simulator, 2)
    content = Objects.objects["/photos/" + name]
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
