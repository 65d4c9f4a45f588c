"""Ten thousand uploads at once, with an eye on memory."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from imagescribe_ops.local.stack import LocalCloud
from tests.bench.faults import processes
from tests.bench.faults.figures import Figures
from tests.bench.faults.judge import judge
from tests.bench.faults.rig import Rig, rigged
from tests.bench.faults.scale import Scale

MEGABYTE: Final = 1_000_000
WORKER_BOUND: Final = 512 * 1_048_576  # MemorySize of the describe function
MAX_GROWTH: Final = 1.25
"""Of the largest worker from the second quarter of the run to the last: it must not depend on how many came before."""


@dataclass
class Memory:
    """Resident memory of each kind of process over time.

    Attributes
    ----------
    samples
        For each kind the time and the bytes of its largest process then.
    most_workers
        The most processes of the function at once.
    """

    cloud: LocalCloud
    rig: Rig
    samples: dict[str, list[tuple[float, int]]] = field(default_factory=lambda: defaultdict(list))
    most_workers: int = 0

    def sample(self) -> None:
        """Look once."""
        workers = processes.workers(self.rig.outputs.describe_function_name)
        self.most_workers = max(self.most_workers, len(workers))
        kinds = {
            "function": workers,
            "recover function": processes.workers(self.rig.outputs.recover_function_name),
            "emulator": [processes.emulator(self.cloud)],
            "simulator": [self.rig.process.pid],
            "bench": [os.getpid()],
        }
        for kind, pids in kinds.items():
            if pids:
                self.samples[kind].append((time.time(), max(map(processes.resident_bytes, pids))))

    def notes(self) -> list[str]:
        """Say what each kind held at the most."""
        peaks = ", ".join(
            f"{kind} {max(held for _, held in samples) / MEGABYTE:.0f} MB" for kind, samples in self.samples.items()
        )
        return [f"peak memory of one process: {peaks}; {self.most_workers} function processes"]

    def broken(self) -> list[str]:
        """Say what of the product grew without bound. The emulator holds the bucket and the tables in memory."""
        found = []
        held = [size for _, size in self.samples["function"]]
        quarter = len(held) // 4
        if max(held) > WORKER_BOUND:
            found.append(f"a function process held {max(held) / MEGABYTE:.0f} MB")
        if quarter and max(held[-quarter:]) > MAX_GROWTH * max(held[quarter : 2 * quarter]):
            found.append("function processes grew from the second quarter to the last")
        return found


def many(cloud: LocalCloud, scale: Scale) -> Figures:
    """Upload them all as fast as they go."""
    with rigged(cloud, "many", latency_s=0.02) as rig:
        memory = Memory(cloud, rig)
        rig.put_all(scale.objects())
        uploaded = time.time()
        rig.settle(3600, watch=memory.sample)
        notes = [f"uploaded in {uploaded - rig.started:.0f} s", *memory.notes()]
        return judge(rig, f"{scale.images:,} uploads at once", notes=notes, broken=memory.broken())
