"""The reader's commands on a deployed stack: upload and wait, explain, logs, and a new key that calls back at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stack.conftest import Ask, Run, Stacks
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture

NEW_KEY = "readers-new-key-0123456789"


@pytest.fixture(scope="module")
def deployment(stacks: Stacks) -> Deployment:
    return stacks.with_own_simulator("read")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        (tmp_path / f"{number} +é.png").write_bytes(picture())
    return tmp_path


def test_an_upload_waits_for_the_prompts(deployment: Deployment, ask: Ask, folder: Path) -> None:
    images = ask("upload", str(folder), "--prefix", "in/", "--tag", "owner=Ann", "--wait", "--timeout", "90s")["images"]
    assert {each["status"] for each in images} == {"described"}
    assert all(each["prompt"] for each in images)
    assert deployment.tags("in/0 +é.png")["owner"] == "Ann"
    assert deployment.billed(*(f"in/{number} +é.png" for number in range(3))) == 3


def test_an_upload_that_is_no_image_ends_with_1(deployment: Deployment, run: Run, folder: Path) -> None:
    (folder / "notes.txt").write_text("no picture")
    result = run("upload", str(folder / "notes.txt"), "--wait", "--timeout", "90s", ends_with=1)
    assert "\tskipped\tnot an image of a known kind" in result.stdout


def test_the_story_of_a_described_image_ends_with_its_outcome(deployment: Deployment, ask: Ask) -> None:
    upload = deployment.put("told é.png", picture())
    deployment.until_described(upload.key)
    deployment.until(
        lambda: [each["place"] for each in ask("explain", upload.image)["chapters"]].count("log") == 1, "its log line"
    )
    story = ask("explain", upload.image)
    assert {each["place"] for each in story["chapters"]} == {"object", "catalog", "ledger", "log"}
    assert (story["now"], story["missing"]) == ("Described.", [])
    assert ask("logs", upload.image)["result"] == "described"


def test_a_new_key_brings_the_line_back_at_once(stacks: Stacks, deployment: Deployment, ask: Ask, run: Run) -> None:
    stacks.keys.add(NEW_KEY)
    deployment.simulator.configure(api_key=NEW_KEY)
    upload = deployment.put("locked-out.png", picture())
    deployment.until_status("waiting", upload.key)
    assert ask("status")["last_back_at"]
    assert ask("key", "set", typed=f"{NEW_KEY}\n")["called_back"] == 1
    # Long before its first message comes back.
    result = run("get", upload.image, "--wait", "--timeout", "15s")
    assert "described" in result.stdout
    assert deployment.billed(upload.key) == 1
