"""Figures of a run from the simulator's journal; pure arithmetic.

Share: the answers after the first one, divided by what the limit allows from the first answer to the last. (A token
bucket lets its burst through on top of that, so the best possible share is a little over 1 where there are few images.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagescribe_ops.simulator import JournalEntry

WITHIN = 5.0  # s over which a rate after a change is measured, as in the simulation
BACK = 0.95  # of the new limit
CALM = 0.05  # of the calls refused
LONGEST = 90.0  # s that a return to the limit is looked for


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that changes: from a time on (epoch seconds) so many calls a minute, in order."""

    changes: tuple[tuple[float, float], ...]

    @classmethod
    def steady(cls, per_minute: float) -> Limit:
        """One that stays as it is."""
        return cls(((0.0, per_minute),))

    def allowed(self, begin: float, end: float) -> float:
        """Return how many calls it allows between two times."""
        total = 0.0
        for index, (since, per_minute) in enumerate(self.changes):
            until = self.changes[index + 1][0] if index + 1 < len(self.changes) else end
            total += max(0.0, min(end, until) - max(begin, since)) * per_minute / 60
        return total


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one run.

    Attributes
    ----------
    answers
        When descriptions were answered.
    starts
        When the calls of those began.
    refusals
        When calls were answered 429.
    total
        Calls of any outcome.
    """

    answers: tuple[float, ...]
    starts: tuple[float, ...]
    refusals: tuple[float, ...]
    total: int

    @classmethod
    def of_journal(cls, entries: Sequence[JournalEntry]) -> Calls:
        """Read the simulator's journal."""
        described = [entry for entry in entries if entry.outcome == 200]
        return cls(
            answers=tuple(sorted(entry.ended_at for entry in described)),
            starts=tuple(sorted(entry.started_at for entry in described)),
            refusals=tuple(sorted(entry.ended_at for entry in entries if entry.outcome == 429)),
            total=len(entries),
        )

    @property
    def seconds(self) -> float:
        """From the first answer to the last."""
        return self.answers[-1] - self.answers[0] if self.answers else 0.0

    @property
    def refused(self) -> float:
        """The part of the calls that was answered 429."""
        return len(self.refusals) / self.total if self.total else 0.0

    def share(self, limit: Limit) -> float:
        """Return the share of the limit that was used."""
        if self.seconds <= 0:
            return 0.0
        return (len(self.answers) - 1) / limit.allowed(self.answers[0], self.answers[-1])

    def second_half(self, limit: Limit) -> float:
        """Return the share in the second half of the time."""
        if self.seconds <= 0:
            return 0.0
        middle = (self.answers[0] + self.answers[-1]) / 2
        return sum(answer > middle for answer in self.answers) / limit.allowed(middle, self.answers[-1])

    def calm(self, since: float) -> float:
        """Return the seconds after a change until hardly a call is refused, over `WITHIN` seconds."""
        begin = since
        while begin < since + LONGEST:
            refused = sum(begin <= at < begin + WITHIN for at in self.refusals)
            if refused <= CALM * (refused + sum(begin <= start < begin + WITHIN for start in self.starts)):
                break
            begin += 0.25
        return begin - since

    def recovered(self, since: float, per_minute: float) -> float:
        """Return the seconds after a change until calls are taken at `BACK` of the new limit, over `WITHIN` seconds."""
        wanted = BACK * per_minute / 60 * WITHIN - 1e-6
        begin = since
        while begin < since + LONGEST and sum(begin <= start < begin + WITHIN for start in self.starts) < wanted:
            begin += 0.25
        return begin - since
