"""What an audit found."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from imagescribe.model.record import Status
from imagescribe_ops.audit.verdicts import WRONG, Verdict
from imagescribe_ops.catalog_view import ImageRecord

MAX_REASONS: Final = 50
"""Different reasons that are told apart: an endpoint may have a word of its own for each image."""

MAX_REASON_LENGTH: Final = 120
OTHER_REASONS: Final = "other reasons"


@dataclass(frozen=True, slots=True)
class Finding:
    """An image with which something is wrong.

    Attributes
    ----------
    detail
        What is known of it, a few words.
    """

    verdict: Verdict
    image: str
    detail: str


@dataclass(slots=True)
class AuditReport:
    """What an audit found, counted as it goes; nothing in it grows with the bucket but the numbers.

    Attributes
    ----------
    objects, records
        How many were walked.
    failed, skipped
        Rejected and dead images, and skipped ones, by reason.
    tags_checked
        Images whose tags were looked at.
    messages
        In the queues when the audit began.
    awaited
        Images that came to no end and are younger than what the audit waits for, but old enough that their event is in
        the queue, if it is anywhere.
    sent, tags_mended
        What a repair did: events sent, objects whose tags were written.
    findings
        The first of each kind, as many as were asked for.
    """

    prefix: str
    limit: int
    messages: int = 0
    paused: str = ""
    objects: int = 0
    records: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    tags_checked: int = 0
    awaited: int = 0
    sent: int = 0
    tags_mended: int = 0
    findings: list[Finding] = field(default_factory=list)
    more: bool = False

    @property
    def unaccounted(self) -> int:
        """Images that should be waiting in the queue, beyond what it holds."""
        return max(0, self.awaited - self.messages)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.unaccounted and not any(self.verdicts[verdict] for verdict in WRONG)

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        wrong = [f"{self.verdicts[verdict]:,} {_WORDS[verdict]}" for verdict in WRONG if self.verdicts[verdict]]
        if self.unaccounted:
            wrong.append(f"{self.unaccounted:,} uploaded lately that no queue holds")
        if not wrong:
            underway = self.verdicts[Verdict.UNDERWAY]
            return "Nothing is missing." if not underway else f"Nothing is missing; {underway:,} are on their way."
        return f"Something is wrong: {', '.join(wrong)}."

    def count(self, record: ImageRecord | None) -> None:
        """Count what a record says."""
        if record is None:
            return
        self.records += 1
        self.statuses[record.status] += 1
        if record.status in (Status.REJECTED, Status.DEAD):
            _count_reason(self.failed, record.error)
        elif record.status == Status.SKIPPED:
            _count_reason(self.skipped, record.error)

    def find(self, verdict: Verdict, image: str, detail: str) -> None:
        """Count a verdict, and keep it as a finding if it is one of the first of what is wrong."""
        self.verdicts[verdict] += 1
        if verdict not in WRONG:
            return
        if self.limit and self.verdicts[verdict] > self.limit:
            self.more = True
            return
        self.findings.append(Finding(verdict, image, detail))


_WORDS: Final = {
    Verdict.MISSING: "missing",
    Verdict.STALE: "stale",
    Verdict.ORPHAN: "orphaned",
    Verdict.STUCK: "stuck",
    Verdict.DEAD: "dead",
    Verdict.TAGS: "with another tag than the catalog says",
}


def _count_reason(reasons: Counter[str], reason: str) -> None:
    # "312 bytes" and "4,711 bytes" are one reason.
    kind = re.sub(r"\d[\d,.]*", "N", reason)[:MAX_REASON_LENGTH] or "no reason"
    reasons[kind if kind in reasons or len(reasons) < MAX_REASONS else OTHER_REASONS] += 1
