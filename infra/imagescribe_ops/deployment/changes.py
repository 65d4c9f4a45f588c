"""A change set of CloudFormation in plain words: what is added, changed, replaced and removed, and what that loses.

Pure: it reads what DescribeChangeSet answers,
https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceChange.html
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import ResourceChangeTypeDef

MAX_LISTED = 6
"""More added resources than this are counted by their kind."""

_KINDS: Final = {
    "AWS::ApiGatewayV2::Api": "HTTP API",
    "AWS::CloudFormation::Stack": "nested stack",
    "AWS::CloudWatch::Alarm": "alarm",
    "AWS::DynamoDB::Table": "table",
    "AWS::Events::Rule": "rule",
    "AWS::IAM::Role": "role",
    "AWS::Lambda::EventInvokeConfig": "setting of invocations",
    "AWS::Lambda::EventSourceMapping": "event source mapping",
    "AWS::Lambda::Function": "function",
    "AWS::Lambda::LayerVersion": "layer",
    "AWS::Lambda::Permission": "permission",
    "AWS::Lambda::Url": "function URL",
    "AWS::Logs::LogGroup": "log group",
    "AWS::S3::Bucket": "bucket",
    "AWS::S3::BucketPolicy": "bucket policy",
    "AWS::SNS::Topic": "topic",
    "AWS::SQS::Queue": "queue",
    "AWS::SQS::QueuePolicy": "queue policy",
    "AWS::SecretsManager::Secret": "secret",
}

_REPLACED: Final = {
    "AWS::DynamoDB::Table": "a new, empty table takes its place, and what the old one holds is no longer used",
    "AWS::S3::Bucket": "a new, empty bucket takes its place, and what comes into the old one is no longer seen",
    "AWS::SQS::Queue": "a new, empty queue takes its place, and what waits in the old one is no longer received",
    "AWS::SecretsManager::Secret": "a new secret takes its place, and the endpoint's key has to be set again",
    "AWS::Logs::LogGroup": "a new, empty log group takes its place",
}
"""What is lost where something that holds data is replaced."""

_LOSSES_BY_NAME: Final = {
    "LedgerTable": "every image that was paid for would be paid for again",
    "CatalogTable": "no image that was described would be found",
    "Bucket": "the stack would no longer see what is uploaded to it",
}


class Action(StrEnum):
    """What happens to a resource; the value is the word for it."""

    REPLACE = "replaced"
    MAY_REPLACE = "may be replaced"
    REMOVE = "removed"
    ADD = "added"
    CHANGE = "changed"
    MAY_CHANGE = "may change"


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one resource.

    Attributes
    ----------
    name
        In the template.
    resource_type
        CloudFormation's.
    physical_id
        Of the resource that is there already; empty for a new one.
    properties
        What of it changes.
    parameters
        The parameters that it changes for.
    is_kept
        Whether what is removed or replaced stays, outside of the stack; None where nothing goes, or it is not known.
    """

    action: Action
    name: str
    resource_type: str
    physical_id: str = ""
    properties: Sequence[str] = ()
    parameters: Sequence[str] = ()
    is_kept: bool | None = None

    @classmethod
    def of_resource_change(cls, change: ResourceChangeTypeDef) -> Self:
        """Read one of a change set's."""
        details: Sequence[Any] = change.get("Details", [])
        targets = [detail.get("Target", {}) for detail in details]
        policy = change.get("PolicyAction", "")
        return cls(
            action=_action(change, details),
            name=change["LogicalResourceId"],
            resource_type=change["ResourceType"],
            physical_id=change.get("PhysicalResourceId", ""),
            properties=_unique(target.get("Name") or target.get("Attribute", "") for target in targets),
            parameters=_unique(
                detail.get("CausingEntity", "")
                for detail in details
                if detail.get("ChangeSource") == "ParameterReference"
            ),
            is_kept=policy in {"Retain", "ReplaceAndRetain"} if policy else None,
        )

    @property
    def kind(self) -> str:
        """What it is, in a word where there is one."""
        return kind_of(self.resource_type)

    @property
    def loses_data(self) -> bool:
        """Whether something that holds data goes, or may go."""
        return self.resource_type in _REPLACED and self.action in {Action.REPLACE, Action.MAY_REPLACE, Action.REMOVE}

    def warning(self) -> str:
        """Return what is lost by it, as a sentence."""
        will = {Action.REPLACE: "IS REPLACED", Action.MAY_REPLACE: "MAY BE REPLACED", Action.REMOVE: "IS REMOVED"}
        parts = [f"{self.name} ({self.kind} {self.physical_id}) {will[self.action]}"]
        if self.action is not Action.REMOVE:
            parts.append(_REPLACED[self.resource_type])
        if self.name in _LOSSES_BY_NAME:
            parts.append(_LOSSES_BY_NAME[self.name])
        fate = {
            True: "The old one stays in the account, and the stack has nothing to do with it any more.",
            False: "The old one is DELETED with all that is in it.",
            None: "",
        }
        because = f" This comes of {', '.join(self.parameters)}." if self.parameters else ""
        return f"{'; '.join(parts)}.{because} {fate[self.is_kept]}".strip()

    def what(self) -> str:
        """Return what of it changes, and the parameters that it changes for."""
        words = ", ".join(_words(each) for each in self.properties)
        because = f"({', '.join(self.parameters)})" if self.parameters else ""
        return " ".join(filter(None, (words, because)))

    def as_json(self) -> dict[str, object]:
        """Return it for ``--json``."""
        return {
            "action": self.action.name.lower(),
            "resource": self.name,
            "type": self.resource_type,
            "physical_id": self.physical_id,
            "properties": list(self.properties),
            "parameters": list(self.parameters),
            "loses_data": self.loses_data,
        }


@dataclass(frozen=True, slots=True)
class Changes:
    """What a change set does to a stack.

    Attributes
    ----------
    parameters
        The parameters that get another value: the one before (None where there is none), and the new one.
    """

    resources: Sequence[Change]
    parameters: Mapping[str, tuple[str | None, str]] = field(default_factory=dict)

    @property
    def losses(self) -> list[Change]:
        """What loses data."""
        return [change for change in self.resources if change.loses_data]

    def lines(self) -> list[tuple[str, str]]:
        """Return what happens, and to what, of all that loses nothing; what is alike is told in one line."""
        rest = [change for change in self.resources if not change.loses_data]
        follow = [change for change in rest if change.action in {Action.MAY_REPLACE, Action.MAY_CHANGE}]
        alike: dict[tuple[Action, str, str], list[Change]] = {}
        for action in (Action.REPLACE, Action.REMOVE, Action.ADD, Action.CHANGE):
            these = [change for change in rest if change.action is action]
            many = action is Action.ADD and len(these) > MAX_LISTED
            for change in these:
                alike.setdefault((action, "" if many else change.kind, change.what()), []).append(change)
        lines = [(str(action), _told(kind, what, changes)) for (action, kind, what), changes in alike.items()]
        if follow:
            kinds = counted(change.kind for change in follow)
            lines.append(("may follow", f"{kinds}, which refer to what changes; none holds data"))
        return lines

    def as_json(self) -> dict[str, object]:
        """Return it for ``--json``."""
        return {
            "resources": [change.as_json() for change in self.resources],
            "parameters": {name: {"before": old, "after": new} for name, (old, new) in self.parameters.items()},
        }


def kind_of(resource_type: str) -> str:
    """Return a word for a type of CloudFormation's, or the type itself."""
    return _KINDS.get(resource_type, resource_type)


def counted(kinds: Iterable[str]) -> str:
    """Count things by their kind, such as ``3 tables, 1 rule and 12 others``; those without a word are the others."""
    counts = Counter(kind if kind in _KINDS.values() else "" for kind in kinds)
    others = counts.pop("", 0)
    words = [f"{count} {kind if count == 1 else _plural(kind)}" for kind, count in counts.most_common()]
    if others:
        words.append(f"{others} other{'s' * (others > 1)}")
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""


def _told(kind: str, what: str, changes: Sequence[Change]) -> str:
    if not kind:
        return counted(change.kind for change in changes)
    names = ", ".join(change.name for change in changes)
    return f"{names} ({kind if len(changes) == 1 else _plural(kind)})" + (f": {what}" if what else "")


def changed_parameters(before: Mapping[str, str] | None, after: Mapping[str, str]) -> dict[str, tuple[str | None, str]]:
    """Return the parameters that have another value after than before."""
    old = before or {}
    return {name: (old.get(name), value) for name, value in after.items() if old.get(name) != value}


def _action(change: ResourceChangeTypeDef, details: Sequence[Any]) -> Action:
    match change["Action"], change.get("Replacement", "False"):
        case "Add" | "Import", _:
            return Action.ADD
        case "Remove", _:
            return Action.REMOVE
        case _, "True":
            return Action.REPLACE
        case _, "Conditional":
            return Action.MAY_REPLACE
    # What CloudFormation can't tell before it has made something else: the ARN of a function that is changed, say.
    if change["Action"] == "Dynamic" or (details and all(each.get("Evaluation") == "Dynamic" for each in details)):
        return Action.MAY_CHANGE
    return Action.CHANGE


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(word for word in words if word))


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


def _plural(kind: str) -> str:
    first, of, rest = kind.partition(" of ")
    plural = f"{first[:-1]}ies" if first.endswith("y") else f"{first}s"
    return plural + of + rest
