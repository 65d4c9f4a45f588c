"""What a row of the table says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from imagescribe_ops.simulator import JournalEntry

type Explain = Callable[[JournalEntry], str | None]
"""Names why the answer of a paid call was lost, or None where nothing explains it."""


@dataclass(frozen=True, slots=True)
class PaidTwice:
    """Calls that were paid for although their content was paid for again.

    Attributes
    ----------
    by_cause
        How many, by what hid the answer.
    unexplained
        Those that nothing explains: they are bugs.
    """

    by_cause: Mapping[str, int] = field(default_factory=dict)
    unexplained: tuple[JournalEntry, ...] = ()

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_cause.values()) + len(self.unexplained)

    def __str__(self) -> str:
        causes = [f"{count} × {cause}" for cause, count in self.by_cause.items()]
        if self.unexplained:
            causes.append(f"{len(self.unexplained)} UNEXPLAINED")
        return f"{self.total}: {', '.join(causes)}" if causes else "0"


@dataclass(frozen=True, slots=True)
class Figures:
    """One row.

    Attributes
    ----------
    images, described
        Objects that are there in the end, and those of them whose record and tag hold the prompt of what they are now.
    distinct
        Contents that were uploaded.
    paid
        Calls that the endpoint billed.
    dead_letters, dead_letters_left
        The most that were on their queue at once, and those that stayed.
    seconds
        From the first upload to the last prompt.
    notes
        What else was measured.
    broken
        What should hold and does not.
    """

    fault: str
    images: int
    described: int
    distinct: int
    paid: int
    paid_twice: PaidTwice
    dead_letters: int
    dead_letters_left: int
    seconds: float
    notes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether everything does."""
        return not self.broken

    @property
    def share(self) -> float:
        """Described images, of 1."""
        return self.described / self.images if self.images else 1.0


def paid_twice(journal: Iterable[JournalEntry], explain: Explain) -> PaidTwice:
    """Find the paid calls whose content was paid for again later, and name why."""
    by_content: dict[tuple[str | None, int | None], list[JournalEntry]] = {}
    for call in journal:
        if call.billed:
            by_content.setdefault((call.md5, call.size), []).append(call)
    causes: Counter[str] = Counter()
    unexplained = []
    for calls in by_content.values():
        # Any one of them may be the one whose answer was saved, and that one has no cause.
        named = [(call, explain(call)) for call in sorted(calls, key=lambda call: call.started_at)]
        nameless = [call for call, cause in named if cause is None]
        unexplained += nameless[1:]
        found = [cause for _, cause in named if cause is not None]
        # Where all of them have one, the last was still seen by someone: the content is described.
        causes.update(found if nameless else found[:-1])
    return PaidTwice(dict(causes), tuple(unexplained))


def lost_answer(call: JournalEntry) -> str | None:
    """Name the fault of the endpoint that hid a paid answer."""
    return {"hung": "a time-out hid the answer", "dropped": "a dropped connection hid the answer"}.get(
        str(call.outcome)
    )
