"""What all else stands on: the credentials, the clock, the stack and its deployment."""

from __future__ import annotations

from importlib.metadata import version
from typing import Final

from imagescribe_ops.aws.stack import read_outputs
from imagescribe_ops.display import duration
from imagescribe_ops.doctor.examination import DEPLOY, Examination
from imagescribe_ops.doctor.findings import NotCheckedError, Verdict, broken, warning, well
from imagescribe_ops.doctor.permissions import missing_permission
from imagescribe_ops.errors import OperationError

MAX_SKEW_SECONDS: Final = 300.0
"""AWS refuses what was signed by a clock that differs by more: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html"""
NOTED_SKEW_SECONDS: Final = 60.0

READY: Final = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"})


def credentials(examination: Examination) -> Verdict:
    """Whether AWS takes the credentials."""
    try:
        return well(f"{examination.caller_arn} in {examination.region or 'no region'}")
    except OperationError as error:
        return broken(error.problem, error.advice)


def clock(examination: Examination) -> Verdict:
    """Whether this machine's clock is AWS's; also where AWS refuses the credentials, which may be why."""
    try:
        _ = examination.caller_arn
    except OperationError as error:
        if examination.skew_seconds is None:
            raise NotCheckedError("AWS did not say what time it is.") from error
    skew = examination.skew_seconds
    if skew is None:
        raise NotCheckedError("AWS did not say what time it is.")
    how = f"This machine's clock is {duration(abs(skew))} {'ahead of' if skew > 0 else 'behind'} AWS's"
    mend = "Set the clock: `timedatectl set-ntp true`, or as your system does it."
    if abs(skew) > MAX_SKEW_SECONDS:
        return broken(f"{how}: what it signs is refused.", mend)
    if abs(skew) > NOTED_SKEW_SECONDS:
        return warning(f"{how}; from {duration(MAX_SKEW_SECONDS)} on, what it signs is refused.", mend)
    return well(f"within {max(1, round(abs(skew)))} s of AWS's")


def stack(examination: Examination) -> Verdict:
    """Whether the stack is there, and is one of ImageScribe."""
    try:
        outputs = examination.outputs
    except OperationError as error:
        if missing_permission(error.__cause__):
            raise
        return broken(error.problem, error.advice)
    return well(f"{examination.stack}, for s3://{outputs.bucket_name}/{examination.parameters.get('KeyPrefix', '')}")


def deployment(examination: Examination) -> Verdict:
    """Whether the last deployment came to a good end."""
    state = examination.description["StackStatus"]
    if state in READY:
        return well(state)
    if state.endswith("_IN_PROGRESS"):
        return warning(f"A deployment is under way: {state}.", "Wait for its end, and look again.")
    if state in ("UPDATE_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"):
        return warning(
            f"The last deployment failed, and the one before it stands: {state}.",
            f"See why: {_events(examination)}; then {DEPLOY}.",
        )
    if state == "UPDATE_ROLLBACK_FAILED":
        undo = examination.aws("cloudformation", "continue-update-rollback", "--stack-name", examination.stack)
        return broken(
            f"The last deployment failed, and so did going back: {state}.", f"Go back: {undo}; then {DEPLOY}."
        )
    return broken(f"The stack is not whole: {state}.", f"See why: {_events(examination)}; then {DEPLOY}.")


def versions(examination: Examination) -> Verdict:
    """Whether the stack is of the same version as this command."""
    mine, deployed = version("imagescribe"), read_outputs(examination.connection, examination.stack).get("Version", "")
    if deployed == mine:
        return well(mine)
    if not deployed or _numbers(deployed) < _numbers(mine):
        return warning(
            f"The stack is of {deployed or 'an early version'}, this command of {mine}.", f"To bring it up, {DEPLOY}."
        )
    return warning(f"This command is of {mine}, the stack of {deployed}.", "Take the command of the stack's version.")


def _events(examination: Examination) -> str:
    return examination.aws("cloudformation", "describe-stack-events", "--stack-name", examination.stack)


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(".") if part.isdigit()]
