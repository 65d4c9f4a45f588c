"""One delivery of one event, as its batch found it."""

from dataclasses import dataclass, field

from imagescribe.model.events import ObjectEvent, Upload
from imagescribe.model.record import AlreadyFinal, Stale
from imagescribe.stores.ledger import content_key
from imagescribe.stores.lookup import Known
from imagescribe.throttle import Permit


@dataclass(frozen=True, slots=True)
class Job:
    """One delivery of one event, as its batch found it.

    Attributes
    ----------
    holder
        Who claims content for it in the ledger; no two deliveries share it.
    ends_at
        When the invocation ends, in epoch seconds.
    is_first
        Whether nobody can have worked at it before.
    known
        What the tables said of it.
    permit
        For its call; None where none seemed necessary.
    yields
        Whether it waits while an upload does.
    """

    event: ObjectEvent
    holder: str
    ends_at: float
    is_first: bool = True
    known: Known = field(default=Known())
    permit: Permit | None = None
    yields: bool = False

    @property
    def needs_call(self) -> bool:
        """Whether it seems that the endpoint has to be called for it."""
        if not isinstance(self.event, Upload) or self.known.content is not None:
            return False
        return not isinstance(self.known.standing(self.event), AlreadyFinal | Stale)

    @property
    def content(self) -> str:
        """The key of its content in the ledger."""
        return content_key(self.event)["content"] if isinstance(self.event, Upload) else ""
