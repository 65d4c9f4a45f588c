"""Each alarm is made to ring by a fault, its mail leads to a section of the runbook, and the commands there mend it.

The emulator makes no metrics of the lines that the functions write, so the tests read those as CloudWatch would, and
reckon an alarm's state by its rules. That it tells its topic is the emulator's own doing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from imagescribe.metrics import Metric
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.simulator import BodyKind, ScriptedAnswer
from tests.alarm_state import rings
from tests.emf import Point, points
from tests.sam_template import OBSERVABILITY, resources
from tests.stack.conftest import Stacks
from tests.stack.pictures import picture
from tests.stack.watch import Watch, lasting

WRONG_KEY = "a-wrong-key-0123456789"


@pytest.fixture(autouse=True)
def _well(watch: Watch) -> Iterator[None]:
    """Whatever a test has broken is whole again after it."""
    yield
    watch.deployment.simulator.reset()
    watch.imagescribe("resume")


def test_where_all_is_well_no_alarm_rings(watch: Watch) -> None:
    watch.deployment.put("well.png", picture())
    watch.deployment.until_described("well.png")
    watch.deployment.until_idle()
    measured = lasting(watch.minute(), 35) + lasting(watch.snapshot(), 120, every=900)
    ours = [name for name, alarm in watch.alarms.items() if alarm["Namespace"] == "ImageScribe"]
    assert len(ours) == 7
    assert [name for name in ours if watch.rings(name, measured)] == []


def test_a_wrong_key_is_told_and_the_right_one_heals_it(stacks: Stacks, watch: Watch) -> None:
    stacks.keys.add(WRONG_KEY)
    outputs = watch.deployment.outputs
    watch.deployment.secretsmanager.put_secret_value(SecretId=outputs.api_key_secret_arn, SecretString=WRONG_KEY)
    watch.restart(outputs.describe_function_name)  # it keeps a key that it has read
    watch.deployment.put("locked-out.png", picture())
    watch.deployment.until_status("waiting", "locked-out.png")
    assert watch.rings("paused-by-account", watch.minute())
    watch.follow(watch.section("paused-by-account"), typed=f"{stacks.cloud.api_key}\n")
    watch.deployment.until_described("locked-out.png", seconds=150)
    assert not watch.rings("paused-by-account", watch.minute())


def test_an_empty_balance_is_told_and_a_resume_after_it_was_filled_heals_it(watch: Watch) -> None:
    watch.deployment.simulator.configure(credits_usd=0.0)
    watch.deployment.put("penniless.png", picture())
    watch.deployment.until_status("waiting", "penniless.png")
    assert watch.rings("paused-by-account", watch.minute())
    watch.deployment.simulator.configure(credits_usd=100.0)
    watch.imagescribe("resume")
    watch.deployment.until_described("penniless.png", seconds=150)
    assert not watch.rings("paused-by-account", watch.minute())


def test_an_endpoint_that_fails_is_told_after_half_an_hour(watch: Watch) -> None:
    keys = [f"failing/{number}.png" for number in range(24)]
    watch.deployment.script("failing/", ScriptedAnswer(503, times=None))
    for key in keys:
        watch.deployment.put(key, picture())

    def paused() -> list[Point] | None:
        measured = watch.minute()
        return measured if watch.rings("paused-by-endpoint", lasting(measured, 30)) else None

    measured = watch.deployment.until(paused, "the breaker is open by the endpoint's failures")
    assert not watch.rings("paused-by-endpoint", lasting(measured, 24)), "sooner it is nobody's concern"
    watch.deployment.simulator.reset()
    watch.follow(watch.section("paused-by-endpoint"))
    assert watch.imagescribe("status").find("the endpoint is down") > 0
    watch.imagescribe("resume")
    watch.imagescribe("redrive", "--reason", "transient")
    watch.deployment.put("after-the-outage.png", picture())  # what was told to wait meanwhile comes later
    watch.deployment.until_described("after-the-outage.png")
    assert not watch.rings("paused-by-endpoint", lasting(watch.minute(), 30))


def test_a_spent_budget_is_told_and_a_larger_one_heals_it(watch: Watch) -> None:
    outputs = watch.deployment.outputs
    functions = (outputs.describe_function_name, outputs.recover_function_name)
    for function in functions:  # as a deployment with another DailyBudgetUsd would
        watch.set_variables(function, IMAGESCRIBE_DAILY_BUDGET_USD="0.015")
    watch.deployment.put("too-dear.png", picture())
    record = watch.deployment.until_status("waiting", "too-dear.png")["too-dear.png"]
    assert "paused by the budget" in record["error"]
    measured = watch.minute()
    assert watch.rings("budget-spent", measured)
    assert [point.values for point in measured if point.name == Metric.BUDGET_LEFT_USD] == [(0.0,)]
    watch.follow(watch.section("budget-spent"))
    for function in functions:
        watch.set_variables(function, IMAGESCRIBE_DAILY_BUDGET_USD="25")
    watch.imagescribe("resume")
    watch.deployment.until_described("too-dear.png", seconds=200)  # in flight while it was resumed: within two minutes
    assert not watch.rings("budget-spent", watch.minute())


def test_a_stalled_queue_is_told_and_an_enabled_mapping_heals_it(watch: Watch) -> None:
    deployment = watch.deployment
    mappings = deployment.lambda_functions.list_event_source_mappings(
        FunctionName=deployment.outputs.describe_function_name
    )["EventSourceMappings"]
    for mapping in mappings:
        deployment.lambda_functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    deployment.put("stalled.png", picture())
    deployment.until(lambda: deployment.depth().visible > 0, "the upload is in the queue")
    assert not watch.rings("stalled", watch.minute())
    watch.let_standstill_age(15 * 60)
    assert watch.rings("stalled", watch.minute())
    watch.follow(watch.section("stalled"))
    deployment.until_described("stalled.png")
    assert not watch.rings("stalled", watch.minute())


def test_a_dead_letter_is_told_and_a_retry_heals_it(watch: Watch) -> None:
    deployment = watch.deployment
    deployment.script("dead.png", ScriptedAnswer(body_kind=BodyKind.HTML))
    upload = deployment.put("dead.png", picture())
    deployment.until_status("dead", "dead.png")
    url = deployment.outputs.dead_letter_queue_url
    deployment.until(lambda: QueueDepth.read(deployment.stack.connection, url).total == 1, "its dead letter")
    assert watch.rings("dead-letters", watch.minute())
    # As if the functions had learned to read what the endpoint answers.
    deployment.stack.connection.dynamodb().update_item(
        TableName=deployment.outputs.ledger_table_name,
        Key={"content": {"S": upload.content}},
        UpdateExpression="SET body = :body",
        ExpressionAttributeValues={":body": {"S": '["now it can be read"]'}},
    )
    watch.follow(watch.section("dead-letters"), s3uri=upload.image)
    deployment.until(lambda: (deployment.record("dead.png") or {})["status"] == "described", "it is described")
    assert not watch.rings("dead-letters", watch.minute())


def test_an_upload_of_eleven_days_is_told_before_the_queue_drops_it(watch: Watch) -> None:
    alarm = watch.alarms["oldest-upload"]
    queue = watch.deployment.outputs.upload_queue_url.rpartition("/")[2]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": queue}]

    def aged(days: int) -> list[Point]:  # only SQS itself measures this, and the emulator does not
        age = float(days * 86_400)
        return [Point("AWS/SQS", alarm["MetricName"], (("QueueName", queue),), time.time(), (age,))]

    assert not watch.rings("oldest-upload", aged(9))
    assert watch.rings("oldest-upload", aged(11))
    watch.follow(watch.section("oldest-upload"))


@pytest.mark.parametrize("function", ["describe", "recover", "backfill", "snapshot", "query"])
def test_a_function_that_fails_again_and_again_is_told(watch: Watch, function: str) -> None:
    outputs = watch.deployment.outputs
    name = getattr(outputs, f"{function}_function_name")
    functions = watch.deployment.lambda_functions
    handler = functions.get_function_configuration(FunctionName=name)["Handler"]
    functions.update_function_configuration(FunctionName=name, Handler="imagescribe.handlers.nowhere.handler")
    assert "FunctionError" in functions.invoke(FunctionName=name, Payload=b"{}")
    errors = watch.errors(name)
    functions.update_function_configuration(FunctionName=name, Handler=handler)
    assert not watch.rings(f"{function}-errors", errors), "a single error heals"
    assert watch.rings(f"{function}-errors", lasting(errors, 30, every=300))
    section = watch.section(f"{function}-errors")
    assert section == "Errors of a function"
    if function == "recover":
        watch.follow(section)


def test_a_recover_function_that_does_not_run_is_told(watch: Watch) -> None:
    measured = watch.minute()
    alarm, last = watch.alarms["recover-not-running"], max(point.at for point in measured)
    assert not rings(alarm, measured, last + 4 * 60)
    assert rings(alarm, measured, last + 5 * 60)
    watch.follow(watch.section("recover-not-running"))


def test_an_index_that_is_not_made_afresh_is_told_and_one_that_is_heals_it(watch: Watch) -> None:
    alarm = watch.alarms["snapshot-old"]
    (fresh,) = [point for point in watch.snapshot() if point.name == Metric.SNAPSHOT_AGE_SECONDS]
    assert not rings(alarm, [fresh], fresh.at + 6_299)
    assert rings(alarm, [fresh], fresh.at + 7_200), "it did not run for two hours"
    watch.let_snapshot_age(90_000)
    snapshot_function = watch.deployment.outputs.snapshot_function_name
    with watch.deployment.without("ReadEveryRecord", "dynamodb:Scan", function=snapshot_function):
        watch.restart(snapshot_function)
        old = watch.snapshot(fails=True)
    well_before = replace(fresh, at=max(point.at for point in old) - 105 * 60)
    assert not watch.rings("snapshot-old", [*lasting(old, 105, every=900), well_before])
    assert watch.rings("snapshot-old", lasting(old, 120, every=900))
    watch.follow(watch.section("snapshot-old"))
    assert not watch.rings("snapshot-old", lasting(watch.snapshot(), 120, every=900))


def test_every_alarm_tells_also_when_it_is_over(watch: Watch) -> None:
    for name in watch.alarms:
        watch.told(name, "ALARM")
        watch.told(name, "OK")


def test_every_metric_that_an_alarm_or_a_widget_names_is_emitted(watch: Watch) -> None:
    deployment = watch.deployment
    for name, status in {"limited": 429, "transient": 503, "rejected": 422, "fault": 402}.items():
        deployment.script(f"each/{name}.png", ScriptedAnswer(status))
    deployment.script("each/unreadable.png", ScriptedAnswer(body_kind=BodyKind.HTML))
    same = picture()
    deployment.put("each/first.png", same)
    deployment.until_described("each/first.png")
    deployment.put("each/copy.png", same)
    for name in ("limited", "transient", "rejected", "unreadable"):
        deployment.put(f"each/{name}.png", picture())
    deployment.until_described("each/copy.png", "each/limited.png", "each/transient.png")
    deployment.until_status("rejected", "each/rejected.png")
    deployment.until_status("dead", "each/unreadable.png")
    with deployment.without("ReadTheApiKey", "secretsmanager:GetSecretValue"):
        watch.restart(deployment.outputs.describe_function_name)  # it keeps a key that it has read
        deployment.put("each/denied.png", picture())
        deployment.until(lambda: Metric.OWN_FAILURES in _emitted(watch), "our own failure is counted")
    deployment.until_described("each/denied.png")
    deployment.put("each/fault.png", picture())
    deployment.until_status("waiting", "each/fault.png")
    watch.minute()
    watch.snapshot()
    assert _emitted(watch) == set(Metric)


def test_the_lines_of_outcomes_have_what_the_saved_queries_ask_for(watch: Watch) -> None:
    lines = [json.loads(line) for line in watch.deployment.log_lines() if line.startswith("{")]
    outcomes = [line for line in lines if line.get("message") in ("done", "deferred", "dead letter")]
    assert {line["message"] for line in outcomes} == {"done", "deferred", "dead letter"}
    for line in outcomes:
        assert line["request_id"]
        assert line["message_id"]
        assert "image" in line
    known = {name for line in lines for name in line}
    for query in resources("AWS::Logs::QueryDefinition", OBSERVABILITY).values():
        (fields,) = [line for line in query["QueryString"].splitlines() if line.startswith("fields ")]
        asked = {name.strip() for name in fields.removeprefix("fields ").split(",")}
        assert {name for name in asked if not name.startswith("@")} <= known, query["Name"]


def _emitted(watch: Watch) -> set[str]:
    """What the stack has measured so far, with the dimension that alarms and widgets name."""
    stack = (("service", watch.deployment.stack.name),)
    found = points(watch.deployment.log_lines())
    return {point.name for point in found if (point.namespace, point.dimensions) == ("ImageScribe", stack)}
