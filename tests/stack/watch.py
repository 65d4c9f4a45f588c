"""A stack that is watched: what it measures, whether an alarm rings by it, who is told, and the runbook's commands."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from typer.testing import CliRunner

from imagescribe.query.snapshot import KEY
from imagescribe.stores.notebook import RECOVERY_KEY
from imagescribe_ops.commands.main import app
from tests import runbook
from tests.alarm_state import rings
from tests.emf import Point, points
from tests.factories import ROOT
from tests.stack.deployment import Deployment

MINUTE = 60.0


class Watch:
    """The stack, its alarms, and a queue that hears of them.

    Parameters
    ----------
    heard
        The URL of a queue that is subscribed to the alarms' topic.
    """

    def __init__(self, deployment: Deployment, cloudwatch: Any, heard: str) -> None:
        self.deployment = deployment
        self.cloudwatch = cloudwatch
        self._heard = heard
        prefix = f"{deployment.stack.name}-"
        self.alarms: dict[str, dict[str, Any]] = {
            alarm["AlarmName"].removeprefix(prefix): alarm
            for alarm in cloudwatch.describe_alarms(AlarmNamePrefix=prefix)["MetricAlarms"]
        }

    # What is measured

    def minute(self) -> list[Point]:
        """Let the recover function run as it does each minute, and return what it measures."""
        began = int(time.time() * 1000) / 1000
        answer = self.deployment.lambda_functions.invoke(FunctionName=self.deployment.outputs.recover_function_name)
        assert "FunctionError" not in answer, answer["Payload"].read()
        return [point for point in points(self.deployment.log_lines()) if point.at >= began]

    def snapshot(self, *, fails: bool = False) -> list[Point]:
        """Let the snapshot function run as it does each quarter of an hour, and return what it measures."""
        began = int(time.time() * 1000) / 1000
        answer = self.deployment.lambda_functions.invoke(FunctionName=self.deployment.outputs.snapshot_function_name)
        assert ("FunctionError" in answer) == fails, answer["Payload"].read()
        return [point for point in points(self.deployment.log_lines()) if point.at >= began]

    def errors(self, function: str) -> list[Point]:
        """Return a function's errors, which Lambda itself measures."""
        now = datetime.now(UTC)
        found = self.cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName="Errors",
            Dimensions=[{"Name": "FunctionName", "Value": function}],
            StartTime=now - timedelta(minutes=10),
            EndTime=now + timedelta(minutes=1),
            Period=60,
            Statistics=["Sum"],
        )["Datapoints"]
        dimensions = (("FunctionName", function),)
        return [
            Point("AWS/Lambda", "Errors", dimensions, each["Timestamp"].timestamp(), (each["Sum"],)) for each in found
        ]

    def rings(self, name: str, measured: Sequence[Point]) -> bool:
        """Whether an alarm rings by what was measured, as soon as it was."""
        return rings(self.alarms[name], measured, max(point.at for point in measured))

    # Who is told

    def told(self, name: str, state: str) -> dict[str, Any]:
        """Set an alarm's state, as CloudWatch does, and return what the topic's subscribers are told."""
        alarm = self.alarms[name]["AlarmName"]
        for each in ("INSUFFICIENT_DATA", state):  # only a change is told
            self.cloudwatch.set_alarm_state(AlarmName=alarm, StateValue=each, StateReason="as a test wants it")

        def message() -> dict[str, Any] | None:
            for each in self.deployment.sqs.receive_message(QueueUrl=self._heard, MaxNumberOfMessages=10).get(
                "Messages", []
            ):
                self.deployment.sqs.delete_message(QueueUrl=self._heard, ReceiptHandle=each["ReceiptHandle"])
                told: dict[str, Any] = json.loads(json.loads(each["Body"])["Message"])
                if (told["AlarmName"], told["NewStateValue"]) == (alarm, state):
                    return told
            return None

        return self.deployment.until(message, f"{alarm} tells of {state}")

    def section(self, name: str) -> str:
        """Return the runbook's section that the mail of an alarm leads to."""
        return runbook.section_of(self.told(name, "ALARM")["AlarmDescription"])

    # What the runbook says

    def follow(self, section: str, *, typed: str = "", s3uri: str = "") -> None:
        """Run a section's commands one after the other, as somebody would who pastes them."""
        for command in runbook.commands(section):
            words = [s3uri if word == "s3://BUCKET/KEY" else word for word in command]
            if words[:3] == ["uv", "run", "imagescribe"]:
                self.imagescribe(*words[3:], typed=typed)
            else:
                self._shell([self.deployment.stack.name if word == "imagescribe" else word for word in words])

    def imagescribe(self, *words: str, typed: str = "") -> str:
        """Run a command of ours on the stack, and return what it says."""
        result = CliRunner().invoke(
            app, [*words, "--stack", self.deployment.stack.name], input=typed, env=self._environment
        )
        # An audit ends with 1 where it has found something.
        assert result.exit_code in ((0, 1) if words[0] == "audit" else (0,)), (words, result.output)
        return result.output

    def _shell(self, words: Sequence[str]) -> None:
        done = subprocess.run(
            words,
            cwd=ROOT,
            env=os.environ | self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)

    @property
    def _environment(self) -> dict[str, str]:
        cloud = self.deployment.stack.cloud
        return {
            "AWS_ENDPOINT_URL": cloud.endpoint_url,
            "AWS_REGION": cloud.region,
            "AWS_DEFAULT_REGION": cloud.region,
            "AWS_ACCESS_KEY_ID": cloud.credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": cloud.credentials.secret_access_key,
            "SAM_CLI_TELEMETRY": "0",
        }

    # Faults

    def set_variables(self, function: str, **variables: str) -> dict[str, str]:
        """Set variables of a function as another deployment would, and return those of before."""
        functions = self.deployment.lambda_functions
        before = functions.get_function_configuration(FunctionName=function)["Environment"]["Variables"]
        functions.update_function_configuration(
            FunctionName=function, Environment={"Variables": {**before, **variables}}
        )
        return before

    def restart(self, function: str) -> None:
        """Let the next invocation of a function be a cold start."""
        self.set_variables(function, A_START=str(time.time_ns()))

    def let_snapshot_age(self, seconds: float) -> None:
        """Let the index of prompts be of so much earlier."""
        place = {"Bucket": self.deployment.outputs.index_bucket_name, "Key": KEY}
        stands = self.deployment.s3.get_object(**place)  # type: ignore[arg-type]
        facts = {**stands["Metadata"], "complete-until": str(int(1000 * (time.time() - seconds)))}
        self.deployment.s3.put_object(**place, Body=stands["Body"].read(), Metadata=facts)  # type: ignore[arg-type]

    def let_standstill_age(self, seconds: float) -> None:
        """Let a standstill that was noted have begun so much earlier."""
        self.deployment.stack.connection.dynamodb().update_item(
            TableName=self.deployment.outputs.ledger_table_name,
            Key={"content": {"S": RECOVERY_KEY["content"]}},
            UpdateExpression="SET since = since - :seconds",
            ConditionExpression="since > :seconds",
            ExpressionAttributeValues={":seconds": {"N": str(int(seconds))}},
        )


def lasting(measured: Sequence[Point], minutes: int, every: float = MINUTE) -> list[Point]:
    """What would have been measured, had it been the same for so many minutes."""
    earlier = range(int(minutes * MINUTE / every))
    return [replace(point, at=point.at - every * number) for point in measured for number in earlier]
