"""The processes behind a deployed stack, as Linux shows them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

from imagescribe_ops.local.stack import LocalCloud

_PROC = Path("/proc")


def workers(function_name: str) -> list[int]:
    """Return the ids of the processes that run a function: the emulator unpacks it into a directory of its name."""
    marker = f"ministack-lambda-{function_name}-"
    return [pid for pid in _all() if marker in _command(pid)]


def kill(pid: int) -> bool:
    """End a process as a crash does. False where it has ended already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def emulator(cloud: LocalCloud) -> int:
    """Return the id of the emulator's own process: the one of its group that its guard started."""
    guard = cloud.emulator.pid
    return next(pid for pid in _all() if _parent(pid) == guard)


def resident_bytes(pid: int) -> int:
    """Return the memory that a process holds now; 0 where it has ended."""
    with suppress(OSError, IndexError):
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _all() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _command(pid: int) -> str:
    with suppress(OSError):
        return (_PROC / str(pid) / "cmdline").read_bytes().decode(errors="replace")
    return ""


def _parent(pid: int) -> int:
    with suppress(OSError, IndexError, ValueError):
        # The name in parentheses may hold anything.
        return int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])
    return 0
