"""`local --before` as it is typed: pictures that were there first, and the two lines that it prints, as they stand."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from imagescribe_ops.local.pictures import samples, select
from tests.model_server import MODEL, PROMPT, ModelServer

STACK = "pictures-first"
SECONDS = 300.0
"""Longer than anything here takes on a busy machine."""


def typed(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "imagescribe_ops.commands.main", *arguments]


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer().running() as server:
        yield server


@contextmanager
def local(*arguments: str, log: Path) -> Iterator[list[str]]:
    """The stack, up for the time of the block, and the lines that it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "UV_RUN_RECURSION_DEPTH"}
    with (
        log.open("w+") as written,
        subprocess.Popen(
            typed(["local", *arguments]), stdout=subprocess.PIPE, stderr=written, text=True, env=environment
        ) as process,
    ):
        assert process.stdout
        try:
            lines: list[str] = []
            for line in process.stdout:
                lines.append(line.strip())
                if line.startswith("Ctrl-C"):
                    break
            else:
                pytest.fail(log.read_text())
            yield lines
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=SECONDS)


def answer(line: str, *more: str) -> Any:
    """What a printed line answers as JSON."""
    program, *arguments = shlex.split(line)
    assert program == "imagescribe"
    ran = subprocess.run(
        typed([*arguments, *more, "--json"]), capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert ran.stdout, ran.stderr
    return json.loads(ran.stdout)


def test_what_was_there_before_local_is_found_by_the_audit_and_described_by_a_backfill(
    model: ModelServer, tmp_path: Path
) -> None:
    folder = samples().pictures[0].path.parent
    pictures = len(select([folder]).pictures)
    options = ("--stack", STACK, "--quiet", "--model-url", model.url, "--model", MODEL)
    with local("--before", str(folder), *options, log=tmp_path / "log") as lines:
        backfill, audit = (next(line for line in lines if f" {name} --local" in line) for name in ("backfill", "audit"))
        assert answer(audit)["verdicts"] == {"missing": pictures}

        estimate = answer(backfill)["estimate"]
        assert (estimate["objects"], estimate["pays"], estimate["usd"]) == (pictures, pictures, 0)
        assert answer(backfill, "--yes")["job"]["sent"] == 0
        ends_at = time.monotonic() + SECONDS
        while (said := answer(audit, "--tags", "all"))["verdicts"] != {"well": pictures}:
            assert time.monotonic() < ends_at, said
            time.sleep(1)
        assert said["ok"]
        found = answer(f"imagescribe list --local --stack {STACK}")["images"]
        assert {(each["prompt"], each["model"]) for each in found} == {(PROMPT, MODEL)}
    assert "Left out" in (tmp_path / "log").read_text()
