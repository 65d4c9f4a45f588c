"""The note that a running `imagescribe local` leaves for `--local`: where its emulator is and who may talk to it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.errors import NotFoundError, OperationError
from imagescribe_ops.project import CACHE_DIRECTORY


@dataclass(frozen=True, slots=True)
class LocalState:
    """One running local stack.

    Attributes
    ----------
    pid
        Of the `imagescribe local` that keeps it up.
    """

    pid: int
    stack: str
    endpoint_url: str
    region: str
    access_key_id: str
    secret_access_key: str

    def connection(self) -> Connection:
        """Return clients of its services."""
        return Connection(
            region=self.region,
            endpoint_url=self.endpoint_url,
            access_key_id=self.access_key_id,
            secret_access_key=self.secret_access_key,
        )


@contextmanager
def published(state: LocalState, directory: Path = CACHE_DIRECTORY) -> Iterator[None]:
    """Keep the note there for the time of the block, locked, so that it can be told from one that was left behind.

    Raises
    ------
    OperationError
        Another stack of this name runs.
    """
    path = _path(state.stack, directory)
    directory.mkdir(parents=True, exist_ok=True)
    # Written aside and put in place whole: whoever reads it meanwhile reads all of it, or nothing.
    aside = path.with_suffix(f".{state.pid}")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        json.dump(asdict(state), file)
        file.flush()
        try:
            try:
                check_free(state.stack, directory)  # and clear away what a killed process left
                path.hardlink_to(aside)
            except FileExistsError:  # another one was faster
                check_free(state.stack, directory)
                raise
        finally:
            aside.unlink()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def check_free(stack: str, directory: Path = CACHE_DIRECTORY) -> None:
    """Refuse where a local stack of that name runs already.

    Raises
    ------
    OperationError
        It does.
    """
    with suppress(NotFoundError):
        other = running(stack, directory)
        raise OperationError(
            f"The local stack {stack!r} runs already: process {other.pid}, at {other.endpoint_url}.",
            f"`imagescribe status --local` shows it. End it with Ctrl-C there or `kill {other.pid}`, "
            "or give this one a name with --stack.",
        )


def running(stack: str, directory: Path = CACHE_DIRECTORY) -> LocalState:
    """Return the local stack of that name that runs now.

    Raises
    ------
    NotFoundError
        None does; a note that a killed process left behind is cleared away.
    """
    path = _path(stack, directory)
    state = _read(path)
    if state is not None:
        return state
    with suppress(OSError):
        path.unlink()
    others = all_running(directory)
    if others:
        raise NotFoundError(
            f"No local stack {stack!r} is running.", f"There is {', '.join(others)}: name it with --stack."
        )
    raise NotFoundError(
        f"No local stack {stack!r} is running.", "Start it with `imagescribe local` in another terminal."
    )


def all_running(directory: Path = CACHE_DIRECTORY) -> list[str]:
    """Return the names of the local stacks that run now."""
    found = (_read(path) for path in sorted(directory.glob("local-*.json")))
    return [state.stack for state in found if state is not None]


def _path(stack: str, directory: Path) -> Path:
    return directory / f"local-{stack}.json"


def _read(path: Path) -> LocalState | None:
    """Read a note; None where it can't be read, or nobody holds it any more."""
    try:
        with path.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return LocalState(**json.load(file))
    except (OSError, ValueError, TypeError):
        pass
    return None
