"""Work on a hostile file in a child process, which may crash, hang or take all memory without harm to its parent."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from renditions.pictures import UnfitError

MEMORY_BYTES: Final = 1_900_000_000
"""More address space than it begins with. 100 million pixels take 400 MB, and WebP's decoder holds them four times."""

SECONDS: Final = 40.0

_DONE, _UNFIT, _FAILED = b"+", b"-", b"!"


def run(work: Callable[[], bytes], seconds: float = SECONDS, memory_bytes: int = MEMORY_BYTES) -> bytes:
    """Return what the work returns.

    Raises
    ------
    UnfitError
        It was raised by the work, or the work crashed, or took more time or memory than it may.
    RuntimeError
        The work raised something else, whose traceback it tells.
    """
    # A fork has all modules at hand; the parent has no threads when it forks.
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(work, sender, seconds, memory_bytes), daemon=True)
    child.start()
    sender.close()
    try:
        if not receiver.poll(seconds):
            raise UnfitError(f"decoding it takes longer than {seconds:g} s")
        # Plain bytes: what a decoder has been taken over by can't make us unpickle anything.
        answer = receiver.recv_bytes()
    except EOFError:
        child.join()
        raise _crash(child.exitcode, seconds) from None
    finally:
        child.kill()
        child.join()
        child.close()
        receiver.close()
    verdict, content = answer[:1], answer[1:]
    if verdict == _DONE:
        return content
    words = content.decode(errors="replace")
    raise UnfitError(words) if verdict == _UNFIT else RuntimeError(words)


def _work(work: Callable[[], bytes], sender: Connection, seconds: float, memory_bytes: int) -> None:
    _limit(resource.RLIMIT_AS, _address_space() + memory_bytes)
    _limit(resource.RLIMIT_CPU, int(seconds) + 1)
    _limit(resource.RLIMIT_CORE, 0)
    # Decoders write to standard error what they think of a broken file; nobody wants that in a log.
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        answer = _DONE + work()
    except UnfitError as unfit:
        answer = _UNFIT + str(unfit).encode()
    except MemoryError:
        answer = _UNFIT + b"it takes more memory than any picture should"
    except Exception:  # noqa: BLE001 - it is raised again, on the other side
        answer = _FAILED + traceback.format_exc().encode(errors="replace")
    sender.send_bytes(answer)


def _limit(what: int, amount: int) -> None:
    hard = resource.getrlimit(what)[1]
    with suppress(ValueError, OSError):  # not every system has every limit
        resource.setrlimit(what, (amount, hard))


def _address_space() -> int:
    """Return how much of it this process has, in bytes."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(pages[0]) * os.sysconf("SC_PAGE_SIZE")


def _crash(exitcode: int | None, seconds: float) -> Exception:
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        if name == "SIGXCPU":
            return UnfitError(f"decoding it takes longer than {seconds:g} s")
        return UnfitError(f"the decoder crashed with it ({name})")
    return RuntimeError(f"the work ended with status {exitcode} and without a word")
