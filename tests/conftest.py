"""How the tests are told apart, and divided among four processes.

Deployed stacks wait for most of their time, and the unit tests compute: beside each other they take half as long. Only
the test command as a whole is divided; a part that is asked for by its path runs in one process (`-n 4` divides it
too).
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import botocore.session
import pytest
import typer.main
import typer.testing
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

# Images often forbid Python to keep what it compiled. Here a hundred processes would compile the same again and again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

HERE = Path(__file__).parent
SLOWEST = {"test_pay_once_machine.py"}
"""Unit tests that begin first, so that no process is left alone with them in the end."""


OPERATED = ("alarms", "audit", "backfill", "doctor", "operator", "search")
"""Tests of deployed stacks, each its own, that get an emulator of their own in a process of their own."""

ALONE = ("local", "wheel")
"""Those that start what they need by themselves, and so are divided like unit tests."""


class StacksTogether(LoadFileScheduling):
    """Tests of deployed stacks go to two processes, since they share an emulator, and those in a browser to one; the
    others go file by file.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        if file.startswith("tests/browser/"):
            return "browser"
        if not file.startswith("tests/stack/") or file.endswith(tuple(f"/test_{name}.py" for name in ALONE)):
            return super()._split_scope(nodeid)
        return "operated" if file.endswith(tuple(f"/test_{name}.py" for name in OPERATED)) else "stack"


@pytest.fixture(scope="session", autouse=True)
def _read_once() -> Iterator[None]:
    """Let what is the same each time be read once, and not for each session of boto3 and each run of the command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", cache(botocore.session.create_loader))  # megabytes of JSON
        patch.setattr(typer.testing, "_get_command", cache(typer.main.get_command))
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> StacksTogether:
    config.option.loadscopereorder = False  # in the order of the collection, whatever their count
    return StacksTogether(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return 4 if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "unit: needs no network and runs in seconds (all of tests/unit)")
    config.addinivalue_line("markers", "stack: runs the deployed template in an emulator of AWS (all of tests/stack)")
    config.addinivalue_line("markers", "browser: opens the gallery in Chromium (all of tests/browser)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(item.path.relative_to(HERE).parts[0])
    items.sort(key=lambda item: item.path.name not in SLOWEST)


def pytest_collection_finish() -> None:
    gc.freeze()  # whose collections would look through all modules and tests again and again
