"""The wheel is all that `uvx … imagescribe demo` needs: no checkout, and nothing written but into the user's cache."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from imagescribe_ops.local.tools import find_uv
from imagescribe_ops.project import PROJECT_DIRECTORY
from tests.stack.conftest import Stacks
from tests.stack.pictures import picture

SECONDS = 1200


@dataclass(frozen=True, slots=True)
class Demo:
    """What the demo said, and the files that were in its folder afterwards and in the user's cache."""

    result: dict[str, Any]
    folder: list[str]
    cache: set[str]


def demo(_stacks: Stacks) -> Demo:
    """Build the wheel, and run the demo from it in a folder that has nothing but a picture."""
    uv = find_uv()
    with TemporaryDirectory() as temporary:
        wheels, folder, cache = (Path(temporary) / name for name in ("wheels", "folder", "cache"))
        said("uv build", uv, "build", "--wheel", "--out-dir", wheels, PROJECT_DIRECTORY)
        (wheel,) = wheels.glob("*.whl")
        folder.mkdir()
        (folder / "only.png").write_bytes(picture())
        downloaded = said("uv cache dir", uv, "cache", "dir").strip()
        # What was downloaded before need not come again.
        environment = {
            "XDG_CACHE_HOME": str(cache),
            "UV_CACHE_DIR": downloaded,
            "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache" / "pip")),
        }
        command = ("tool", "run", "--from", wheel, "imagescribe", "demo", "--json", "only.png")
        result = json.loads(said("imagescribe demo", uv, *command, folder=folder, environment=environment))
        return Demo(
            result,
            [path.name for path in folder.iterdir()],
            {path.name.partition("-")[0] for path in (cache / "imagescribe").rglob("tools/*")},
        )


def said(
    name: str, *command: str | Path, folder: Path = PROJECT_DIRECTORY, environment: dict[str, str] | None = None
) -> str:
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert ended.returncode == 0, f"{name}: {ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.mark.beside(work=demo)
def test_the_demo_runs_from_the_wheel_in_an_empty_folder(outcome: Demo) -> None:
    (image,) = outcome.result["images"]
    assert (image["key"], image["status"]) == ("only.png", "described")
    assert image["prompt"]
    assert outcome.result["ok"]
    assert outcome.folder == ["only.png"]
    assert outcome.cache == {"sam", "ministack"}
