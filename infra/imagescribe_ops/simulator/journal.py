"""What the simulator was asked and what it billed. Of a URL only the object's path is kept, never its query."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

# About 50 MB of entries; the counts go on beyond it.
_KEPT_ENTRIES = 100_000
DROPPED = "dropped"
HUNG = "hung"


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One describe call.

    Attributes
    ----------
    id
        Counts up from 1 since the last reset, in the order in which calls ended: whoever has read up to an id misses
        no call that comes to its end later.
    started_at, ended_at
        Epoch seconds.
    object_path
        ``bucket/key`` of the URL, decoded; empty where the call held no URL.
    version_id
        The URL's ``versionId``.
    sha256, md5, size
        Of the fetched bytes; None where nothing was fetched.
    outcome
        The status answered, or ``dropped`` or ``hung``.
    because
        What decided the outcome, in a word or two: ``described``, ``limit``, ``fault 500``, ``script``.
    billed
        Whether the call was paid for.
    client_gone
        Whether the caller had closed the connection before the answer was out, as far as that can be seen.
    request_id
        The ``x-request-id`` of the answer.
    """

    id: int
    started_at: float
    ended_at: float
    object_path: str
    version_id: str | None
    sha256: str | None
    md5: str | None
    size: int | None
    outcome: int | str
    because: str
    billed: bool
    client_gone: bool
    request_id: str


@dataclass(frozen=True, slots=True)
class Counts:
    """The sums of the journal since the last reset.

    Attributes
    ----------
    calls
        Describe calls that have ended.
    outcomes
        Calls by outcome: a status, ``dropped`` or ``hung``.
    billed, billed_usd
        Paid calls, and what they cost.
    in_flight, peak_in_flight
        Describe calls that are open now, and the most that ever were at once; refused ones count while they last.
    credits_usd
        The balance; None for an endless one.
    script_left
        Scripted answers that nobody has used up yet.
    """

    calls: int
    outcomes: Mapping[str, int]
    billed: int
    billed_usd: float
    in_flight: int
    peak_in_flight: int
    credits_usd: float | None
    script_left: int


class Journal:
    """The entries and their sums; not safe for threads by itself."""

    def __init__(self) -> None:
        self.entries: deque[JournalEntry] = deque(maxlen=_KEPT_ENTRIES)
        self.outcomes: Counter[str] = Counter()
        self.calls = 0
        self.billed = 0
        self.in_flight = 0
        self.peak_in_flight = 0

    def open(self) -> None:
        """Count a call as open."""
        self.in_flight += 1
        self.peak_in_flight = max(self.peak_in_flight, self.in_flight)

    def close(self, entry: JournalEntry) -> None:
        """Write a call down as ended; its id is `next_id`."""
        self.in_flight -= 1
        self.calls += 1
        self.billed += entry.billed
        self.outcomes[str(entry.outcome)] += 1
        self.entries.append(entry)

    def caller_had_gone(self, entry: JournalEntry) -> None:
        """Note on an entry what came out only while its answer was written."""
        # From the end, where it stands: few calls end between the two.
        for place in range(len(self.entries) - 1, -1, -1):
            if self.entries[place].id == entry.id:
                self.entries[place] = replace(entry, client_gone=True)
                return

    @property
    def next_id(self) -> int:
        """The id of the call that ends next."""
        return self.calls + 1

    def since(self, last_seen: int) -> list[JournalEntry]:
        """Give the entries whose id is greater, in the order in which the calls ended."""
        return [entry for entry in self.entries if entry.id > last_seen]
