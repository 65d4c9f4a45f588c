"""How the tests are told apart, and divided among two processes.

The deployed stack waits for most of its time, and the unit tests compute: beside each other they take half as long.
Only the test command as a whole is divided; a part that is asked for by its path runs in one process (`-n 2` divides it
too).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

HERE = Path(__file__).parent
SLOWEST = {"test_pay_once_machine.py"}
"""Unit tests that begin first, so that no process is left alone with them in the end."""


class StackTogether(LoadFileScheduling):
    """All tests of the deployed stack go to one process, since they share an emulator; those in a browser go to one,
    since they share that; the others go file by file.
    """

    def _split_scope(self, nodeid: str) -> str:
        for shared in ("stack", "browser"):
            if nodeid.startswith(f"tests/{shared}/"):
                return shared
        return super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> StackTogether:
    config.option.loadscopereorder = False  # in the order of the collection, whatever their count
    return StackTogether(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    return 2 if config.args_source is pytest.Config.ArgsSource.TESTPATHS else 0


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "unit: needs no network and runs in seconds (all of tests/unit)")
    config.addinivalue_line("markers", "stack: runs the deployed template in an emulator of AWS (all of tests/stack)")
    config.addinivalue_line("markers", "browser: opens the gallery in Chromium (all of tests/browser)")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(item.path.relative_to(HERE).parts[0])
    items.sort(key=lambda item: item.path.name not in SLOWEST)
