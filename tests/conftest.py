"""How the tests are told apart, and divided among three processes.

Deployed stacks wait for most of their time, and the unit tests compute: beside each other they take half as long. Only
the test command as a whole is divided; a part that is asked for by its path runs in one process (`-n 3` divides it
too).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main
import typer.testing
from botocore.loaders import JSONFileLoader
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

HERE = Path(__file__).parent
SLOWEST = {"test_pay_once_machine.py"}
"""Unit tests that begin first, so that no process is left alone with them in the end."""


OPERATED = ("alarms", "audit", "backfill", "command", "doctor", "operator", "search")
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
    read = JSONFileLoader.load_file
    model = cache(lambda path: read(JSONFileLoader(), path))  # of a service: megabytes of JSON
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _loader, path: model(path))
        patch.setattr(typer.testing, "_get_command", cache(typer.main.get_command))
        yield


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> StacksTogether:
    config.option.loadscopereorder = False  # in the order of the collection, whatever their count
    return StacksTogether(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return 3 if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "unit: needs no network and runs in seconds (all of tests/unit)")
    config.addinivalue_line("markers", "stack: runs the deployed template in an emulator of AWS (all of tests/stack)")
    config.addinivalue_line("markers", "browser: opens the gallery in Chromium (all of tests/browser)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(item.path.relative_to(HERE).parts[0])
    items.sort(key=lambda item: item.path.name not in SLOWEST)
