"""What works on images: the functions, and the tables that they keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from botocore.exceptions import ClientError

from imagescribe_ops.display import duration
from imagescribe_ops.doctor.examination import DEPLOY, Examination, anew, is_gone
from imagescribe_ops.doctor.findings import Verdict, broken, warning, well

FUNCTIONS: Final = ("Describe", "Imaging", "Recover", "Backfill", "Snapshot", "Query")
TABLES: Final = ("Ledger", "Catalog", "Jobs")

OTHER_FUNCTIONS_SIDE_BY_SIDE: Final = 5
"""Concurrency that the stack takes besides the describe function: one of each other."""


PEAK_SECONDS: Final = 900.0
NEARLY_ALL: Final = 0.9
"""So much of the account's concurrency in use leaves too little."""


def functions(examination: Examination) -> Verdict:
    """Whether the functions are there and can be invoked."""
    for kind in FUNCTIONS:
        name = examination.resource(f"{kind}Function")
        try:
            found = examination.lambda_functions.get_function_configuration(FunctionName=name)
        except ClientError as error:
            if not is_gone(error):
                raise
            return broken(f"There is no function {name}.", anew(f"{kind}Function"))
        state, update = found.get("State", "Active"), found.get("LastUpdateStatus", "Successful")
        if "Failed" in (state, update):
            why = (
                found.get("StateReason")
                or found.get("LastUpdateStatusReason")
                or "for a reason that Lambda does not say"
            )
            return broken(f"The function {name} can't be invoked: {why}.", f"Mend that, and {DEPLOY}.")
        # What is reserved for the describe function is a check of its own.
        if kind != "Describe" and _reserved(examination, name) == 0:
            return _shut_off(examination, name)
    return well(f"all {len(FUNCTIONS)} can be invoked")


def concurrency(examination: Examination) -> Verdict:
    """Whether the account has invocations left for the describe function."""
    name = examination.outputs.describe_function_name
    wanted = int(examination.parameters.get("MaximumConcurrency") or 10)
    reserved = _reserved(examination, name)
    limits = examination.lambda_functions.get_account_settings()["AccountLimit"]
    if reserved is not None:
        if not reserved:
            return _shut_off(examination, name)
        if reserved < wanted:
            return warning(
                f"Of {wanted} invocations (MaximumConcurrency), {reserved} may run: no more are reserved for {name}.",
                f"Reserve more, or none: {_unreserve(examination, name)}",
            )
        return well(f"{reserved} invocations are reserved")
    left = limits["UnreservedConcurrentExecutions"]
    if left < wanted + OTHER_FUNCTIONS_SIDE_BY_SIDE:
        return warning(
            f"All functions of the account have {left} invocations side by side; this stack takes up to "
            f"{wanted + OTHER_FUNCTIONS_SIDE_BY_SIDE}.",
            f"Ask for more (Service Quotas, Lambda, concurrent executions), or {DEPLOY} with a smaller "
            "MaximumConcurrency.",
        )
    peak = _peak(examination)
    if peak >= NEARLY_ALL * left:
        return warning(
            f"All functions of the account had {peak:,.0f} of {left:,} invocations side by side in the last "
            f"{duration(PEAK_SECONDS)}: the describe function gets what is left.",
            "Find out which function takes them, or reserve some for the describe function.",
        )
    return well(f"{left:,} invocations side by side, shared with the account's other functions, which took {peak:,.0f}")


def _reserved(examination: Examination, name: str) -> int | None:
    answer = examination.lambda_functions.get_function_concurrency(FunctionName=name)
    return answer.get("ReservedConcurrentExecutions")


def _shut_off(examination: Examination, name: str) -> Verdict:
    return broken(
        f"The function {name} is shut off: no concurrency is reserved for it.",
        f"Let it run: {_unreserve(examination, name)}",
    )


def _unreserve(examination: Examination, name: str) -> str:
    return examination.aws("lambda", "delete-function-concurrency", "--function-name", name)


def _peak(examination: Examination) -> float:
    """Return how many invocations there were side by side of all functions that none are reserved for."""
    # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-concurrency.html
    now = datetime.fromtimestamp(examination.clock(), UTC)
    answer = examination.client("cloudwatch").get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="UnreservedConcurrentExecutions",
        StartTime=now - timedelta(seconds=PEAK_SECONDS),
        EndTime=now,
        Period=60,
        Statistics=["Maximum"],
    )
    return max((float(each["Maximum"]) for each in answer["Datapoints"]), default=0.0)


# ── The tables ───────────────────────────────────────────────────────────────────────────────────────────────────────


def tables(examination: Examination) -> Verdict:
    """Whether the tables are there and can be written."""
    dynamodb = examination.connection.dynamodb()
    for kind in TABLES:
        name = examination.resource(f"{kind}Table")
        try:
            state = dynamodb.describe_table(TableName=name)["Table"].get("TableStatus", "")
        except ClientError as error:
            if not is_gone(error):
                raise
            return broken(
                f"There is no table {name}.",
                "Restore it under this name from its last backup: DynamoDB keeps one of a deleted table for 35 days.",
            )
        if state not in ("ACTIVE", "UPDATING"):
            return broken(f"The table {name} can't be used: {state}.", "See it in DynamoDB's console.")
    return well(f"all {len(TABLES)} are there")
