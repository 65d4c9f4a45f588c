"""`gateway` as it is typed: what it prints, what it refuses, and that no secret is in any of it."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from typer.testing import CliRunner

from imagescribe_ops.commands.main import app
from tests.factories import make_picture
from tests.model_server import MODEL, PROMPT, ModelServer, failed
from tests.raw_server import answer, closed_port, raw_server

SIGNATURE = "X-Amz-Signature=5ec7e75ec7e75ec7e75ec7e7"


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with ModelServer().running() as running:
        yield running


@contextmanager
def typed(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command, running in a process of its own until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-m", "imagescribe_ops.commands.main", "gateway", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["gateway", *arguments], env={"COLUMNS": "400"})
    assert result.exit_code == 2, result.output
    return result.output


def test_it_listens_makes_a_key_tells_calls_and_ends_with_ctrl_c(server: ModelServer, tmp_path: Path) -> None:
    key_file, model_key_file = tmp_path / "key", tmp_path / "model-key"
    model_key_file.write_text("sk-secret-of-the-model\n")
    with raw_server(answer(make_picture())) as bucket:
        host = bucket.url.split("/")[2]
        options = ("--key-file", str(key_file), "--model-key-file", str(model_key_file), "--allow-host", host)
        with typed("--model-url", server.url, "--model", MODEL, *options, "--json") as process:
            assert process.stdout is not None
            where = json.loads(process.stdout.readline())
            key = key_file.read_text().strip()
            url = f"http://{host}/photos/%1b%5b2Jcat.png?{SIGNATURE}"
            answers = [
                requests.post(where["describe_url"], json={"image_file": url}, headers={"x-api-key": each}, timeout=10)
                for each in (key, "wrong-key")
            ]
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=10)
    assert [each.status_code for each in answers] == [200, 401]
    assert answers[0].json() == {"descriptions": [{"text": PROMPT}]}
    assert server.keys[-1] == "Bearer sk-secret-of-the-model"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert set(where) == {"url", "describe_url", "model"}
    assert (process.returncode, output) == (0, "")
    assert "  200  " in errors
    assert "  401  " in errors
    assert r"photos/\x1b[2Jcat.png" in errors
    assert errors.endswith("Stopped.\n")
    for secret in (key, "wrong-key", "sk-secret", "5ec7e7", "Traceback"):
        assert secret not in errors


def test_a_key_that_is_there_is_taken_and_people_are_told_what_they_need(server: ModelServer, tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("a-key-of-ours\n")
    with typed("--model-url", server.url, "--model", MODEL, "--key-file", str(key_file)) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(4)]
    assert [line.split("  ")[0] for line in lines] == ["describe endpoint", "its key", "model", "pictures from"]
    assert str(key_file) in lines[1]
    assert "public hosts" in lines[3]
    assert key_file.read_text() == "a-key-of-ours\n"


@pytest.mark.parametrize(
    ("reply", "advice"),
    [
        (failed(404, "model 'x' not found"), f"ollama pull {MODEL}"),
        (failed(401, "no key"), "--model-key-file"),
        (failed(400, "this model does not support images"), "sees pictures"),
        (failed(500, "out of memory"), "See what its server says"),
    ],
)
def test_a_model_that_describes_nothing_is_told_with_what_to_do(reply: Any, advice: str, server: ModelServer) -> None:
    server.reply(reply)
    result = CliRunner().invoke(app, ["gateway", "--port", "0", "--model-url", server.url, "--model", MODEL])
    assert result.exit_code == 1
    assert f"Error: The model {MODEL} described nothing: " in result.stderr
    assert advice in result.stderr


def test_a_server_that_does_not_run_is_told_with_what_to_do() -> None:
    url = f"http://127.0.0.1:{closed_port()}/v1"
    result = CliRunner().invoke(app, ["gateway", "--port", "0", "--model-url", url, "--model", MODEL])
    assert result.exit_code == 1
    assert "ollama serve" in result.stderr


def test_a_port_that_is_taken_is_told_in_a_sentence(server: ModelServer) -> None:
    taken = server.url.rpartition(":")[2].removesuffix("/v1")
    result = CliRunner().invoke(app, ["gateway", "--port", taken, "--model-url", server.url, "--model", MODEL])
    assert result.exit_code == 1
    assert f"Nothing can listen on 127.0.0.1:{taken}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "which model?"),
        (("--model", "x"), "goes with --model-url"),
        (("--model-url", "http://127.0.0.1/v1"), "which of its models"),
        (("--model-url", "127.0.0.1:11434", "--model", "x"), "no http or https URL"),
        (("--model-url", "http://127.0.0.1:x/v1", "--model", "x"), "no http or https URL"),
        (("--model-url", "http://user:pw@127.0.0.1/v1", "--model", "x"), "--model-key-file"),
        (("--model-url", "http://127.0.0.1/v1", "--model", "modèle"), "ASCII"),
        (("--model-url", "http://127.0.0.1/v1", "--model", "x", "--instruction", "/nowhere"), "can't be read"),
        (("--model-url", "http://127.0.0.1/v1", "--model", "x", "--model-key-file", "/dev/null"), "is empty"),
        (("--model-url", "http://127.0.0.1/v1", "--model", "x", "--key-file", "/nowhere/key"), "can't be made"),
        (("--model-url", "http://127.0.0.1/v1", "--model", "x", "--allow-host", "http://a"), "HOST:PORT"),
        (("--model-url", "http://127.0.0.1/v1", "--model", "x", "--allow-host", "a:b"), "HOST:PORT"),
        (("--model-url", "http://127.0.0.1/v1", "--model", "x", "--option", "stream"), "NAME=JSON"),
        (("--model-url", "http://127.0.0.1/v1", "--model", "x", "--max-side", "4096"), "2048"),
    ],
)
def test_options_that_can_not_work_are_refused_before_anything_starts(arguments: tuple[str, ...], words: str) -> None:
    assert words in refused(*arguments)


@pytest.mark.parametrize("command", ["demo", "local"])
def test_demo_and_local_take_a_model_or_say_what_is_missing(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--model", "x"], env={"COLUMNS": "400"})
    assert (result.exit_code, "goes with --model-url" in result.output) == (2, True)


def test_local_takes_one_endpoint_or_the_other() -> None:
    options = ["--describe-url", "http://127.0.0.1:9/", "--model-url", "http://127.0.0.1:9/v1", "--model", "x"]
    result = CliRunner().invoke(app, ["local", *options], env={"COLUMNS": "400"})
    assert (result.exit_code, "goes without --model-url" in result.output) == (2, True)
