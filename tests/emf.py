"""Lines of a log in CloudWatch's embedded metric format, read as CloudWatch reads them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

MAX_METRICS = 100  # of a directive, and values of a metric
UNITS = {"Count", "Seconds", "None"}  # of those that CloudWatch knows, the ones that are used


@dataclass(frozen=True, slots=True)
class Point:
    """One line's values of one metric.

    Attributes
    ----------
    at
        Epoch seconds.
    """

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    at: float
    values: tuple[float, ...]


def points(lines: Iterable[str]) -> list[Point]:
    """Return what CloudWatch would make of some lines; those that are no metrics say nothing."""
    return [point for line in lines if '"_aws"' in line for point in _points(json.loads(line))]


def _points(line: Mapping[str, Any]) -> Iterator[Point]:
    stamp, directives = line["_aws"]["Timestamp"], line["_aws"]["CloudWatchMetrics"]
    assert isinstance(stamp, int), "the time is in whole milliseconds"
    assert len(directives) == 1
    directive = directives[0]
    assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
    assert 0 < len(directive["Metrics"]) <= MAX_METRICS
    for names in directive["Dimensions"]:
        dimensions = tuple((name, line[name]) for name in sorted(names))
        assert all(isinstance(value, str) and value for _, value in dimensions)
        for metric in directive["Metrics"]:
            assert set(metric) == {"Name", "Unit"}
            assert metric["Unit"] in UNITS
            values = line[metric["Name"]]
            assert 0 < len(values) <= MAX_METRICS
            assert all(isinstance(value, float) for value in values)
            yield Point(directive["Namespace"], metric["Name"], dimensions, stamp / 1000, tuple(values))
