"""The queues and who takes from them: what lets uploads in, and the event source mappings."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from imagescribe.stores.notebook import Notebook
from imagescribe_ops.doctor import policies
from imagescribe_ops.doctor.examination import DEPLOY, Examination, is_gone
from imagescribe_ops.doctor.findings import NotCheckedError, Verdict, broken, warning, well
from imagescribe_ops.doctor.policies import Answer, Request
from imagescribe_ops.standing import pause_sentence

if TYPE_CHECKING:
    from mypy_boto3_lambda.type_defs import EventSourceMappingConfigurationTypeDef

EVENTS: Final = "events.amazonaws.com"


def queue_policy(examination: Examination) -> Verdict:
    """Whether the queues let the rule send: uploads, and what it can't deliver."""
    outputs = examination.outputs
    for url in (outputs.dead_letter_queue_url, outputs.upload_queue_url, outputs.backfill_queue_url):
        if url and not _is_there(examination, url):
            return broken(
                f"There is no queue {url}.",
                f"Make it again, and look again for its policy: {_create_queue(examination, url)}",
            )
    uploads, dead = (_lets_in(examination, url) for url in (outputs.upload_queue_url, outputs.dead_letter_queue_url))
    if uploads is Answer.UNKNOWN:
        raise NotCheckedError(
            "The upload queue's policy has conditions that can't be judged from here.",
            "See what arrives: `imagescribe doctor --try`.",
        )
    if uploads is not Answer.ALLOWED:
        return broken(
            "The upload queue's policy does not let the rule send: uploads go to the dead letters, or nowhere.",
            f"Set the policy: {_set_policy(examination, outputs.upload_queue_url)}",
        )
    if dead is not Answer.ALLOWED:
        return warning(
            "The dead-letter queue's policy does not let the rule send: what it can't deliver is lost.",
            f"Set the policy: {_set_policy(examination, outputs.dead_letter_queue_url)}",
        )
    return well("it lets the rule send")


def _lets_in(examination: Examination, url: str) -> Answer:
    arn = examination.queue_arn(url)
    return policies.ask(_policy(examination, url), _delivery(examination, arn))


def _delivery(examination: Examination, queue_arn: str) -> Request:
    """Return what EventBridge asks of a queue."""
    context = {
        "aws:sourcearn": examination.rule_arn(examination.resource("UploadRule")),
        "aws:sourceaccount": examination.account,
        "aws:securetransport": "true",
        "aws:principalisawsservice": "true",
    }
    return Request([EVENTS], "sqs:SendMessage", queue_arn, context)


def _is_there(examination: Examination, url: str) -> bool:
    try:
        examination.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    except ClientError as error:
        if is_gone(error):
            return False
        raise
    return True


def _create_queue(examination: Examination, url: str) -> str:
    dead = examination.outputs.dead_letter_queue_url
    attributes = {"MessageRetentionPeriod": "1209600"}  # as the template has it
    if url != dead:
        redrive = {"deadLetterTargetArn": examination.queue_arn(dead), "maxReceiveCount": 20}
        attributes |= {"VisibilityTimeout": "720", "RedrivePolicy": json.dumps(redrive)}
    name = url.rpartition("/")[2]
    return examination.aws("sqs", "create-queue", "--queue-name", name, "--attributes", json.dumps(attributes))


def _policy(examination: Examination, url: str) -> dict[str, Any]:
    answer = examination.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    policy: dict[str, Any] = json.loads(answer.get("Attributes", {}).get("Policy", "") or "{}")
    return policy


def _set_policy(examination: Examination, url: str) -> str:
    """Return what sets the policy anew: with the rule let in, without what denies it, and else as it is."""
    arn = examination.queue_arn(url)
    policy = {"Version": "2012-10-17", "Statement": []} | _policy(examination, url)
    statement = {
        "Sid": "UploadRule",
        "Effect": "Allow",
        "Principal": {"Service": EVENTS},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": examination.rule_arn(examination.resource("UploadRule"))}},
    }
    others = [
        each
        for each in policy["Statement"]
        if each.get("Sid") != statement["Sid"]
        and policies.ask({"Statement": [each]}, _delivery(examination, arn)) is not Answer.DENIED
    ]
    attributes = json.dumps({"Policy": json.dumps(policy | {"Statement": [*others, statement]})})
    return examination.aws("sqs", "set-queue-attributes", "--queue-url", url, "--attributes", attributes)


# ── The event source mappings ────────────────────────────────────────────────────────────────────────────────────────


def uploads_mapping(examination: Examination) -> Verdict:
    """Whether the describe function receives uploads."""
    return _mapping(examination, examination.outputs.upload_queue_url, "uploads")


def backfill_mapping(examination: Examination) -> Verdict:
    """Whether the describe function receives what backfills send."""
    url = examination.outputs.backfill_queue_url
    if not url:
        raise NotCheckedError("The stack has no backfill queue.", f"It may be an older one: {DEPLOY}.")
    return _mapping(examination, url, "what backfills send")


def _mapping(examination: Examination, url: str, what: str) -> Verdict:
    queue = examination.queue_arn(url)
    of_queue = (each for each in examination.mappings if each.get("EventSourceArn") == queue)
    mapping = next((each for each in of_queue if each.get("State") != "Deleting"), None)
    if mapping is None:
        return broken(
            f"The describe function has no event source mapping of the queue: {what} are never received.",
            f"Make one: {_create_mapping(examination, queue)}",
        )
    if verdict := _losing(examination, mapping):
        return verdict
    state = mapping.get("State", "")
    if state not in ("Disabled", "Disabling"):
        return well("received" if state == "Enabled" else f"the event source mapping is {state.lower()}")
    if paused := pause_sentence(examination.intake):
        return warning(f"Disabled on purpose. {paused}.", "End the pause with `imagescribe resume`.")
    notes = Notebook(examination.connection.dynamodb(), examination.outputs.ledger_table_name).read()
    if notes.intake_disabled:
        return warning(
            "Disabled by a pause that is over: it is enabled within a minute.",
            "`imagescribe resume` enables it now.",
        )
    return broken(
        f"The event source mapping is disabled, and no pause is the reason: {what} wait in the queue.",
        "Enable it with `imagescribe resume`.",
    )


def _losing(examination: Examination, mapping: EventSourceMappingConfigurationTypeDef) -> Verdict | None:
    """Tell whether messages are deleted that nobody has described; None where none is."""
    update = ["lambda", "update-event-source-mapping", "--uuid", mapping.get("UUID", "")]
    if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
        answers = examination.aws(*update, "--function-response-types", "ReportBatchItemFailures")
        return broken(
            "The event source mapping does not hear what the function puts back: what waits is deleted.",
            f"Let it hear: {answers}; then `imagescribe audit --repair`.",
        )
    if mapping.get("FilterCriteria", {}).get("Filters"):
        unfiltered = examination.aws(*update, "--filter-criteria", json.dumps({"Filters": []}))
        return broken(
            "The event source mapping has a filter: what that does not match is deleted.",
            f"Take it away: {unfiltered}; then `imagescribe audit --repair`.",
        )
    return None


def _create_mapping(examination: Examination, queue: str) -> str:
    concurrency = examination.parameters.get("MaximumConcurrency", "10")
    words = ["lambda", "create-event-source-mapping", "--event-source-arn", queue]
    words += ["--function-name", examination.outputs.describe_function_name]
    words += ["--batch-size", examination.parameters.get("BatchSize", "10")]
    words += ["--scaling-config", f"MaximumConcurrency={concurrency}"]
    words += ["--function-response-types", "ReportBatchItemFailures"]
    return examination.aws(*words)
