"""What a line of the table says."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Self

from imagescribe_ops.local.stack import LocalCloud
from tests.bench.speed.backlog import Run
from tests.bench.speed.stacks import LATENCY_SECONDS, Shape, Stack, deployed


@dataclass(frozen=True, slots=True)
class Measure:
    """One line.

    Attributes
    ----------
    at
        Under what circumstances.
    ours, baselines
        What was measured, in words and figures.
    is_met
        None where there is no target.
    figures
        The same for programs.
    notes
        What else was seen.
    """

    name: str
    at: str
    ours: str
    baselines: str
    target: str
    is_met: bool | None
    figures: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Panel:
    """Runs against one limit, for the picture."""

    title: str
    runs: tuple[Run, ...]


@dataclass(frozen=True, slots=True)
class Bench:
    """What the rows share; use it as a context manager, which takes the shared stacks away.

    Attributes
    ----------
    many
        How many images the count of requests goes up to.
    panels
        Filled by the rows.
    """

    cloud: LocalCloud
    seed: int = 1
    many: int = 900
    panels: list[Panel] = field(default_factory=list)
    _stacks: dict[Shape, Stack] = field(default_factory=dict)
    _exits: ExitStack = field(default_factory=ExitStack)

    def stack(self, shape: Shape, latency_s: float = LATENCY_SECONDS, **settings: Any) -> Stack:
        """Return the shared stack of a shape as if it had just been deployed, with some settings of its simulator."""
        if shape not in self._stacks:
            self._stacks[shape] = self._exits.enter_context(deployed(self.cloud, shape, {}))
        stack = self._stacks[shape]
        stack.renew()
        stack.simulator.configure(latency_s=latency_s, **settings)
        return stack

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exits.close()


def told(run: Run) -> str:
    """Say how a run went. Where not every image was described, a share would be one of the calls that were lucky."""
    parts = [f"{run.share:.3f}"]
    if run.described < run.images:
        parts = [f"{run.described} of {run.images} described after {run.seconds:.0f} s"]
    if run.calls.refused >= 0.0005:
        parts.append(f"{100 * run.calls.refused:.1f} % 429")
    if run.dead:
        parts.append(f"{run.dead} dead letters")
    if rest := run.images - run.described - run.dead:
        parts.append(f"{rest} {'waiting' if run.has_queue else 'lost'}")
    return ", ".join(parts)


def load_note(*runs: Run) -> str:
    """Say how busy the machine was."""
    return f"load average at the end {', '.join(f'{run.name} {run.load:.1f}' for run in runs)}"
