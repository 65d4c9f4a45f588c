"""Several processes that share one throttle, as the invocations of a function do."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from imagescribe.throttle import Permit, RetryAt, Throttle
from imagescribe.throttle import rate as rates
from imagescribe.throttle.item import State, ThrottleItem
from imagescribe.throttle.throttle import RATE_LIMIT
from tests.factories import Clock, stand_in
from tests.unit.in_memory.dynamodb import InMemoryDynamoDB
from tests.unit.stage import Service, steady

FIRST_OPEN = 16.0
LEASE = 80.0


@dataclass
class Processes:
    """The item in its table, and the processes that ask it.

    Attributes
    ----------
    one
        The first process.
    """

    clock: Clock
    budget_usd: float = 0.0
    dynamodb: Service = field(default_factory=lambda: Service(InMemoryDynamoDB()))
    one: Throttle = field(init=False)

    def __post_init__(self) -> None:
        self.one = self.another()

    def another(self, client: object = None) -> Throttle:
        """One more process, which knows nothing yet."""
        return Throttle(
            ThrottleItem(stand_in(client or self.dynamodb), "ledger", self._fresh),
            budget_usd=self.budget_usd,
            probe_seconds=LEASE,
            first_open_seconds=FIRST_OPEN,
            clock=self.clock,
            random=Random(1),
        )

    def state(self) -> State:
        """The item as it is."""
        return ThrottleItem(stand_in(self.dynamodb.client), "ledger", self._fresh).read()

    def ask(self, throttle: Throttle | None = None) -> Permit | RetryAt:
        """Ask as a batch of one does, and come back in time as long as it is only the rate that has no start near."""
        throttle = throttle or self.one
        while True:
            answer = throttle.closed() or throttle.acquire()[0]
            if isinstance(answer, Permit) or answer.why != RATE_LIMIT:
                return answer
            self.clock.sleep(max(0.001, answer.time - self.clock.now))

    def permit(self, throttle: Throttle | None = None) -> Permit:
        answer = self.ask(throttle)
        assert isinstance(answer, Permit)
        return answer

    def refused(self, throttle: Throttle | None = None) -> RetryAt:
        answer = self.ask(throttle)
        assert isinstance(answer, RetryAt)
        return answer

    def until_half_open(self) -> None:
        """Let the time pass for which the breaker is open."""
        self.clock.now = self.state().breaker.open_until

    def requests(self) -> list[str]:
        """Return the names of the requests since the last look."""
        names = [name for name, _parameters in self.dynamodb.heard]
        self.dynamodb.heard.clear()
        return names

    def _fresh(self) -> rates.Rate:
        return steady(self.clock(), rates.FASTEST)
