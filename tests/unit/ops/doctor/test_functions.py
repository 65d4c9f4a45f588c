"""The functions, what they may run side by side, and the tables."""

from __future__ import annotations

from typing import Any

import pytest

from imagescribe_ops.doctor import functions
from imagescribe_ops.doctor.findings import State
from tests.aws_cli import aws_lines
from tests.unit.ops.doctor.conftest import Make, only
from tests.unit.stack_in_moto import StackInMoto


def test_a_function_that_is_gone_or_failed_is_told(examined: Make) -> None:
    examination = examined()
    assert functions.functions(examination).state is State.WELL
    examination.resources["SnapshotFunction"] = "gone"
    assert "There is no function gone." in functions.functions(examination).found
    examination.lambda_functions = only(
        get_function_configuration={"State": "Failed", "StateReason": "the key is disabled"}
    )
    assert "the key is disabled" in functions.functions(examination).found


def test_a_function_that_was_shut_off_is_told_with_what_lets_it_run(examined: Make) -> None:
    examination = examined()
    examination.lambda_functions = only(
        get_function_configuration={"State": "Active"},
        get_function_concurrency={"ReservedConcurrentExecutions": 0},
    )
    verdict = functions.functions(examination)
    assert verdict.state is State.BROKEN
    assert "is shut off" in verdict.found
    (line,) = aws_lines(verdict.mend)
    assert line.startswith("aws lambda delete-function-concurrency --function-name ")


@pytest.mark.parametrize(
    ("reserved", "unreserved", "peak", "state", "says"),
    [
        (
            None,
            1000,
            3,
            "well",
            "1,000 invocations side by side, shared with the account's other functions, which took 3",
        ),
        (None, 10, 0, "warning", "have 10 invocations side by side; this stack takes up to 15"),
        (None, 1000, 950, "warning", "had 950 of 1,000 invocations"),
        (0, 1000, 0, "broken", "is shut off"),
        (5, 1000, 0, "warning", "Of 10 invocations (MaximumConcurrency), 5 may run"),
        (10, 1000, 999, "well", "10 invocations are reserved"),
    ],
)
def test_concurrency_that_is_left(
    examined: Make,
    monkeypatch: pytest.MonkeyPatch,
    reserved: int | None,
    unreserved: int,
    peak: float,
    state: str,
    says: str,
) -> None:
    examination = examined(MaximumConcurrency="10")
    examination.lambda_functions = only(
        get_function_concurrency={} if reserved is None else {"ReservedConcurrentExecutions": reserved},
        get_account_settings={"AccountLimit": {"UnreservedConcurrentExecutions": unreserved}},
    )
    measured = only(get_metric_statistics={"Datapoints": [{"Maximum": 1.0}, {"Maximum": peak}]})
    monkeypatch.setattr(examination, "client", lambda _service: measured)
    verdict = functions.concurrency(examination)
    assert (verdict.state, says in verdict.found) == (state, True), verdict


def test_a_table_that_is_gone_or_can_not_be_used_is_told(
    examined: Make, made: StackInMoto, monkeypatch: pytest.MonkeyPatch
) -> None:
    examination = examined()
    assert functions.tables(examination).state is State.WELL
    made.dynamodb.delete_table(TableName=made.outputs["JobsTableName"])
    verdict = functions.tables(examination)
    assert (verdict.state, "There is no table" in verdict.found) == (State.BROKEN, True)
    state: Any = only(describe_table={"Table": {"TableStatus": "INACCESSIBLE_ENCRYPTION_CREDENTIALS"}})
    monkeypatch.setattr(examination.connection, "dynamodb", lambda: state)
    assert "INACCESSIBLE_ENCRYPTION_CREDENTIALS" in functions.tables(examination).found
