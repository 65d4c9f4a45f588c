"""Run one command, and take it and all it started down when the one who asked for it is gone.

Started by `processes.py` as a program of its own: ``python -I -S process_guard.py GRACE [DIRECTORY…] -- COMMAND…``.
Its standard input is a pipe that the parent holds open. However the parent ends, SIGKILL included, the pipe closes,
and that is what the guard waits for: unlike Linux's parent-death signal this works on every Unix and does not fire
when merely the thread that started the child ends.

The guard leads a process group of its own; the command and its children (the emulator's Lambda workers) belong to it,
and a Ctrl-C on the terminal does not reach them: the parent decides the order in which things end. Only the standard
library, and nothing of this package, is imported here, so that it starts in a few milliseconds.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path


def _arguments(argv: list[str]) -> tuple[float, list[str], list[str]]:
    """Split into the grace in seconds, the directories to remove at the end, and the command."""
    separator = argv.index("--")
    return float(argv[0]), argv[1:separator], argv[separator + 1 :]


def has_members(group: int) -> bool:
    """Tell whether a process group has living members besides this process; True where that can't be told."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it has members that are zombies (macOS says so)
    try:
        numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    except OSError:
        return True  # no /proc, and no portable call lists a group
    return any(number != os.getpid() and _is_living_member(number, group) for number in numbers)


def _is_living_member(number: int, group: int) -> bool:
    try:
        if os.getpgid(number) != group:
            return False
        state = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except OSError:
        return False  # it ended meanwhile
    return state != "Z"


def _end_group(command: subprocess.Popen[bytes], grace_s: float) -> None:
    """Ask the whole group to end by itself (SIGTERM), and give it time for that."""
    os.killpg(os.getpgrp(), signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while time.monotonic() < deadline and (command.poll() is None or has_members(os.getpgrp())):
        time.sleep(0.02)


def main(argv: list[str]) -> int:
    """Run the command; return its exit status, or go down with its whole group when standard input closes."""
    grace_s, directories, arguments = _arguments(argv)
    # The group's SIGTERM comes from this process, which must see the end of the others. It is caught and not ignored:
    # what is ignored stays ignored in a program that is executed, what is caught does not.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    # The command's standard input is a pipe that this process holds: should it be killed itself, a command that
    # watches its standard input (the simulator does) still notices.
    command = subprocess.Popen(arguments, stdin=subprocess.PIPE)

    ended, tell = os.pipe()

    def wait() -> None:
        command.wait()
        os.close(tell)

    threading.Thread(target=wait, daemon=True).start()
    while True:
        ready, _, _ = select.select([sys.stdin.fileno(), ended], [], [])
        parent_gone = sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 1024)
        if parent_gone:
            _end_group(command, grace_s)
            for directory in directories:
                shutil.rmtree(directory, ignore_errors=True)
            os.killpg(os.getpgrp(), signal.SIGKILL)
        if ended in ready:
            break
    # The command ended by itself: what it started goes too, its directories stay for the parent to look at.
    if has_members(os.getpgrp()):
        _end_group(command, grace_s)
    status = command.returncode if command.returncode >= 0 else 128 - command.returncode
    if has_members(os.getpgrp()):
        os.killpg(os.getpgrp(), signal.SIGKILL)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
