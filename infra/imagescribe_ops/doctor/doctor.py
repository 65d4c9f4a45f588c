"""The checks in the order of an image's way, and making them one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from imagescribe_ops.doctor import foundation, way_in
from imagescribe_ops.doctor.examination import Examination
from imagescribe_ops.doctor.findings import Finding, NotCheckedError, State, Verdict
from imagescribe_ops.doctor.permissions import missing_permission
from imagescribe_ops.errors import OperationError


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
    needs: Sequence[str] = ("credentials", "stack")


CHECKS: Final = (
    Check("credentials", foundation.credentials, needs=()),
    Check("stack", foundation.stack, needs=("credentials",)),
    Check("bucket", way_in.bucket),
    Check("bucket's events", way_in.bucket_events, needs=("credentials", "stack", "bucket")),
    Check("rule", way_in.rule),
)


def examine(examination: Examination, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """Make checks, and yield what each found; one that fails does not stop the others."""
    missing: dict[str, str] = {}  # what can't be built upon, and where that begins
    for check in checks:
        waits_for = next((missing[name] for name in check.needs if name in missing), "")
        finding = _waiting(check, waits_for) if waits_for else _look(check, examination)
        if finding.state in (State.BROKEN, State.NOT_CHECKED):
            missing[check.name] = waits_for or check.name
        yield finding


def _waiting(check: Check, waits_for: str) -> Finding:
    return Finding(check.name, State.NOT_CHECKED, f"It needs the check {waits_for!r}.", waits_for=waits_for)


def _look(check: Check, examination: Examination) -> Finding:
    try:
        verdict = check.look(examination)
    except NotCheckedError as error:
        return Finding(check.name, State.NOT_CHECKED, error.found, error.mend)
    except OperationError as error:
        if permission := missing_permission(error.__cause__) if error.__cause__ else "":
            return Finding(
                check.name,
                State.NOT_CHECKED,
                f"The permission {permission} is missing.",
                "Use credentials that have it, or ask for it.",
            )
        return Finding(check.name, State.NOT_CHECKED, error.problem, error.advice)
    return Finding(check.name, verdict.state, verdict.found, verdict.mend)
