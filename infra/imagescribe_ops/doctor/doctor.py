"""The checks in the order of an image's way, and making them one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.doctor import care, endpoint, foundation, functions, keys, reception, way_in
from imagescribe_ops.doctor.examination import Examination
from imagescribe_ops.doctor.findings import Finding, NotCheckedError, State, Verdict
from imagescribe_ops.doctor.permissions import missing_permission
from imagescribe_ops.errors import OperationError

FOUNDATION: Final = ("credentials", "stack")


@dataclass(frozen=True, slots=True)
class Check:
    """A look at one link of the chain.

    Attributes
    ----------
    needs
        Checks without which this one makes no sense.
    """

    name: str
    look: Callable[[Examination], Verdict]
    needs: Sequence[str] = FOUNDATION


WAY: Final = (
    Check("credentials", foundation.credentials, needs=()),
    Check("clock", foundation.clock, needs=()),
    Check("stack", foundation.stack, needs=("credentials",)),
    Check("deployment", foundation.deployment),
    Check("version", foundation.versions),
    # The way in
    Check("bucket", way_in.bucket),
    Check("bucket's events", way_in.bucket_events, needs=(*FOUNDATION, "bucket")),
    Check("rule", way_in.rule),
    Check("rule's pattern", way_in.pattern),
    Check("rule's target", way_in.target),
    Check("queue's policy", reception.queue_policy),
    Check("KMS keys", keys.kms_keys),
    # Who takes it on
    Check("uploads", reception.uploads_mapping),
    Check("backfill", reception.backfill_mapping),
    Check("functions", functions.functions),
    Check("concurrency", functions.concurrency),
    Check("tables", functions.tables),
    # What is asked for the prompt
    Check("API key", endpoint.api_key),
    Check("balance", endpoint.balance, needs=(*FOUNDATION, "API key")),
    Check("budget", endpoint.budget),
    Check("calls", endpoint.breaker),
)
CARE: Final = (
    Check("dead letters", care.dead_letters),
    Check("schedules", care.schedules),
    Check("recover runs", care.recover_runs, needs=(*FOUNDATION, "schedules")),
    Check("snapshot runs", care.snapshot_runs, needs=(*FOUNDATION, "schedules")),
    Check("alarms told", care.alarms),
    Check("alarms ringing", care.ringing),
)
CHECKS: Final = (*WAY, *CARE)
ON_THE_WAY: Final = frozenset(check.name for check in WAY)
"""What an image passes, or needs, to be described; the others look after that."""


def examine(examination: Examination, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """Make checks, and yield what each found; one that fails does not stop the others."""
    missing: dict[str, str] = {}  # what can't be built upon, and where that begins
    for check in checks:
        waits_for = next((missing[name] for name in check.needs if name in missing), "")
        finding = _waiting(check, waits_for) if waits_for else look(check.name, partial(check.look, examination))
        if finding.state in (State.BROKEN, State.NOT_CHECKED):
            missing[check.name] = waits_for or check.name
        yield finding


def _waiting(check: Check, waits_for: str) -> Finding:
    return Finding(check.name, State.NOT_CHECKED, f"It needs the check {waits_for!r}.", waits_for=waits_for)


def look(name: str, examine: Callable[[], Verdict]) -> Finding:
    """Make one check; what AWS refuses, or does not answer, is not checked."""
    try:
        with readable_errors():
            verdict = examine()
    except NotCheckedError as error:
        return Finding(name, State.NOT_CHECKED, error.found, error.mend)
    except OperationError as error:
        if permission := missing_permission(error.__cause__):
            return Finding(
                name,
                State.NOT_CHECKED,
                f"The permission {permission} is missing.",
                "Use credentials that have it, or ask for it.",
            )
        return Finding(name, State.NOT_CHECKED, error.problem, error.advice)
    return Finding(name, verdict.state, verdict.found, verdict.mend)
