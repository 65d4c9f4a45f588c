"""A stack as CloudFormation has it: how it stands, a change set for it, and the way until that is carried out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.deployment.changes import Change, Changes, changed_parameters
from imagescribe_ops.deployment.failures import Event, advice, failures
from imagescribe_ops.deployment.standing import REVIEWED, Standing
from imagescribe_ops.errors import OperationError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.type_defs import DescribeChangeSetOutputTypeDef, ParameterTypeDef

FIRST_LOOKS_SECONDS, LOOK_SECONDS = 0.5, 3.0
MAX_SHOWN = 5

NO_CHANGES = ("didn't contain changes", "No updates are to be performed")
type Report = Callable[[str], None]


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


class CloudFormation:
    """One stack.

    Parameters
    ----------
    look_seconds
        At most so long lies between two looks at how far it is.
    """

    def __init__(self, connection: Connection, stack: str, look_seconds: float = LOOK_SECONDS) -> None:
        with readable_errors():
            self._client = connection.cloudformation()
        self._stack = stack
        self._look_seconds = look_seconds

    def standing(self) -> Standing:
        """Say how the stack stands.

        Raises
        ------
        OperationError
            AWS can't be asked, or something is going on with the stack right now.
        """
        with readable_errors():
            try:
                found = self._client.describe_stacks(StackName=self._stack)["Stacks"][0]
            except ClientError as error:
                if "does not exist" in error.response.get("Error", {}).get("Message", ""):
                    return Standing()
                raise
        status = found["StackStatus"]
        if status.endswith("_IN_PROGRESS") and status != REVIEWED:
            raise OperationError(
                f"The stack {self._stack} is being changed already ({status}).",
                "Wait until that is done, then try again.",
            )
        return Standing(
            status,
            {each["ParameterKey"]: each.get("ParameterValue", "") for each in found.get("Parameters", [])},
            {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])},
            {each["Key"]: each["Value"] for each in found.get("Tags", [])},
            found.get("Description", ""),
            found.get("EnableTerminationProtection", False),
        )

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
        with readable_errors():
            try:
                created = self._client.create_change_set(
                    StackName=self._stack,
                    ChangeSetName=f"imagescribe-{time.time_ns() // 1_000_000}",
                    ChangeSetType="UPDATE" if standing.exists else "CREATE",
                    TemplateURL=template_url,
                    Parameters=parameters,
                    Tags=[{"Key": name, "Value": value} for name, value in ({**standing.tags, **(tags or {})}).items()],
                    Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
                )
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") == "ValidationError":
                    raise _refused(error.response["Error"]["Message"]) from error
                raise
            pages = self._described(created["Id"])
        before = dict(standing.parameters) if standing.exists else None
        after = dict(defaults) | {name: standing.parameters[name] for name in kept} | dict(given)
        changes = Changes(
            [Change.of_resource_change(each["ResourceChange"]) for page in pages for each in page.get("Changes", [])],
            changed_parameters(before, after if before is not None else dict(given)),
        )
        proposal = Proposal(created["Id"], created["StackId"], not standing.exists, changes)
        if pages[-1]["Status"] != "FAILED":
            return proposal
        reason = pages[-1].get("StatusReason", "")
        self.discard(proposal)
        if any(words in reason for words in NO_CHANGES):
            return None
        raise _refused(reason)

    def discard(self, proposal: Proposal) -> None:
        """Take a change set away again, and a stack that has nothing else."""
        with readable_errors():
            if proposal.is_new:
                self._client.delete_stack(StackName=proposal.stack_id)
            else:
                self._client.delete_change_set(ChangeSetName=proposal.change_set)

    def carry_out(self, proposal: Proposal, report: Report) -> None:
        """Carry out a change set and return when the stack is complete; ``report`` is told how far it is.

        Raises
        ------
        OperationError
            It failed: with the resources, the reasons, and what to do.
        """
        mark = self._newest(proposal.stack_id)
        with readable_errors():
            # What a deployment that fails has made goes again, also what is retained otherwise.
            self._client.execute_change_set(ChangeSetName=proposal.change_set, RetainExceptOnCreate=True)
        status = self._until_still(proposal.stack_id, mark, report, len(proposal.changes.resources))
        if status in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
            return
        raise self._failure(proposal.stack_id, mark, status, "deploy")

    def delete(self, report: Report) -> None:
        """Delete the stack and return when it is gone; what its template retains stays.

        Raises
        ------
        OperationError
            It could not be deleted.
        """
        with readable_errors():
            # By its id, as its name leads nowhere any more once it is gone.
            stack_id = self._client.describe_stacks(StackName=self._stack)["Stacks"][0]["StackId"]
        mark = self._newest(stack_id)
        with readable_errors():
            self._client.delete_stack(StackName=stack_id)
        status = self._until_still(stack_id, mark, report, 0)
        if status != "DELETE_COMPLETE":
            raise self._failure(stack_id, mark, status, "destroy")

    # Inside

    def _described(self, change_set: str) -> list[DescribeChangeSetOutputTypeDef]:
        """Wait until a change set is made, or refused, and return its pages."""
        wait = FIRST_LOOKS_SECONDS
        while (first := self._client.describe_change_set(ChangeSetName=change_set))["Status"].endswith(
            ("_PENDING", "_IN_PROGRESS")
        ):
            time.sleep(wait)
            wait = min(wait * 1.5, self._look_seconds)
        pages = [first]
        while token := pages[-1].get("NextToken"):
            pages.append(self._client.describe_change_set(ChangeSetName=change_set, NextToken=token))
        return pages

    def _events(self, stack_id: str) -> Iterable[Event]:
        for page in self._client.get_paginator("describe_stack_events").paginate(StackName=stack_id):
            yield from page["StackEvents"]

    def _newest(self, stack_id: str) -> Event | None:
        with readable_errors():
            return next(iter(self._events(stack_id)), None)

    def _since(self, mark: Event | None, stack_id: str) -> Iterable[Event]:
        """Yield the events after another one, the newest first; of a nested stack too, which has others."""
        for event in self._events(stack_id):
            if mark and (event["EventId"] == mark["EventId"] or event["Timestamp"] < mark["Timestamp"]):
                return
            yield event

    def _until_still(self, stack_id: str, mark: Event | None, report: Report, total: int) -> str:
        """Wait until the stack's own events say how it ended; its status may still be that from before."""
        wait = FIRST_LOOKS_SECONDS
        while True:
            with readable_errors():
                events = list(self._since(mark, stack_id))
            own = next((event["ResourceStatus"] for event in events if event.get("PhysicalResourceId") == stack_id), "")
            if own and not own.endswith("_IN_PROGRESS"):
                return str(own)
            if events:
                done = {each["LogicalResourceId"] for each in events if each["ResourceStatus"].endswith("_COMPLETE")}
                of_total = f" of {total}" if total else ""
                report(f"{len(done)}{of_total} resources, {events[0]['LogicalResourceId']}")
            time.sleep(wait)
            wait = min(wait * 1.2, self._look_seconds)

    def _failure(self, stack_id: str, mark: Event | None, status: str, command: str) -> OperationError:
        with readable_errors():
            found = failures(stack_id, partial(self._since, mark))
        after: dict[str, str] = {
            "UPDATE_ROLLBACK_COMPLETE": "The stack is as it was before.",
            "ROLLBACK_COMPLETE": "Nothing of it runs; the next deployment clears away what is left.",
            "UPDATE_ROLLBACK_FAILED": "It could not go back to what it was before: "
            f"`aws cloudformation continue-update-rollback --stack-name {self._stack}` tries again.",
        }
        reasons = "\n".join(str(each) for each in found[:MAX_SHOWN])
        end = f"The stack {self._stack} ended as {status}. {after.get(status, '')}".rstrip()
        return OperationError(end + f"\n{reasons}" * bool(found), advice(found, command))


def _refused(reason: str) -> OperationError:
    return OperationError(
        f"CloudFormation does not take this: {reason}",
        "Mend what the reason says, then run `imagescribe deploy` again.",
    )
