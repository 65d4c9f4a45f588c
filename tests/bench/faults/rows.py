"""The rows of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from imagescribe_ops.local.stack import LocalCloud
from tests.bench.faults import rows_aws, rows_duplicates, rows_endpoint, rows_many, rows_processes, rows_races
from tests.bench.faults.figures import Figures
from tests.bench.faults.scale import Scale


@dataclass(frozen=True, slots=True)
class Row:
    """A fault that is injected.

    Attributes
    ----------
    is_quick
        Whether a small version of it is done in some ten seconds.
    is_slow
        Whether it takes minutes and waits for most of them, so that it may run beside the others.
    """

    run: Callable[[LocalCloud, Scale], Figures]
    is_quick: bool = False
    is_slow: bool = False


ROWS = {
    "every-fault": Row(rows_endpoint.every_fault, is_slow=True),
    "thrice": Row(rows_duplicates.delivered_thrice, is_quick=True),
    "same-picture": Row(rows_duplicates.same_picture, is_quick=True),
    "kills": Row(rows_processes.kills),
    "outage": Row(rows_endpoint.outage),
    "wrong-key": Row(rows_endpoint.wrong_key, is_quick=True),
    "wrong-key-healing": Row(rows_endpoint.wrong_key_healing),
    "spent-credits": Row(rows_endpoint.spent_credits),
    "aws": Row(rows_aws.throttled),
    "races": Row(rows_races.unversioned, is_quick=True),
    "races-versioned": Row(rows_races.versioned),
}

MANY = Row(rows_many.many)
"""Only where it is asked for: it takes as many images as all the others together, times five."""
