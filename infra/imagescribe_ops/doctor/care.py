"""Who looks after the stack when nobody looks: schedules, alarms, and what was given up."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from botocore.exceptions import ClientError

from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.display import duration
from imagescribe_ops.doctor.examination import DEPLOY, Examination, anew, is_gone
from imagescribe_ops.doctor.findings import NotCheckedError, Verdict, broken, warning, well

SCHEDULES: Final = {
    "RecoverFunctionEveryMinute": "nothing resumes after a pause, and no dead letter comes back",
    "BackfillFunctionEveryMinute": "no backfill goes on",
    "SnapshotFunctionEveryQuarterOfAnHour": "what is new is searched ever more slowly",
}
"""The rules that invoke functions by the time, and what happens where one does not."""

RECENTLY: Final = {"Recover": (300.0, '"Stalled"'), "Snapshot": (2400.0, '"snapshot"')}
"""Seconds within which a function must have written a word to its log: what the recover function measures each minute,
and what the snapshot function did each quarter of an hour."""

UNCONFIRMED: Final = ("PendingConfirmation", "Deleted")


def schedules(examination: Examination) -> Verdict:
    """Whether the functions that run by the time are invoked."""
    off = []
    for logical_id, consequence in SCHEDULES.items():
        name = examination.resource(logical_id)
        try:
            state = examination.events.describe_rule(Name=name).get("State", "")
        except ClientError as error:
            if not is_gone(error):
                raise
            return broken(
                f"There is no rule {name}: {consequence}.",
                anew(f"the schedule {logical_id}"),
            )
        if state == "DISABLED":
            off.append((name, consequence))
    if off:
        enable = [examination.aws("events", "enable-rule", "--name", name) for name, _ in off]
        found = "\n".join(f"The schedule {name} is disabled: {consequence}." for name, consequence in off)
        return broken(found, "\n".join(f"Enable it: {line}" for line in enable))
    return well(f"all {len(SCHEDULES)} are enabled")


def recover_runs(examination: Examination) -> Verdict:
    """Whether the recover function has come through in the last minutes."""
    return _runs(examination, "Recover", broken)


def snapshot_runs(examination: Examination) -> Verdict:
    """Whether the snapshot function has come through within its time."""
    return _runs(examination, "Snapshot", warning)


def _runs(examination: Examination, kind: str, verdict: Any) -> Verdict:
    seconds, word = RECENTLY[kind]
    now = examination.clock()
    if now - examination.description["CreationTime"].timestamp() < seconds:
        return well("the stack is too young to tell")
    pages = (
        examination.connection.logs()
        .get_paginator("filter_log_events")
        .paginate(
            logGroupName=examination.resource(f"{kind}Logs"),
            startTime=int((now - seconds) * 1000),
            filterPattern=word,
        )
    )
    found = any(page["events"] for page in pages)
    if found:
        return well(f"it has run in the last {duration(seconds)}")
    result: Verdict = verdict(
        f"The {kind.lower()} function has logged nothing in the last {duration(seconds)}.",
        f"See its errors: `sam logs --stack-name {examination.stack}`; "
        "the runbook's section 'Recover not running' tells more.",
    )
    return result


def dead_letters(examination: Examination) -> Verdict:
    """Whether anything was given up."""
    depth = QueueDepth.read(examination.connection, examination.outputs.dead_letter_queue_url)
    if not depth.total:
        return well("none")
    reasons = Counter(each.reason for each in examination.operations.dead_letters()) if depth.visible else Counter()
    by_reason = ", ".join(f"{count} {reason}" for reason, count in reasons.items())
    return warning(
        f"{depth.total} dead letter{'s' if depth.total > 1 else ''}" + (f": {by_reason}." if by_reason else "."),
        "See them with `imagescribe dead-letters show`; once the cause is gone, `imagescribe redrive`.",
    )


# ── Alarms ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def alarms(examination: Examination) -> Verdict:
    """Whether somebody is told of alarms."""
    given = examination.parameters
    topics = {given[name]: name for name in ("AlarmTopicArn",) if given.get(name)}
    if email := given.get("AlarmEmail", ""):
        nested = examination.resources_of(examination.resource("Observability"))
        topic = nested.get("AlarmTopic", "")
        if not topic:
            raise NotCheckedError("The alarms' topic is not in the stack.", f"It may be an older one: {DEPLOY}.")
        topics[topic] = "AlarmEmail"
    if not topics:
        return well("nobody is told of them, as it was deployed (AlarmEmail is empty)")
    sns = examination.client("sns")
    for topic, parameter in topics.items():
        try:
            pages = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic)
            subscriptions = [each for page in pages for each in page["Subscriptions"]]
        except ClientError as error:
            if not is_gone(error):
                raise
            return broken(f"There is no topic {topic} ({parameter}).", f"Give another {parameter}, and {DEPLOY}.")
        if all(each["SubscriptionArn"] in UNCONFIRMED for each in subscriptions):
            address = email or "ADDRESS"
            ask = ["sns", "subscribe", "--topic-arn", topic, "--protocol", "email", "--notification-endpoint", address]
            unconfirmed = ", ".join(each["Endpoint"] for each in subscriptions)
            return broken(
                f"Nobody is told of alarms: {unconfirmed or 'nobody'} has not confirmed."
                if subscriptions
                else f"Nobody is told of alarms: the topic {topic} has no subscriber.",
                f"Confirm it by the link in AWS's mail; it comes again by {examination.aws(*ask)}",
            )
    return well(f"told to {', '.join(topics)}")


def ringing(examination: Examination) -> Verdict:
    """Whether an alarm rings, and whether each would be heard."""
    nested = examination.resources_of(examination.resource("Observability"))
    names = {name for logical_id, name in nested.items() if logical_id.endswith("Alarm")}
    answer = examination.client("cloudwatch").describe_alarms(AlarmNames=sorted(names), MaxRecords=100)
    alarms = {each["AlarmName"]: each for each in answer["MetricAlarms"]}
    ringing = [each for each in alarms.values() if each["StateValue"] == "ALARM"]
    if ringing:
        lines = [f"{each['AlarmName']} rings. {each.get('AlarmDescription', '')}" for each in ringing]
        return warning("\n".join(lines), "Open infra/RUNBOOK.md at the section that it names.")
    silent = sorted(name for name, each in alarms.items() if not each.get("ActionsEnabled", True))
    if silent:
        enable = examination.aws("cloudwatch", "enable-alarm-actions", "--alarm-names", *silent)
        return warning(f"Silenced: {', '.join(silent)}.", f"Let them be heard: {enable}")
    if gone := sorted(names - set(alarms)):
        return warning(f"Not there any more: {', '.join(gone)}.", anew("Observability"))
    return well("none rings")
