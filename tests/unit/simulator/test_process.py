"""The simulator runs as a process of its own, and ends when it is told to."""

import json
import os
import signal
import subprocess
import sys

import pytest
import requests

from imagescribe_ops.simulator import (
    Fault,
    SimulatorClient,
    SimulatorSettings,
    start_simulator,
)
from tests.certificates import CERTIFICATES
from tests.unit.simulator.conftest import KEY, journal


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
