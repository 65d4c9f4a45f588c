"""Child processes that never outlive this one, and interruptions that let everything be put away.

Every child runs under `process_guard.py`, in a process group of its own, and ends with its whole group when it is
stopped here, when this process ends in any way, or when the guard ends. `interruptible()` turns Ctrl-C and SIGTERM
into an `Interrupted` exception, so that `with` blocks unwind; while they do, another Ctrl-C only makes it quicker.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self

from imagescribe_ops.local import process_guard

GRACE_SECONDS = 3.0
GUARD_SECONDS = 2.0
"""How much longer than the grace stopping a child waits for its guard, before the group is killed from here."""

KILL_SECONDS = 2.0
RETRY_SECONDS = 0.01

_running: set[Child] = set()
_hurry = threading.Event()


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM. Not an `Exception`, so that nothing swallows it by accident.

    Attributes
    ----------
    signal_number
        What interrupted.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.signal_number = signal_number


class Child:
    """One command with all it starts, running under a guard.

    Parameters
    ----------
    command
        Program and arguments.
    environment
        The child's whole environment; nothing is added to it.
    output
        An open file that standard output and standard error go to.
    directory
        The working directory; None for ours.
    remove
        Directories that are removed when the child is stopped or this process is gone.
    grace_s
        How long the child and what it started have for ending by themselves after SIGTERM, before SIGKILL (seconds).
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str],
        output: IO[bytes],
        directory: Path | None = None,
        remove: Sequence[Path] = (),
        grace_s: float = GRACE_SECONDS,
    ) -> None:
        self._grace_s = grace_s
        arguments = [str(grace_s), *map(str, remove), "--", *map(str, command)]
        guard = [sys.executable, "-I", "-S", process_guard.__file__, *arguments]
        # An interruption between the start and the registration would leave a child that nobody waits for.
        with shielded():
            self._guard = subprocess.Popen(
                guard,
                env=dict(environment),
                cwd=directory,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                process_group=0,
            )
            _running.add(self)

    @property
    def pid(self) -> int:
        """The guard's process id, which is also the id of the process group."""
        return self._guard.pid

    def status(self) -> int | None:
        """Return the exit status (128 + signal when it was killed), or None while the child runs."""
        return self._guard.poll()

    def wait(self, seconds: float) -> int:
        """Wait for the child to end by itself and return its exit status.

        Raises
        ------
        TimeoutError
            It still runs after that many seconds; it is left running.
        """
        try:
            return self._guard.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"still running after {seconds:.0f} s") from None

    def stop(self) -> None:
        """End the child and all it started; return when they are gone. May be called again."""
        with shielded():
            if self in _running:
                self._stop()

    def _stop(self) -> None:
        if self._guard.stdin is not None:
            with suppress(OSError):
                self._guard.stdin.close()
        deadline = time.monotonic() + self._grace_s + GUARD_SECONDS
        while self._guard.poll() is None and time.monotonic() < deadline and not _hurry.is_set():
            time.sleep(0.01)
        self.kill()
        self._guard.wait()
        # A kill is only on its way when the call returns.
        deadline = time.monotonic() + KILL_SECONDS
        while process_guard.has_members(self.pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        _running.discard(self)

    def kill(self) -> None:
        """Kill the whole group at once."""
        # The group lives on while any member does, guard or not, and its id is not given to another one until then.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Signals:
    """What the handlers of the signals share; all of it is used on the main thread only."""

    def __init__(self) -> None:
        self.shields = 0
        self.pending: int | None = None
        self.raised = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.shields and (self.raised or self.pending is not None):
            # Everything is being put away already: no more waiting for anyone.
            _hurry.set()
            for child in list(_running):
                child.kill()
        elif self.shields:
            self.pending = number
        elif _is_finalizing(frame):
            # What is raised here, Python would print and forget.
            self.pending = number
            signal.setitimer(signal.ITIMER_REAL, RETRY_SECONDS)
        else:
            self.interrupt(number)

    def retry(self, _number: int, frame: FrameType | None) -> None:
        if self.pending is not None and not self.shields:
            number, self.pending = self.pending, None
            self.handle(number, frame)

    def interrupt(self, number: int) -> None:
        self.pending = None
        self.raised = True
        raise Interrupted(number)


def _is_finalizing(frame: FrameType | None) -> bool:
    """Tell whether the interrupted code is some object's finalizer, called by the garbage collector."""
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_code is weakref.finalize.__call__.__code__:
            return True
        frame = frame.f_back
    return False


_signals = _Signals()


@contextmanager
def shielded() -> Iterator[None]:
    """Keep an interruption waiting until the block, which must be a short one, is done."""
    if threading.current_thread() is not threading.main_thread():
        yield  # handlers run on the main thread
        return
    _signals.shields += 1
    try:
        yield
    finally:
        _signals.shields -= 1
        if not _signals.shields and _signals.pending is not None:
            _signals.interrupt(_signals.pending)


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise `Interrupted` in the block on SIGINT, SIGTERM or SIGHUP; use it on the main thread."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    _signals.shields, _signals.pending, _signals.raised = 0, None, False
    _hurry.clear()
    before[signal.SIGALRM] = signal.signal(signal.SIGALRM, _signals.retry)
    for number in numbers:
        signal.signal(number, _signals.handle)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
