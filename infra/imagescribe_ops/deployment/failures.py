"""Why a deployment failed, out of a stack's events: the resource that failed first, its reason, and what mends it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

type Event = Mapping[str, Any]
type EventsOf = Callable[[str], Iterable[Event]]
"""The events of this deployment, the newest first, by the id of a stack."""

NESTED: Final = "AWS::CloudFormation::Stack"

_ADVICE: Final = (
    (
        r"not authorized|access ?denied|UnauthorizedOperation",
        "Deploy with credentials that may do this, or ask for the permission; then run `imagescribe {command}` again.",
    ),
    (
        r"already exists|AlreadyExists|NameInUse",
        "Something of this name is there already: delete it if nothing uses it, or give the stack another name with "
        "--stack; then run `imagescribe {command}` again.",
    ),
    (
        r"LimitExceeded|limit exceeded|quota|TooMany|maximum number",
        "The account has reached a limit: delete what is not used, or ask for more in AWS's Service Quotas; then run "
        "`imagescribe {command}` again.",
    ),
    (
        r"concurren",
        "The account has too few concurrent executions of Lambda left: ask for more in AWS's Service Quotas, or deploy "
        "with a lower MaximumConcurrency.",
    ),
    (
        r"kms|key policy",
        "Look at the KMS key: that it is there, enabled, in this region, and that its policy lets the stack use it "
        "(SECURITY.md says how); then run `imagescribe {command}` again.",
    ),
    (
        r"rate exceeded|throttl",
        "AWS was asked too much: wait a minute, then run `imagescribe {command}` again.",
    ),
)

_OTHERWISE: Final = "Mend what the reason says, then run `imagescribe {command}` again."


@dataclass(frozen=True, slots=True)
class Failure:
    """A resource that failed by itself, and not since another one did.

    Attributes
    ----------
    resource, resource_type
        Its name in the template, and CloudFormation's type.
    reason
        AWS's words.
    """

    resource: str
    resource_type: str
    reason: str

    def __str__(self) -> str:
        """Say what failed, and why."""
        return f"{self.resource} ({self.resource_type}): {self.reason}"


def failures(stack_id: str, events_of: EventsOf) -> list[Failure]:
    """Return what failed by itself in a stack and those nested in it, the first first."""
    found: list[Failure] = []
    nested: set[str] = set()
    failed = [event for event in events_of(stack_id) if event["ResourceStatus"].endswith("_FAILED")]
    for event in reversed(failed):
        reason = event.get("ResourceStatusReason", "")
        physical_id = event.get("PhysicalResourceId", "")
        if physical_id == stack_id or physical_id in nested:
            continue
        if event["ResourceType"] == NESTED and physical_id:
            nested.add(physical_id)
            found += failures(physical_id, events_of) or [_failure(event, reason)]
        elif not re.search(r"cancelled", reason):  # since another one failed
            found.append(_failure(event, reason))
    return list(dict.fromkeys(found))


def _failure(event: Event, reason: str) -> Failure:
    return Failure(event["LogicalResourceId"], event["ResourceType"], reason or event["ResourceStatus"])


def advice(found: Sequence[Failure], command: str = "deploy") -> str:
    """Say what to do about it; the command is what failed."""
    reasons = " ".join(failure.reason for failure in found[:1])
    words = next((words for pattern, words in _ADVICE if re.search(pattern, reasons, re.IGNORECASE)), _OTHERWISE)
    return words.format(command=command)
