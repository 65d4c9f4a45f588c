"""Draw the dashboard with a run on the local stack: `uv run python -m tests.bench.dashboard FILE.svg [--minutes N]`.

Uploads come steadily, then in a burst; in the middle the endpoint fails, and later takes no key. The recover function
runs each minute by its schedule. What CloudWatch would make of it is read from the functions' logs, the errors of
functions from the emulator; how old SQS's messages are, the emulator does not tell.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from imagescribe_ops.local.processes import Interrupted, interruptible
from imagescribe_ops.local.stack import LocalCloud
from imagescribe_ops.simulator import BodyKind, ScriptedAnswer
from imagescribe_ops.simulator.limits import LimitKind, RateLimit
from tests.alarm_state import rings
from tests.bench.dashboard.draw import Run, draw
from tests.emf import Point, points
from tests.stack.deployment import Deployment, session_of
from tests.stack.pictures import picture

MINUTE = 60.0
STACK = "imagescribe"
LIMIT = RateLimit(LimitKind.TOKEN_BUCKET, 180)
PARAMETERS = {"DailyBudgetUsd": "25", "RetryBaseSeconds": "1", "MaxAttempts": "3"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and write the picture."""
    parser = argparse.ArgumentParser(prog="tests.bench.dashboard", description=__doc__)
    parser.add_argument("file", type=Path, metavar="FILE.svg")
    parser.add_argument("--minutes", type=int, default=12, help="of the run (default 12)")
    given = parser.parse_args(arguments)
    try:
        with interruptible(), LocalCloud(latency_s=0.5) as cloud:
            given.file.write_text(_picture(cloud, given.minutes), encoding="utf-8")
    except Interrupted as interruption:
        return 128 + interruption.signal_number
    return 0


def _picture(cloud: LocalCloud, minutes: int) -> str:
    deployment = Deployment(cloud.deploy(STACK, parameters=PARAMETERS))
    cloudwatch = session_of(cloud).client("cloudwatch", endpoint_url=cloud.endpoint_url)
    deployment.simulator.configure(limit=LIMIT)
    begin = time.time()
    _live(deployment, begin, minutes)
    end = time.time()
    measured = [*points(deployment.log_lines()), *_errors(cloudwatch, deployment, begin)]
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix=STACK)["MetricAlarms"]
    # Missing data rings where it is looked for, and nobody has looked yet in the first minutes.
    rang = {
        alarm["AlarmName"].removeprefix(f"{STACK}-"): [
            minute
            for minute in range(1, minutes + 1)
            if rings(alarm, measured, begin + MINUTE * minute)
            and (
                alarm["TreatMissingData"] != "breaching"
                or minute * MINUTE > alarm["Period"] * alarm["EvaluationPeriods"]
            )
        ]
        for alarm in alarms
    }
    body: dict[str, Any] = json.loads(
        cloudwatch.get_dashboard(DashboardName=f"{STACK}-{cloud.region}")["DashboardBody"]
    )
    return draw(body["widgets"], Run(measured, begin, end, rang))


def _first(alarm: Mapping[str, Any]) -> int:
    """Return the first minute of the run at which an alarm is looked at: before it, what is missing was never there."""
    is_breaching = alarm["TreatMissingData"] == "breaching"
    return int(alarm["Period"] * alarm["EvaluationPeriods"] / MINUTE) if is_breaching else 1


def _live(deployment: Deployment, begin: float, minutes: int) -> None:
    """Let the stack live through so many minutes, of which each part has its share."""
    share = minutes * MINUTE / 12
    same = picture()
    faults: list[tuple[float, Callable[[], object]]] = [
        (4.0, lambda: deployment.script("", ScriptedAnswer(503, times=None))),
        (5.5, deployment.simulator.reset),
        (7.0, lambda: deployment.simulator.configure(api_key="another-key-0123456789")),
        (8.5, lambda: deployment.simulator.configure(api_key=deployment.stack.cloud.api_key)),
    ]
    number = 0
    while (since := time.time() - begin) < 12 * share:
        while faults and since >= faults[0][0] * share:
            faults.pop(0)[1]()
            deployment.simulator.configure(limit=LIMIT)
        burst = 200 if number == int(90 * share / MINUTE) else 1
        for _ in range(burst):
            number += 1
            if number % 50 == 0:
                deployment.script(f"unreadable/{number}.png", ScriptedAnswer(body_kind=BodyKind.HTML))
                deployment.put(f"unreadable/{number}.png", picture())
            else:
                deployment.put(f"uploads/{number}.png", same if number % 9 == 0 else picture())
        time.sleep(max(0.0, begin + since + 0.9 - time.time()))


def _errors(cloudwatch: Any, deployment: Deployment, begin: float) -> list[Point]:
    function = deployment.outputs.describe_function_name
    found = cloudwatch.get_metric_statistics(
        Namespace="AWS/Lambda",
        MetricName="Errors",
        Dimensions=[{"Name": "FunctionName", "Value": function}],
        StartTime=datetime.fromtimestamp(begin, UTC),
        EndTime=datetime.now(UTC) + timedelta(minutes=1),
        Period=60,
        Statistics=["Sum"],
    )["Datapoints"]
    dimensions = (("FunctionName", function),)
    return [Point("AWS/Lambda", "Errors", dimensions, each["Timestamp"].timestamp(), (each["Sum"],)) for each in found]


if __name__ == "__main__":
    sys.exit(main())
