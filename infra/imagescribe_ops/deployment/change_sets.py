"""Change sets: asked for, read, and taken away again where nobody agrees."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.stack import describe_stack
from imagescribe_ops.deployment.changes import Change, Changes, changed_parameters
from imagescribe_ops.deployment.standing import REVIEWED, Standing
from imagescribe_ops.errors import NotFoundError, OperationError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import (
        CreateChangeSetInputTypeDef,
        CreateChangeSetOutputTypeDef,
        DescribeChangeSetOutputTypeDef,
        ParameterTypeDef,
    )

FIRST_LOOK_SECONDS, LOOK_SECONDS = 0.5, 3.0
NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
NESTED = "Nested change set"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change set that nobody has agreed to yet.

    Attributes
    ----------
    change_set, stack_id
        Their ARNs.
    is_new
        Whether there is no stack yet.
    """

    change_set: str
    stack_id: str
    is_new: bool
    changes: Changes

    @property
    def account(self) -> str:
        """The account that it would be carried out in."""
        return self.stack_id.split(":")[4]


class _NestedError(Exception):
    """CloudFormation can't say what would change in a nested stack."""


class ChangeSets:
    """The change sets of one stack.

    Parameters
    ----------
    look_seconds
        At most so long lies between two looks at whether one is made.
    """

    def __init__(self, connection: Connection, stack: str, look_seconds: float = LOOK_SECONDS) -> None:
        with readable_errors():
            self._client = connection.cloudformation()
        self._connection = connection
        self._stack = stack
        self._look_seconds = look_seconds

    def propose(
        self,
        template_url: str,
        standing: Standing,
        given: Mapping[str, str],
        defaults: Mapping[str, str],
        tags: Mapping[str, str] | None = None,
    ) -> Proposal | None:
        """Ask for a change set and wait for it; None where nothing would change.

        Parameters
        ----------
        given
            Parameters that get a value; of the others an existing stack keeps its own.
        defaults
            All parameters of the template with the values that they have otherwise.
        tags
            Of the stack, besides those that it has.

        Raises
        ------
        OperationError
            CloudFormation does not take the template or a parameter.
        """
        kept = {name for name in defaults if name in standing.parameters and name not in given and standing.exists}
        parameters: list[ParameterTypeDef] = [
            {"ParameterKey": name, "ParameterValue": value} for name, value in given.items()
        ]
        parameters += [{"ParameterKey": name, "UsePreviousValue": True} for name in sorted(kept)]
        request: CreateChangeSetInputTypeDef = {
            "StackName": self._stack,
            "ChangeSetName": f"imagescribe-{time.time_ns() // 1_000_000}",
            "ChangeSetType": "UPDATE" if standing.exists else "CREATE",
            "TemplateURL": template_url,
            "Parameters": parameters,
            "Tags": [{"Key": name, "Value": value} for name, value in ({**standing.tags, **(tags or {})}).items()],
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            "IncludeNestedStacks": standing.exists,
        }
        before = dict(standing.parameters) if standing.exists else None
        after = dict(defaults) | {name: standing.parameters[name] for name in kept} | dict(given)
        values = changed_parameters(before, after if before is not None else dict(given))
        try:
            return self._proposed(request, values)
        except _NestedError:  # what it can't compute before it is made fails it: an output of another stack, say
            return self._proposed({**request, "IncludeNestedStacks": False}, values)

    def discard(self, proposal: Proposal) -> None:
        """Take a change set away again, and its stack where that has nothing else."""
        self._take_away(proposal.change_set, is_new=proposal.is_new)

    # Inside

    def _proposed(
        self, request: CreateChangeSetInputTypeDef, values: Mapping[str, tuple[str | None, str]]
    ) -> Proposal | None:
        """Make a change set and read it; one that nobody can agree to, as this was broken off, is taken away."""
        is_new = request.get("ChangeSetType") == "CREATE"
        try:
            with readable_errors():
                created = self._create(request)
                pages = self._described(created["Id"])
                resources = self._changes(pages)
        except BaseException:  # Ctrl-C too; it goes on its way below
            with suppress(OperationError):
                self._take_away(request["ChangeSetName"], is_new=is_new)
            raise
        if pages[-1]["Status"] != "FAILED":
            return Proposal(created["Id"], created["StackId"], is_new, Changes(resources, values))
        self._take_away(created["Id"], is_new=is_new)
        reason = pages[-1].get("StatusReason", "")
        if any(words in reason for words in NO_CHANGES):
            return None
        raise _NestedError if NESTED in reason else _refused(reason)

    def _create(self, request: CreateChangeSetInputTypeDef) -> CreateChangeSetOutputTypeDef:
        try:
            return self._client.create_change_set(**request)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ValidationError":
                raise _refused(error.response["Error"]["Message"]) from error
            raise

    def _take_away(self, change_set: str, *, is_new: bool) -> None:
        """Delete a change set, and the stack that was made for it, unless somebody else has come to use that."""
        with readable_errors(), suppress(NotFoundError):
            self._client.delete_change_set(ChangeSetName=change_set, StackName=self._stack)
            if not is_new or describe_stack(self._connection, self._stack)["StackStatus"] != REVIEWED:
                return
            left = self._client.list_change_sets(StackName=self._stack)["Summaries"]
            if all(change_set in (each["ChangeSetName"], each["ChangeSetId"]) for each in left):
                self._client.delete_stack(StackName=self._stack)

    def _changes(self, pages: Iterable[DescribeChangeSetOutputTypeDef]) -> list[Change]:
        """Read what changes, and in the place of a nested stack what changes in it, as far as that is told."""
        changes: list[Change] = []
        for each in (change["ResourceChange"] for page in pages for change in page.get("Changes", [])):
            nested = each.get("ChangeSetId") if each["Action"] == "Modify" else None
            inside = self._changes(self._described(nested)) if nested else []
            changes += [replace(change, name=f"{each['LogicalResourceId']}/{change.name}") for change in inside] or [
                Change.of_resource_change(each)
            ]
        return changes

    def _described(self, change_set: str) -> list[DescribeChangeSetOutputTypeDef]:
        """Wait until a change set is made, or refused, and return its pages."""
        wait = FIRST_LOOK_SECONDS
        while (first := self._client.describe_change_set(ChangeSetName=change_set))["Status"].endswith(
            ("_PENDING", "_IN_PROGRESS")
        ):
            time.sleep(wait)
            wait = min(wait * 1.5, self._look_seconds)
        pages = [first]
        while token := pages[-1].get("NextToken"):
            pages.append(self._client.describe_change_set(ChangeSetName=change_set, NextToken=token))
        return pages


def _refused(reason: str) -> OperationError:
    return OperationError(
        f"CloudFormation does not take this: {reason}",
        "Mend what the reason says, then run `imagescribe deploy` again.",
    )
