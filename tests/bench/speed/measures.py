"""What a line of the table says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from imagescribe_ops.local.stack import LocalCloud
from tests.bench.speed.backlog import Run


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
    """What the rows share.

    Attributes
    ----------
    many
        How many images the count of requests goes up to.
    panels
        Filled by the rows.
    """

    cloud: LocalCloud
    seed: int = 1
    many: int = 10_000
    panels: list[Panel] = field(default_factory=list)


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
