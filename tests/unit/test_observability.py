"""Alarms, dashboard and saved queries: what they look at is there, and each alarm leads into the runbook."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from imagescribe.metrics import DIMENSION, NAMESPACE, Metric
from tests import runbook
from tests.sam_template import OBSERVABILITY, load, resources

ALARMS = resources("AWS::CloudWatch::Alarm", OBSERVABILITY)
DASHBOARD = json.loads(resources("AWS::CloudWatch::Dashboard", OBSERVABILITY)["Dashboard"]["DashboardBody"]["Fn::Sub"])
WIDGETS: list[dict[str, Any]] = DASHBOARD["widgets"]
LINES = [(widget, line) for widget in WIDGETS for line in widget["properties"].get("metrics", [])]

STACK, QUEUE = "StackName", "UploadQueueName"
FUNCTIONS = set(resources("AWS::Serverless::Function"))
WATCHED = {(NAMESPACE, metric.value, DIMENSION, STACK) for metric in Metric}
# https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
WATCHED |= {("AWS/Lambda", "Errors", "FunctionName", function) for function in FUNCTIONS}
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
WATCHED |= {("AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", QUEUE)}
"""All that an alarm or a widget may name: namespace, metric, dimension, and the parameter with its value."""


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS)
def test_an_alarm_watches_what_is_emitted_by_exactly_its_dimensions(alarm: dict[str, Any]) -> None:
    (dimension,) = alarm["Dimensions"]
    named = (alarm["Namespace"], alarm["MetricName"], dimension["Name"], dimension["Value"]["Ref"])
    assert named in WATCHED


@pytest.mark.parametrize(("widget", "line"), LINES, ids=[line[1] for _, line in LINES])
def test_a_widget_shows_what_is_emitted_by_exactly_its_dimensions(widget: dict[str, Any], line: list[Any]) -> None:
    namespace, metric, dimension, value, options = line
    assert (namespace, metric, dimension, value.removeprefix("${").removesuffix("}")) in WATCHED
    properties = widget["properties"] | options
    assert properties["stat"]
    assert properties["period"] % 60 == 0
    assert properties["region"] == "${AWS::Region}"


def test_errors_of_every_function_ring() -> None:
    of_errors = [alarm["Dimensions"][0]["Value"]["Ref"] for alarm in ALARMS.values() if alarm["MetricName"] == "Errors"]
    assert set(of_errors) == FUNCTIONS


def test_every_metric_is_shown_or_rings() -> None:
    shown = {line[1] for _, line in LINES} | {alarm["MetricName"] for alarm in ALARMS.values()}
    assert set(Metric) <= shown


def test_every_alarm_is_on_the_dashboard() -> None:
    (widget,) = [widget for widget in WIDGETS if widget["type"] == "alarm"]
    assert set(widget["properties"]["alarms"]) == {f"${{{alarm}.Arn}}" for alarm in ALARMS}


def test_the_widgets_fill_the_grid_without_overlapping() -> None:
    cells = [
        (x, y)
        for widget in WIDGETS
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]
    assert len(cells) == len(set(cells)) == 24 * (1 + max(y for _, y in cells))


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS)
def test_an_alarm_says_what_it_means_and_names_its_section(alarm: dict[str, Any]) -> None:
    title = runbook.section_of(alarm["AlarmDescription"])
    text = runbook.sections()[title]
    parts = [text.find(f"**{part}") for part in ("It means", "Look", "Mend", "Don't")]
    assert -1 not in parts, "what it means, what to look at, what mends it, what not to do"
    assert parts == sorted(parts)
    assert runbook.commands(title)


def test_every_section_of_an_alarm_is_in_the_runbooks_table() -> None:
    intro = runbook.RUNBOOK.read_text(encoding="utf-8").partition("\n## ")[0]
    for title in {runbook.section_of(alarm["AlarmDescription"]) for alarm in ALARMS.values()}:
        assert f"[{title}](#{title.lower().replace(' ', '-')})" in intro


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS)
def test_an_alarm_tells_when_it_begins_and_when_it_is_over(alarm: dict[str, Any]) -> None:
    to_topic, to_mail = (
        {"Fn::If": [f"Has{name}", {"Ref": f"Alarm{ref}"}, {"Ref": "AWS::NoValue"}]}
        for name, ref in (("Topic", "TopicArn"), ("Email", "Topic"))
    )
    assert alarm["AlarmActions"] == alarm["OKActions"] == [to_topic, to_mail]


def test_missing_data_rings_only_where_it_is_looked_for() -> None:
    breaching = {name for name, alarm in ALARMS.items() if alarm["TreatMissingData"] != "notBreaching"}
    assert breaching == {"RecoverNotRunningAlarm", "SnapshotOldAlarm"}


def test_the_stack_hands_the_nested_one_all_that_it_asks_for() -> None:
    nested = resources("AWS::CloudFormation::Stack")["Observability"]
    assert set(nested["Parameters"]) == set(load(OBSERVABILITY)["Parameters"])


def test_the_runbook_says_what_metrics_alarms_and_the_dashboard_cost() -> None:
    # https://aws.amazon.com/cloudwatch/pricing/: custom metrics, standard alarms, dashboards
    usd = 0.30 * len(Metric) + 0.10 * len(ALARMS) + 3
    text = runbook.sections()["What this costs a month"]
    assert f"{len(Metric)} metrics at $0.30, {len(ALARMS)} alarms at $0.10" in text
    assert f"**${usd:.2f}**" in text


def test_the_runbook_names_the_saved_queries() -> None:
    names = [query["Name"]["Fn::Sub"] for query in resources("AWS::Logs::QueryDefinition", OBSERVABILITY).values()]
    numbers = re.findall(r"\b([1-9]) [a-z]", runbook.sections()["Five questions, and where they are answered"])
    assert sorted(name.partition("/")[2][0] for name in names) == numbers
