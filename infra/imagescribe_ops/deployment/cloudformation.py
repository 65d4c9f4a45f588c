"""A stack as CloudFormation has it: how it stands, and the way until a change set is carried out, or it is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

from botocore.exceptions import ClientError

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.aws.stack import describe_stack
from imagescribe_ops.deployment.change_sets import FIRST_LOOK_SECONDS, LOOK_SECONDS, Proposal
from imagescribe_ops.deployment.failures import Event, advice, failures
from imagescribe_ops.deployment.standing import REVIEWED, Standing
from imagescribe_ops.errors import NotFoundError, OperationError
from imagescribe_ops.local.processes import shielded

MAX_SHOWN = 5
OVERTAKEN = {"InvalidChangeSetStatus", "ChangeSetNotFound"}
type Report = Callable[[str], None]


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
        self._connection = connection
        self._stack = stack
        self._look_seconds = look_seconds

    def standing(self) -> Standing:
        """Say how the stack stands.

        Raises
        ------
        OperationError
            AWS can't be asked, or something is going on with the stack right now.
        """
        try:
            found = describe_stack(self._connection, self._stack)
        except NotFoundError:
            return Standing()
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

    def carry_out(self, proposal: Proposal, report: Report) -> None:
        """Carry out a change set and return when the stack is complete; ``report`` is told how far it is.

        Raises
        ------
        OperationError
            It failed: with the resources, the reasons, and what to do.
        """
        with shielded():  # an interruption finds it begun, or not
            mark = self._newest(proposal.stack_id)
            self._execute(proposal)
        with self._goes_on("deployment"):
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
        with shielded(), readable_errors():
            # By its id, as its name leads nowhere any more once it is gone.
            stack_id = self._client.describe_stacks(StackName=self._stack)["Stacks"][0]["StackId"]
            mark = self._newest(stack_id)
            self._client.delete_stack(StackName=stack_id)
        with self._goes_on("deletion"):
            status = self._until_still(stack_id, mark, report, 0)
        if status != "DELETE_COMPLETE":
            raise self._failure(stack_id, mark, status, "destroy")

    # Inside

    def _execute(self, proposal: Proposal) -> None:
        with readable_errors():
            try:
                # What a deployment that fails has made goes again, also what is retained otherwise.
                self._client.execute_change_set(ChangeSetName=proposal.change_set, RetainExceptOnCreate=True)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in OVERTAKEN:
                    raise
                raise OperationError(
                    f"Nothing was deployed: the stack {self._stack} was changed meanwhile.",
                    "Run `imagescribe deploy` again, and see what would change now.",
                ) from error

    @contextmanager
    def _goes_on(self, what: str) -> Iterator[None]:
        try:
            yield
        except OperationError as error:
            raise OperationError(
                f"{error.problem}\nThe {what} goes on in AWS.",
                f"`aws cloudformation describe-stacks --stack-name {self._stack}` tells how far it is. {error.advice}",
            ) from error

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
        wait = FIRST_LOOK_SECONDS
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
