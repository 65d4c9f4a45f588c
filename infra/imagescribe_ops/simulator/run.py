"""Everything that a reset starts afresh: settings, journal, script, chance, limit and balance."""

import time
from collections.abc import Mapping
from random import Random

from imagescribe_ops.contract import answers
from imagescribe_ops.simulator import limits
from imagescribe_ops.simulator.faults import Script
from imagescribe_ops.simulator.journal import Counts, Journal
from imagescribe_ops.simulator.limits import RateLimit, Verdict
from imagescribe_ops.simulator.settings import SimulatorSettings, changed


class Run:
    """The state between two resets; not safe for threads by itself."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.journal = Journal()
        self.script = Script()
        self.random = Random(settings.seed)  # noqa: S311 - chance that can be repeated, not secrecy
        self.working = 0
        self.credits_usd = settings.credits_usd
        self._billed_usd = 0.0
        self._limit_state = limits.fresh_state(settings.limit, time.time())

    def change(self, changes: Mapping[str, object]) -> None:
        """Set some settings from JSON; limit, balance and seed start afresh only where they are set."""
        self.settings = changed(self.settings, changes)
        if "limit" in changes:
            self._limit_state = limits.fresh_state(self.settings.limit, time.time())
        if "credits_usd" in changes:
            self.credits_usd = self.settings.credits_usd
        if "seed" in changes:
            self.random.seed(self.settings.seed)

    def ask_limit(self, limit: RateLimit, now: float) -> Verdict:
        """Ask the limit for one call, which counts as worked on where it is allowed."""
        self._limit_state, verdict = limits.ask(limit, self._limit_state, now, self.working)
        self.working += verdict.allowed
        return verdict

    @property
    def balance_usd(self) -> float:
        """What is left, as the endpoint says it."""
        return answers.ENDLESS_USD if self.credits_usd is None else self.credits_usd

    @property
    def is_spent(self) -> bool:
        """Whether the balance does not pay for another call."""
        # Rounded where it is counted down, so that 0.03 pays for two and not for one.
        return self.credits_usd is not None and self.credits_usd < self.settings.price_usd

    def bill(self, price_usd: float) -> None:
        """Take a call's price from the balance."""
        if self.credits_usd is not None:
            self.credits_usd = round(self.credits_usd - price_usd, 6)
        self._billed_usd += price_usd

    def counts(self) -> Counts:
        """Give the sums."""
        journal = self.journal
        return Counts(
            calls=journal.calls,
            outcomes=dict(sorted(journal.outcomes.items())),
            billed=journal.billed,
            billed_usd=round(self._billed_usd, 6),
            in_flight=journal.in_flight,
            peak_in_flight=journal.peak_in_flight,
            credits_usd=self.credits_usd,
            script_left=len(self.script),
        )
