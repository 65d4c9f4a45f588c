"""Schedules, what runs by them, dead letters and alarms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from imagescribe_ops.doctor import care
from imagescribe_ops.doctor.examination import Examination
from imagescribe_ops.doctor.findings import NotCheckedError, State, Verdict
from tests.aws_cli import aws_lines
from tests.factories import unique
from tests.unit.ops.doctor.conftest import Make, only
from tests.unit.stack_in_moto import StackInMoto

TOPIC = "arn:aws:sns:eu-central-1:123456789012:on-call"


# ── Schedules ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_schedules_that_are_off_or_gone_are_told_with_what_comes_of_it(examined: Make) -> None:
    examination = examined()
    for logical_id in care.SCHEDULES:
        examination.resources[logical_id] = unique(logical_id)
    recover, backfill, snapshot = (examination.resource(each) for each in care.SCHEDULES)
    for rule in (recover, backfill):
        examination.events.put_rule(Name=rule, ScheduleExpression="rate(1 minute)", State="DISABLED")
    verdict = care.schedules(examination)
    assert f"There is no rule {snapshot}" in verdict.found
    examination.events.put_rule(Name=snapshot, ScheduleExpression="rate(15 minutes)", State="ENABLED")
    verdict = care.schedules(examination)
    assert verdict.state is State.BROKEN
    assert verdict.found.splitlines() == [
        f"The schedule {recover} is disabled: nothing resumes after a pause, and no dead letter comes back.",
        f"The schedule {backfill} is disabled: no backfill goes on.",
    ]
    assert [line.split()[:5] for line in aws_lines(verdict.mend)] == [
        ["aws", "events", "enable-rule", "--name", rule] for rule in (recover, backfill)
    ]


@pytest.mark.parametrize(
    ("check", "state", "word"),
    [(care.recover_runs, "broken", "Stalled"), (care.snapshot_runs, "warning", "snapshot")],
)
def test_what_has_logged_nothing_lately_does_not_run(
    examined: Make,
    monkeypatch: pytest.MonkeyPatch,
    check: Callable[[Examination], Verdict],
    state: str,
    word: str,
) -> None:
    examination = examined()
    examination.resources |= {"RecoverLogs": "recover-logs", "SnapshotLogs": "snapshot-logs"}
    asked: list[dict[str, Any]] = []
    pages: list[dict[str, Any]] = [{"events": []}, {"events": []}]

    def paginate(**parameters: Any) -> Any:
        asked.append(parameters)
        return pages

    logs: Any = only(get_paginator=lambda _: only(paginate=paginate))
    monkeypatch.setattr(examination.connection, "logs", lambda: logs)
    assert check(examination).state == state
    assert asked[0]["filterPattern"] == f'"{word}"'
    assert examination.clock() * 1000 - asked[0]["startTime"] >= 300_000
    pages.append({"events": [{"message": word}]})
    assert check(examination).state is State.WELL


def test_of_a_stack_of_five_minutes_nothing_is_expected_yet(examined: Make) -> None:
    examination = examined()
    created = examination.description["CreationTime"].timestamp()
    examination.clock = lambda: created + 299
    assert care.recover_runs(examination).found == "the stack is too young to tell"


# ── Dead letters ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_dead_letters_are_counted_by_reason(examined: Make, made: StackInMoto) -> None:
    assert care.dead_letters(examined()).state is State.WELL
    for reason in ("transient", "malformed", "transient"):
        made.bury("{}", reason=reason)
    verdict = care.dead_letters(examined())
    assert (verdict.state, verdict.found) == (State.WARNING, "3 dead letters: 2 transient, 1 malformed.")


# ── Alarms ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def subscribed(examined: Make, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Verdict]:
    """The verdict on alarms, where a topic has subscribers, each with an ARN or a word in its place."""

    def look(*arns: str, **parameters: str) -> Verdict:
        examination = examined(**parameters)
        examination.resources["Observability"] = "nested"
        monkeypatch.setattr(examination, "resources_of", lambda _stack: {"AlarmTopic": TOPIC})
        subscriptions = [{"SubscriptionArn": arn, "Endpoint": "ann@example.com"} for arn in arns]
        sns = only(get_paginator=lambda _: only(paginate=[{"Subscriptions": subscriptions}]))
        monkeypatch.setattr(examination, "client", lambda _service: sns)
        return care.alarms(examination)

    return look


def test_where_nobody_was_to_be_told_that_is_said_and_no_fault(subscribed: Callable[..., Verdict]) -> None:
    verdict = subscribed()
    assert (verdict.state, verdict.found[:23]) == (State.WELL, "nobody is told of them,")


@pytest.mark.parametrize("parameters", [{"AlarmEmail": "ann@example.com"}, {"AlarmTopicArn": TOPIC}])
def test_alarms_are_told_to_who_confirmed(subscribed: Callable[..., Verdict], parameters: dict[str, str]) -> None:
    assert subscribed("PendingConfirmation", f"{TOPIC}:1", **parameters).state is State.WELL
    pending = subscribed("PendingConfirmation", "Deleted", **parameters)
    assert (pending.state, "ann@example.com has not confirmed" in pending.found) == (State.BROKEN, True)
    assert f"sns subscribe --topic-arn {TOPIC} --protocol email" in aws_lines(pending.mend)[0]
    nobody = subscribed(**parameters)
    assert (nobody.state, "has no subscriber" in nobody.found) == (State.BROKEN, True)


def test_alarms_that_ring_are_silenced_or_gone_are_told(examined: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    examination = examined()
    examination.resources["Observability"] = "nested"
    names = {"DeadLettersAlarm": "moto-dead-letters", "StalledAlarm": "moto-stalled", "Dashboard": "moto"}
    monkeypatch.setattr(examination, "resources_of", lambda _stack: names)
    alarms = [{"AlarmName": name, "StateValue": "OK", "ActionsEnabled": True} for name in list(names.values())[:2]]
    cloudwatch = only(
        describe_alarms=lambda **asked: {"MetricAlarms": [*alarms] if len(asked["AlarmNames"]) == 2 else []}
    )
    monkeypatch.setattr(examination, "client", lambda _service: cloudwatch)
    assert care.ringing(examination).state is State.WELL
    alarms[0] |= {"ActionsEnabled": False}
    silenced = care.ringing(examination)
    assert (silenced.state, silenced.found) == (State.WARNING, "Silenced: moto-dead-letters.")
    assert "enable-alarm-actions --alarm-names moto-dead-letters" in aws_lines(silenced.mend)[0]
    alarms[1] |= {"StateValue": "ALARM", "AlarmDescription": "It means … Runbook: Stalled."}
    assert care.ringing(examination).found == "moto-stalled rings. It means … Runbook: Stalled."
    del alarms[0]
    alarms[0] |= {"StateValue": "OK"}
    assert care.ringing(examination).found == "Not there any more: moto-dead-letters."


def test_a_mail_topic_that_the_stack_lacks_is_not_checked(examined: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    examination = examined(AlarmEmail="ann@example.com")
    examination.resources["Observability"] = "nested"
    monkeypatch.setattr(examination, "resources_of", lambda _stack: {})
    with pytest.raises(NotCheckedError, match="topic is not in the stack"):
        care.alarms(examination)
