"""The metrics: what is counted, under which name and in which unit.

They are written to the log, one line for a batch or a run, and CloudWatch makes metrics of them: nothing is requested
for them. Their one dimension is `service`, the stack's name: each value of a dimension is a metric that is paid for.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Final

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from imagescribe.model.answers import AccountFault, Answer, Description, Limited, Rejected, Transient

NAMESPACE: Final = "ImageScribe"
DIMENSION: Final = "service"
"""Powertools' own; its value is what the template sets as POWERTOOLS_SERVICE_NAME, the stack's name."""


class Metric(StrEnum):
    """What is measured. The unit is a count where UNITS has no other."""

    # By the describe function, in each batch in which there is something to tell.
    DESCRIBED = "Described"
    SECONDS_TO_PROMPT = "SecondsToPrompt"  # from the upload on, and of uploads only
    COPIES = "Copies"  # described for nothing, from the ledger
    PAID_CALLS = "PaidCalls"
    SPENT_USD = "SpentUsd"  # as it counts against the budget
    LIMITED = "Limited"  # 429
    TRANSIENT_FAILURES = "TransientFailures"
    ACCOUNT_FAULTS = "AccountFaults"
    REJECTED = "Rejected"
    UNREADABLE = "Unreadable"
    OWN_FAILURES = "OwnFailures"  # an AWS service's, or a bug

    # By the recover function, each minute.
    PERMITTED_PER_MINUTE = "PermittedPerMinute"
    PAUSED_BY_OPERATOR = "PausedByOperator"  # 1 or 0, as all that follow with such a name
    PAUSED_BY_ACCOUNT = "PausedByAccount"
    PAUSED_BY_ENDPOINT = "PausedByEndpoint"
    BUDGET_SPENT = "BudgetSpent"
    BUDGET_LEFT_USD = "BudgetLeftUsd"  # where there is a budget
    WAITING_UPLOADS = "WaitingUploads"
    WAITING_BACKFILL = "WaitingBackfill"
    OLDEST_WAITING_SECONDS = "OldestWaitingSeconds"  # since its upload
    DEAD_LETTERS = "DeadLetters"  # that stay after the run
    STALLED = "Stalled"

    # By the snapshot function, each quarter of an hour.
    SNAPSHOT_AGE_SECONDS = "SnapshotAgeSeconds"  # since when the catalog was as the index of prompts has it


UNITS: Final = {
    Metric.SECONDS_TO_PROMPT: MetricUnit.Seconds,
    Metric.OLDEST_WAITING_SECONDS: MetricUnit.Seconds,
    Metric.SNAPSHOT_AGE_SECONDS: MetricUnit.Seconds,
    Metric.SPENT_USD: MetricUnit.NoUnit,
    Metric.BUDGET_LEFT_USD: MetricUnit.NoUnit,
}


class Metrics:
    """What was measured and not written yet. Threads may add side by side; one at a time writes."""

    def __init__(self) -> None:
        self._emf = EphemeralMetrics(namespace=NAMESPACE)
        self._values: deque[tuple[Metric, float]] = deque()  # whose append and popleft are atomic

    def add(self, metric: Metric, value: float = 1.0) -> None:
        """Keep a value for the next line."""
        self._values.append((metric, value))

    def answered(self, answer: Answer, price_usd: float) -> None:
        """Count what a call brought, and what it is taken to have cost."""
        match answer:
            case Description(cost_usd=cost, prompt=prompt):
                self.add(Metric.PAID_CALLS)
                self.add(Metric.SPENT_USD, cost)
                if prompt is None:
                    self.add(Metric.UNREADABLE)
            case Limited():
                self.add(Metric.LIMITED)
            case Transient(may_be_billed=may_be_billed):
                self.add(Metric.TRANSIENT_FAILURES)
                if may_be_billed:
                    self.add(Metric.SPENT_USD, price_usd)
            case AccountFault():
                self.add(Metric.ACCOUNT_FAULTS)
            case Rejected():
                self.add(Metric.REJECTED)

    def flush(self) -> None:
        """Write one line of all that was added since the last; none if nothing was."""
        values: dict[Metric, list[float]] = {}
        while self._values:
            metric, value = self._values.popleft()
            values.setdefault(metric, []).append(value)
        for metric, each in values.items():
            # A distribution keeps its values; of the rest only the sum is asked for.
            for value in each if metric is Metric.SECONDS_TO_PROMPT else [sum(each)]:
                self._emf.add_metric(metric, UNITS.get(metric, MetricUnit.Count), round(value, 6))
        if values:
            self._emf.flush_metrics()
