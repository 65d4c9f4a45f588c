"""Work in a child process may crash, hang or take all memory; its parent only hears of it."""

from __future__ import annotations

import faulthandler
import os
import signal
import time
from functools import partial
from typing import NoReturn

import pytest

from renditions import sandbox
from renditions.pictures import UnfitError

# Deployed, the process that forks has one thread.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def asleep(seconds: float) -> bytes:
    time.sleep(seconds)
    return b""


def test_what_the_work_returns_is_returned() -> None:
    assert sandbox.run(lambda: b"x" * 5_000_000) == b"x" * 5_000_000


def test_a_reason_of_the_work_is_the_reason() -> None:
    def work() -> NoReturn:
        raise UnfitError("it is no picture: ½")

    with pytest.raises(UnfitError, match="it is no picture: ½"):
        sandbox.run(work)


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGILL", "SIGKILL"])
def test_a_crash_is_a_reason(name: str) -> None:
    def work() -> bytes:
        faulthandler.disable()  # pytest's, which has a standard error of its own
        os.kill(os.getpid(), signal.Signals[name])
        return b""

    with pytest.raises(UnfitError, match=rf"the decoder crashed with it \({name}\)"):
        sandbox.run(work)


def test_work_that_hangs_is_ended_in_time() -> None:
    begin = time.monotonic()
    with pytest.raises(UnfitError, match=r"decoding it takes longer than 0\.2 s"):
        sandbox.run(partial(asleep, 60), seconds=0.2)
    assert time.monotonic() - begin < 10


def test_work_that_only_computes_is_ended_too() -> None:
    def work() -> bytes:
        while True:
            pass

    with pytest.raises(UnfitError, match="takes longer than"):
        sandbox.run(work, seconds=0.2)


def test_work_that_takes_too_much_memory_is_ended_and_that_is_the_reason() -> None:
    with pytest.raises(UnfitError, match="it takes more memory than any picture should"):
        sandbox.run(lambda: bytes(bytearray(300_000_000)), memory_bytes=100_000_000)


def test_an_error_of_ours_is_none_of_the_files_and_is_told_with_its_traceback() -> None:
    with pytest.raises(RuntimeError, match=r"(?s)Traceback.*ZeroDivisionError"):
        sandbox.run(lambda: bytes(1 // 0))


def test_work_that_ends_without_a_word_is_an_error_of_ours() -> None:
    def work() -> bytes:
        os._exit(3)

    with pytest.raises(RuntimeError, match="ended with status 3"):
        sandbox.run(work)


def test_what_decoders_say_of_a_file_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    sandbox.run(lambda: bytes(os.write(2, b"strange marker")))
    assert capfd.readouterr().err == ""


def test_no_child_is_left() -> None:
    for seconds in (5.0, 0.05):
        try:
            sandbox.run(partial(asleep, 0.2), seconds=seconds)
        except UnfitError:
            continue
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
