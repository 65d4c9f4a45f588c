"""Whether an alarm rings, by the rules of CloudWatch: periods, a statistic, so many of so many, and what is missing.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tests.emf import Point

STATISTICS: dict[str, Callable[[Sequence[float]], float]] = {
    "Maximum": max,
    "Minimum": min,
    "Sum": sum,
    "SampleCount": len,
}
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanOrEqualToThreshold": operator.ge,
    "GreaterThanThreshold": operator.gt,
    "LessThanThreshold": operator.lt,
}


def rings(alarm: Mapping[str, Any], points: Iterable[Point], now: float) -> bool:
    """Whether an alarm, as CloudWatch or the template describes it, is in the state ALARM at a time (epoch seconds)."""
    dimensions = tuple(sorted((each["Name"], each["Value"]) for each in alarm["Dimensions"]))
    watched = [
        point
        for point in points
        if (point.namespace, point.name, point.dimensions) == (alarm["Namespace"], alarm["MetricName"], dimensions)
    ]
    breaching = 0
    for period in range(alarm["EvaluationPeriods"]):
        end = now - period * alarm["Period"]
        values = [value for point in watched if end - alarm["Period"] < point.at <= end for value in point.values]
        if values:
            measured = STATISTICS[alarm["Statistic"]](values)
            breaching += COMPARISONS[alarm["ComparisonOperator"]](measured, alarm["Threshold"])
        else:
            breaching += alarm["TreatMissingData"] == "breaching"
    needed: int = alarm.get("DatapointsToAlarm") or alarm["EvaluationPeriods"]
    return breaching >= needed
