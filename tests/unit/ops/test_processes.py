"""Child processes end with whoever started them, however that happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imagescribe_ops.local.process_guard import has_members
from imagescribe_ops.local.processes import Child, Interrupted, interruptible, shielded

SECONDS = 15.0
PATH = {"PATH": os.environ.get("PATH", os.defpath)}

# Two processes in one group; the second one does not listen to SIGTERM.
FAMILY = ["sh", "-c", "sh -c 'trap \"\" TERM; echo stubborn; while :; do sleep 0.1; done' & sleep 600"]

PARENT = """
import sys, time
from pathlib import Path
from imagescribe_ops.local.processes import Child, Interrupted, interruptible

grace_s, directory, command = float(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
try:
    with interruptible(), open(directory.parent / "log", "wb") as log:
        environment = {"PATH": "/usr/bin:/bin"}
        with Child(command, environment=environment, output=log, remove=[directory], grace_s=grace_s) as child:
            print(child.pid, flush=True)
            time.sleep(600)
except Interrupted as interrupted:
    sys.exit(128 + interrupted.signal_number)
"""


def is_soon(condition: object, seconds: float = SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if callable(condition) and condition():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    (made / "file").write_text("x")
    return made


@pytest.fixture
def grace_s() -> float:
    return 0.2


@pytest.fixture
def parent(directory: Path, grace_s: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PARENT, str(grace_s), str(directory), *FAMILY]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0)
    yield process
    process.kill()
    process.wait()
    if process.stdout:
        process.stdout.close()


def group_of_child(parent: subprocess.Popen[str], log: Path) -> int:
    assert parent.stdout is not None
    group = int(parent.stdout.readline())
    assert is_soon(lambda: "stubborn" in log.read_text())
    assert has_members(group)
    return group


def test_the_whole_family_dies_with_a_parent_that_is_killed(
    parent: subprocess.Popen[str], log: Path, directory: Path
) -> None:
    group = group_of_child(parent, log)
    parent.kill()
    assert is_soon(lambda: not has_members(group))
    assert is_soon(lambda: not directory.exists())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_ends_the_family_before_the_parent_ends(
    parent: subprocess.Popen[str], log: Path, directory: Path, number: signal.Signals
) -> None:
    group = group_of_child(parent, log)
    os.kill(parent.pid, number)
    assert parent.wait(SECONDS) == 128 + number
    assert not has_members(group)
    assert not directory.exists()


@pytest.mark.parametrize("grace_s", [60.0])
def test_a_second_ctrl_c_does_not_wait_for_the_stubborn(parent: subprocess.Popen[str], log: Path) -> None:
    group = group_of_child(parent, log)
    began = time.monotonic()
    os.kill(parent.pid, signal.SIGINT)
    time.sleep(0.3)
    os.kill(parent.pid, signal.SIGINT)
    assert parent.wait(SECONDS) == 130
    assert time.monotonic() - began < 10
    assert not has_members(group)


def test_stopping_ends_a_child_and_all_it_started(log: Path, directory: Path) -> None:
    with log.open("wb") as output:
        child = Child(FAMILY, environment=PATH, output=output, remove=[directory], grace_s=0.2)
        assert is_soon(lambda: "stubborn" in log.read_text())
        child.stop()
    assert not has_members(child.pid)
    assert not directory.exists()
    child.stop()  # a second time does nothing


def test_a_child_that_ends_by_itself_takes_what_it_started_along(log: Path, directory: Path) -> None:
    with (
        log.open("wb") as output,
        Child(["sh", "-c", "sleep 600 & exit 3"], environment=PATH, output=output, remove=[directory]) as child,
    ):
        assert child.wait(SECONDS) == 3
        assert not has_members(child.pid)
        assert directory.exists()  # there to be looked at until it is stopped


def test_a_killed_child_has_a_shells_exit_status(log: Path) -> None:
    with log.open("wb") as output, Child(["sh", "-c", "kill -9 $$"], environment=PATH, output=output) as child:
        assert child.wait(SECONDS) == 128 + signal.SIGKILL


def test_nothing_is_left_when_the_guard_itself_was_killed(log: Path) -> None:
    with log.open("wb") as output, Child(FAMILY, environment=PATH, output=output) as child:
        assert is_soon(lambda: "stubborn" in log.read_text())
        os.kill(child.pid, signal.SIGKILL)
        assert is_soon(lambda: child.status() is not None)
    assert not has_members(child.pid)


def test_a_child_gets_the_environment_it_is_given_and_no_more(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "someone")
    with log.open("wb") as output, Child(["env"], environment={**PATH, "A": "b"}, output=output) as child:
        assert child.wait(SECONDS) == 0
    names = {line.partition("=")[0] for line in log.read_text().splitlines()}
    assert {"A", "PATH"} <= names <= {"A", "PATH", "PWD", "SHLVL", "_", "LC_CTYPE"}


def test_waiting_too_long_leaves_the_child_running(log: Path) -> None:
    with log.open("wb") as output, Child(["sleep", "600"], environment=PATH, output=output) as child:
        with pytest.raises(TimeoutError):
            child.wait(0.1)
        assert child.status() is None


def test_a_shield_keeps_an_interruption_until_the_block_is_done() -> None:
    done = False

    def work() -> None:
        nonlocal done
        with interruptible(), shielded():
            signal.raise_signal(signal.SIGINT)
            done = True

    with pytest.raises(Interrupted):
        work()
    assert done


def test_an_interruption_in_a_finalizer_is_not_lost() -> None:
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def work() -> None:
        with interruptible():
            Finalized()
            time.sleep(SECONDS)

    with pytest.raises(Interrupted, match="SIGTERM"):
        work()


def test_handlers_are_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
