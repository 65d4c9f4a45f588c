"""Function processes are killed while they work."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from random import Random
from threading import Event, Thread
from typing import Final, Self

from imagescribe_ops.local.stack import LocalCloud
from imagescribe_ops.simulator import JournalEntry, SimulatorClient
from tests.bench.faults import processes
from tests.bench.faults.figures import Figures
from tests.bench.faults.judge import judge
from tests.bench.faults.rig import Rig, rigged
from tests.bench.faults.scale import Scale

LEASE_SECONDS: Final = 120  # the function's time-out
VISIBILITY_SECONDS: Final = LEASE_SECONDS + 5
"""Of the queue while this row runs. The template's 720 s would only make the same messages come back later."""

KILLS: Final = 10
BETWEEN_KILLS_SECONDS: Final = (0.2, 1.5)
SAVE_SECONDS: Final = 2.0
"""How long after its answer a call may still be on the way to the ledger on a busy machine."""


@dataclass
class Killer:
    """Kills a process of the function at random, again and again while calls are made; use it as a context manager.

    Attributes
    ----------
    killed_at
        Epoch seconds of each kill.
    longest_lease
        The longest that a claim was seen to last from then on, in seconds.
    """

    rig: Rig
    random: Random
    wanted: int
    killed_at: list[float] = field(default_factory=list)
    longest_lease: float = 0.0
    _stop: Event = field(default_factory=Event)
    _thread: Thread | None = None

    def __enter__(self) -> Self:
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """See how long claims last."""
        ledger = self.rig.ledger()
        now = time.time()
        leases = [float(item["lease_until"]) - now for item in ledger if "body" not in item]
        self.longest_lease = max([self.longest_lease, *leases])

    def _run(self) -> None:
        simulator = SimulatorClient(self.rig.simulator.url)  # one for each thread
        while len(self.killed_at) < self.wanted and not self._stop.wait(self.random.uniform(*BETWEEN_KILLS_SECONDS)):
            if simulator.counts().in_flight:
                pids = processes.workers(self.rig.outputs.describe_function_name)
                if pids and processes.kill(self.random.choice(pids)):
                    self.killed_at.append(time.time())
        simulator.close()

    def explain(self, call: JournalEntry) -> str | None:
        """Say whether a kill came between a call's start and the saving of its answer."""
        hit = any(call.started_at <= at <= call.ended_at + SAVE_SECONDS for at in self.killed_at)
        return "a kill came between the call and the saving of its answer" if hit else None


def kills(cloud: LocalCloud, scale: Scale) -> Figures:
    """Kill processes of the describe function until there were enough kills, then let everything drain."""
    with rigged(cloud, "kills", latency_s=1.0) as rig:
        rig.sqs.set_queue_attributes(
            QueueUrl=rig.outputs.upload_queue_url, Attributes={"VisibilityTimeout": str(VISIBILITY_SECONDS)}
        )
        with Killer(rig, Random(scale.seed), wanted=KILLS + 2) as killer:
            rig.put_all(scale.objects())
            rig.settle(1500, watch=killer.look)
        broken = []
        if len(killer.killed_at) < KILLS and not scale.is_small:
            broken.append(f"only {len(killer.killed_at)} kills")
        if killer.longest_lease > LEASE_SECONDS + 1:
            broken.append(f"a lease of {killer.longest_lease:.0f} s")
        taken_over = sum(int(item["claims"]) > 1 for item in rig.ledger())
        notes = [
            f"{len(killer.killed_at)} kills, {taken_over} claims taken over, "
            f"longest lease seen {killer.longest_lease:.0f} s"
        ]
        return judge(
            rig,
            f"function processes killed at random, {len(killer.killed_at)} times",
            explain=killer.explain,
            may_pay_twice=True,
            notes=notes,
            broken=broken,
        )
