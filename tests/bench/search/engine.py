"""The engine by itself: building, size, memory, a first and later queries; each step in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median, quantiles
from types import SimpleNamespace
from typing import Any, Final

from imagescribe.query.grammar import parse
from imagescribe.query.index import Range
from imagescribe.query.index_file import Document, build
from imagescribe.query.records import Entry, ImageRecord
from imagescribe.query.search import Search
from tests.bench.search.prompts import documents, queries

LIMIT: Final = 20
ROUNDS: Final = 4


class AllThere:
    """A catalog in which every image still is as it was found: the time of its answer is not the engine's."""

    def described_since(self, _since_ms: int) -> Iterable[Entry]:
        return ()

    def get_many(self, _images: Iterable[str], **_: Any) -> list[ImageRecord]:
        return []


class Here:
    """A snapshot that is on this machine already."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def fetch(self, path: Path, etag: str = "") -> str:
        if not etag:
            path.symlink_to(self._path)
        return "one"


class Unchecked(Search):
    """A search whose hits are not looked up: a page of them has as many entries."""

    def _checked(self, _query: Any, entries: list[Entry], _label: str) -> Any:
        return [SimpleNamespace(record=SimpleNamespace(entry=entry)) for entry in entries]


def in_a_process(step: str, *arguments: object) -> dict[str, Any]:
    """Run a step in a fresh process, and return what it tells."""
    command = [sys.executable, "-m", "tests.bench.search.engine", step, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580, check=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def building(path: Path, images: int) -> dict[str, Any]:
    """Build an index; what making up the prompts took is left out."""
    made_up = 0.0

    def timed() -> Iterator[Document]:
        nonlocal made_up
        source = documents(images)
        while True:
            began = time.perf_counter()
            document = next(source, None)
            made_up += time.perf_counter() - began
            if document is None:
                return
            yield document

    began = time.perf_counter()
    build(path, timed(), 0)
    seconds = time.perf_counter() - began - made_up
    return {"seconds": seconds, "bytes": path.stat().st_size, "peak_mb": _peak_mb()}


def querying(path: Path, place: Path) -> dict[str, Any]:
    """Ask a first query, and then many of each kind."""
    place.mkdir(exist_ok=True)
    began = time.perf_counter()
    search = _search(path, place)
    search.newest(parse("red boat"), Range(), LIMIT)
    first = time.perf_counter() - began
    kinds: dict[str, list[Times]] = {}
    for kind, texts in queries().items():
        kinds[kind] = _times(lambda text: search.newest(parse(text), Range(), LIMIT), texts)
        kinds[f"{kind}, best"] = _times(lambda text: search.best(parse(text), Range(), LIMIT), texts)
    texts = queries()["a common word"]
    under = Range(prefix="s3://pictures/05/")
    nowhere = Range(prefix="s3://pictures/none/")
    kinds["a common word under a prefix"] = _times(lambda text: search.newest(parse(text), under, LIMIT), texts)
    kinds["a common word where nothing is"] = _times(lambda text: search.newest(parse(text), nowhere, LIMIT), texts)
    every = [each for times in kinds.values() for each in times]
    return {
        "first": first,
        "kinds": {kind: _quantiles(times) for kind, times in kinds.items()},
        "all": _quantiles(every),
        "peak_mb": _peak_mb(),
    }


def _search(path: Path, place: Path) -> Search:
    snapshots: Any = Here(path)
    catalog: Any = AllThere()
    return Unchecked(snapshots, catalog, place)


type Times = tuple[float, float]
"""Seconds by the clock, where other programs count, and of the processor, where they don't."""


def _times(ask: Callable[[str], object], texts: list[str]) -> list[Times]:
    times = []
    for _ in range(ROUNDS):
        for text in texts:
            began, began_processor = time.perf_counter(), time.process_time()
            ask(text)
            times.append((time.perf_counter() - began, time.process_time() - began_processor))
    return times


def _quantiles(times: list[Times]) -> list[float]:
    """Return p50 and p99 by the clock, and p50 and p99 of the processor."""
    return [value for seconds in zip(*times, strict=True) for value in (median(seconds), quantiles(seconds, n=100)[98])]


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    step, *given = sys.argv[1:]
    told = building(Path(given[0]), int(given[1])) if step == "build" else querying(Path(given[0]), Path(given[1]))
    sys.stdout.write(json.dumps(told) + "\n")
