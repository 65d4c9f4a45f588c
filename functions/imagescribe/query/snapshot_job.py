"""When the snapshot is made afresh, and how."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING, Final

from imagescribe.query.index_file import build
from imagescribe.query.scan import described

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from imagescribe.query.reader import CatalogReader
    from imagescribe.query.snapshot import Snapshots, Standing

MIN_NEW: Final = 1_000
NEW_SHARE: Final = 0.01
"""A snapshot of a million costs three cents to make, and ten thousand that are not in it cost a cold query a second."""

MAX_AGE_MS: Final = 86_400_000
"""What was deleted stays in a snapshot, and only takes room there, until the next one."""

MAX_RUN_SECONDS: Final = 900.0
"""Of a Lambda function."""

PREFIX: Final = "imagescribe-snapshot-"

MARGIN_MS: Final = 60_000
"""A record that is written while the scan begins may have an earlier time on it; see `LATENESS_MS`."""


@dataclass(frozen=True, slots=True)
class SnapshotJob:
    """Makes the snapshot."""

    client: DynamoDBClient
    table: str
    catalog: CatalogReader
    snapshots: Snapshots
    clock: Callable[[], float] = time.time

    def run(self, *, always: bool = False) -> str:
        """Make the snapshot afresh if enough is new, and say in a few words what was done."""
        standing = self.snapshots.standing()
        if standing and not always and not self._is_due(standing):
            return f"{standing.images} images: nothing to do"
        complete_until = int(self.clock() * 1000) - MARGIN_MS
        _remove_abandoned()
        with TemporaryDirectory(prefix=PREFIX) as directory:
            path = Path(directory) / "index.sqlite"
            images = build(path, described(self.client, self.table), complete_until)
            size = path.stat().st_size
            stands = self.snapshots.replace(path, standing, images=images, complete_until=complete_until)
        return f"{images} images, {size} bytes" + ("" if stands else ": dropped, since another one was quicker")

    def age_seconds(self) -> float | None:
        """Return how old the snapshot is that stands; None where there is none."""
        standing = self.snapshots.standing()
        return max(0.0, self.clock() - standing.complete_until / 1000) if standing else None

    def _is_due(self, standing: Standing) -> bool:
        if self.clock() * 1000 - standing.complete_until >= MAX_AGE_MS:
            return True
        enough = max(MIN_NEW, int(NEW_SHARE * standing.images))
        new = islice(self.catalog.described_since(standing.complete_until), enough)
        return sum(1 for _ in new) >= enough


def _remove_abandoned() -> None:
    """Remove what runs left that were killed: Lambda keeps /tmp when it starts a new process."""
    for left in Path(gettempdir()).glob(f"{PREFIX}*"):
        with suppress(FileNotFoundError):  # another one removed it
            if time.time() - left.stat().st_mtime > MAX_RUN_SECONDS:
                rmtree(left, ignore_errors=True)
