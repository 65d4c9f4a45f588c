"""A vision model in the simulator's place: `demo --model-url` as it is typed, and a server that speaks the protocol."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.model_server import MODEL, PROMPT, ModelServer
from tests.stack.pictures import picture

INSTRUCTION = "Say what you see, as a prompt."


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer().running() as server:
        server.seconds = 0.2
        yield server


def test_a_folder_is_described_by_a_model_of_this_machine(model: ModelServer, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        (pictures / f"é {number}.png").write_bytes(picture())
    (pictures / "copy.png").write_bytes((pictures / "é 0.png").read_bytes())
    instruction = tmp_path / "instruction.txt"
    instruction.write_text(INSTRUCTION, encoding="utf-8")
    options = ["--model-url", model.url, "--model", MODEL, "--instruction", str(instruction), "--json"]
    ran = subprocess.run(
        [sys.executable, "-m", "imagescribe_ops.commands.main", "demo", str(pictures), *options],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert (result["ok"], result["model"], result["problems"]) == (True, MODEL, [])
    assert {(image["prompt"], image["model"]) for image in result["images"]} == {(PROMPT, MODEL)}
    # Three contents, each described once; and a first call, which shows that the model works.
    assert result["totals"]["described"] == 4
    assert result["totals"]["paid_calls"] == 3
    assert len(model.requests) == 4
    assert {request["messages"][0]["content"][0]["text"] for request in model.requests} == {INSTRUCTION}
    assert all(Image.open(io.BytesIO(jpeg)).format == "JPEG" for jpeg in model.pictures())
    assert "X-Amz" not in ran.stdout + ran.stderr
