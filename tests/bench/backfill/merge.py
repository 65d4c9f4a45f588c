"""The audit's merge over stub streams: time and memory by the number of objects."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass

from imagescribe.model.listing import Listed
from imagescribe_ops.audit.merge import merge_join
from imagescribe_ops.audit.report import AuditReport
from imagescribe_ops.audit.verdicts import WRONG, judge
from imagescribe_ops.catalog_view import ImageRecord

SIZES = (10_000, 100_000, 1_000_000)
MISSING_EACH = 1_000
"""One object in so many has no record, and one record in so many no object."""

_PROMPT = "a lighthouse on a cliff at dusk, long exposure, " * 25


@dataclass(frozen=True, slots=True)
class Measured:
    """One run.

    Attributes
    ----------
    seconds
        Without the measuring of memory, which is a run of its own.
    peak_bytes
        Of what Python allocated at the most at any moment.
    """

    objects: int
    seconds: float
    peak_bytes: int
    wrong: int


def measure(objects: int) -> Measured:
    """Merge and judge so many objects and records."""
    gc.collect()
    began = time.perf_counter()
    report = _merge(objects)
    seconds = time.perf_counter() - began
    tracemalloc.start()
    _merge(objects)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Measured(objects, seconds, peak, sum(report.verdicts[verdict] for verdict in WRONG))


def _merge(objects: int) -> AuditReport:
    report = AuditReport("", limit=20)
    for listed, record in merge_join(_listing(objects), _records(objects)):
        report.objects += listed is not None
        report.count(record)
        image = f"s3://b/{listed.key if listed else record.key if record else ''}"
        report.find(judge(listed, record, "2026-11-25T00:00:00.000Z"), image, "")
    return report


def _listing(objects: int) -> Iterator[Listed]:
    for number in range(objects):
        if number % MISSING_EACH:
            yield Listed(f"album/{number:010}.png", "e1", 158_015, "2026-11-02T09:15:00.000Z")


def _records(objects: int) -> Iterator[ImageRecord]:
    for number in range(objects):
        if number % MISSING_EACH != 1:
            key, at = f"album/{number:010}.png", "2026-11-02T09:15:00.000Z"
            yield ImageRecord(
                f"s3://b/{key}", "b", key, "described", _PROMPT, "written", 0, "", "e1", "", 1, "006A", at, at, at, ""
            )
