"""What a resource's policy says of one request. Pure; as far as the policies here need it.

How AWS decides: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Answer(StrEnum):
    """What a policy says."""

    ALLOWED = "allowed"
    DENIED = "denied"
    SILENT = "silent"
    UNKNOWN = "unknown"  # it depends on a condition that is not understood here


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for what.

    Attributes
    ----------
    principals
        The ways to name who asks: a service's name, or ARNs of a role and its account.
    context
        What is known of the request, by the condition keys' names in small letters.
    """

    principals: Sequence[str]
    action: str
    resource: str
    context: Mapping[str, str]


def ask(policy: Mapping[str, Any], request: Request) -> Answer:
    """Say what a policy answers: a denial stands over all, and what is not understood over an allowance."""
    answers = [_statement(each, request) for each in _listed(policy.get("Statement", []))]
    for answer in (Answer.DENIED, Answer.UNKNOWN, Answer.ALLOWED):
        if answer in answers:
            return answer
    return Answer.SILENT


def _statement(statement: Mapping[str, Any], request: Request) -> Answer:
    if not (_names(statement, request) and _covers(statement, "Action", request.action, ignore_case=True)):
        return Answer.SILENT
    if not _covers(statement, "Resource", request.resource, ignore_case=False):
        return Answer.SILENT
    allows = statement.get("Effect") == "Allow"
    holds = [
        _holds(operator, key, _listed(values), request.context)
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    ]
    if False in holds:
        return Answer.SILENT
    if None in holds:
        return Answer.UNKNOWN
    return Answer.ALLOWED if allows else Answer.DENIED


def _names(statement: Mapping[str, Any], request: Request) -> bool:
    if "NotPrincipal" in statement:
        return not _among(statement["NotPrincipal"], request.principals)
    return _among(statement.get("Principal", {}), request.principals)


def _among(principal: Any, principals: Sequence[str]) -> bool:
    if isinstance(principal, str):
        return principal == "*"
    named = [name for names in principal.values() for name in _listed(names)]
    return "*" in named or any(name in principals for name in named)


def _covers(statement: Mapping[str, Any], element: str, value: str, *, ignore_case: bool) -> bool:
    if f"Not{element}" in statement:
        return not any(_like(pattern, value, ignore_case) for pattern in _listed(statement[f"Not{element}"]))
    return any(_like(pattern, value, ignore_case) for pattern in _listed(statement.get(element, "*")))


def _holds(operator: str, key: str, values: Sequence[str], context: Mapping[str, str]) -> bool | None:
    """Tell whether a condition holds; None where that is not known."""
    found = context.get(key.lower())
    if found is None:
        return None
    match operator.removesuffix("IfExists"):
        case "ArnEquals" | "ArnLike" | "StringLike":
            return any(_like(value, found, ignore_case=False) for value in values)
        case "StringEquals":
            return found in values
        case "Bool":
            return found in [str(value).lower() for value in values]
        case "ArnNotEquals" | "ArnNotLike" | "StringNotLike":
            return not any(_like(value, found, ignore_case=False) for value in values)
        case "StringNotEquals":
            return found not in values
        case _:
            return None


def _like(pattern: str, value: str, ignore_case: bool) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.IGNORECASE if ignore_case else 0) is not None


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
