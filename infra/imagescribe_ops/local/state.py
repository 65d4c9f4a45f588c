"""The note that a running `imagescribe local` leaves for `--local`: where its emulator is and who may talk to it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from imagescribe_ops.errors import NotFoundError
from imagescribe_ops.local.deploy import CACHE_DIRECTORY
from imagescribe_ops.stack import Connection


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
    """Keep the note there for the time of the block; the latest of several stacks of one name has it."""
    path = _path(state.stack, directory)
    directory.mkdir(parents=True, exist_ok=True)
    # Written aside and renamed: whoever reads it meanwhile reads the old one or the new one, whole.
    aside = path.with_suffix(f".{state.pid}")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(state), file)
    aside.replace(path)
    try:
        yield
    finally:
        if _read(path) == state:
            path.unlink(missing_ok=True)


def running(stack: str, directory: Path = CACHE_DIRECTORY) -> LocalState:
    """Return the local stack of that name that runs now.

    Raises
    ------
    NotFoundError
        None does; a note that a killed process left behind is cleared away.
    """
    path = _path(stack, directory)
    state = _read(path)
    if state is not None and _is_alive(state.pid):
        return state
    with suppress(OSError):
        path.unlink()
    raise NotFoundError(
        f"No local stack {stack!r} is running.", "Start it with `imagescribe local` in another terminal."
    )


def _path(stack: str, directory: Path) -> Path:
    return directory / f"local-{stack}.json"


def _read(path: Path) -> LocalState | None:
    try:
        return LocalState(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
