"""The wheel is all that `uvx … imagescribe demo` needs: no checkout, and nothing written but into the user's cache.

A vision model of this machine describes, as `demo --model-url` is typed: a server that speaks its protocol.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from imagescribe_ops.local.tools import find_uv
from imagescribe_ops.project import PROJECT_DIRECTORY
from tests.model_server import MODEL, PROMPT, ModelServer
from tests.stack.pictures import picture

SECONDS = 1200
INSTRUCTION = "Say what you see, as a prompt."


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    with ModelServer().running() as server:
        server.seconds = 0.2
        yield server


def ended(
    *command: str | Path, folder: Path = PROJECT_DIRECTORY, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A program that ended well, with what it said."""
    done = subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done


def test_the_demo_runs_from_the_wheel_in_an_empty_folder_with_a_model_of_this_machine(
    model: ModelServer, tmp_path: Path
) -> None:
    uv, (wheels, folder, cache) = find_uv(), [tmp_path / name for name in ("wheels", "folder", "cache")]
    ended(uv, "build", "--wheel", "--out-dir", wheels, PROJECT_DIRECTORY)
    (wheel,) = wheels.glob("*.whl")
    folder.mkdir()
    names = [f"é {number}.png" for number in range(3)]
    for name in names:
        (folder / name).write_bytes(picture())
    (folder / "copy.png").write_bytes((folder / names[0]).read_bytes())
    (tmp_path / "instruction.txt").write_text(INSTRUCTION, encoding="utf-8")
    ran = ended(
        *(uv, "tool", "run", "--from", wheel, "imagescribe", "demo", "--json", "."),
        *("--model-url", model.url, "--model", MODEL, "--instruction", tmp_path / "instruction.txt"),
        folder=folder,
        XDG_CACHE_HOME=str(cache),
        # What was downloaded before need not come again.
        UV_CACHE_DIR=ended(uv, "cache", "dir").stdout.strip(),
        PIP_CACHE_DIR=os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip")),
    )
    result = json.loads(ran.stdout)
    assert (result["ok"], result["model"], result["problems"]) == (True, MODEL, [])
    assert {(image["prompt"], image["model"]) for image in result["images"]} == {(PROMPT, MODEL)}
    # Three contents, each described once; and a first call, which shows that the model works.
    assert (result["totals"]["described"], result["totals"]["paid_calls"], len(model.requests)) == (4, 3, 4)
    assert {request["messages"][0]["content"][0]["text"] for request in model.requests} == {INSTRUCTION}
    assert all(Image.open(io.BytesIO(jpeg)).format == "JPEG" for jpeg in model.pictures())
    assert "X-Amz" not in ran.stdout + ran.stderr
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names, "copy.png"])
    assert {path.name.partition("-")[0] for path in (cache / "imagescribe").rglob("tools/*")} == {"sam", "ministack"}
