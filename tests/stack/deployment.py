"""A deployed stack as its user sees it: what can be put into it and looked at, and waiting for what comes of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import boto3
import pytest
from boto3.dynamodb.types import TypeDeserializer

from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.local.stack import LocalCloud, LocalStack
from imagescribe_ops.simulator import JournalEntry, ScriptedAnswer, SimulatorClient
from tests.stack.bodies import Uploaded

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient
    from mypy_boto3_iam import IAMClient

WAIT_SECONDS = 90.0
"""Longer than anything here takes on a busy machine, shorter than patience."""

_UNCHANGING = ("described", "rejected", "skipped")

type Record = dict[str, Any]

_deserialize = TypeDeserializer().deserialize


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message on the dead-letter queue."""

    body: str
    reason: str
    detail: str


class Deployment:
    """A deployed stack, its bucket, and the simulator that it calls."""

    def __init__(self, stack: LocalStack, simulator: SimulatorClient | None = None) -> None:
        self.stack = stack
        self.simulator = simulator or stack.simulator
        self.outputs = stack.outputs
        self.bucket = stack.outputs.bucket_name
        self.s3 = stack.connection.s3()
        self.sqs = stack.connection.sqs()
        self.lambda_functions = stack.connection.lambda_functions()
        self.secretsmanager = stack.connection.secretsmanager()
        self._dynamodb = stack.connection.dynamodb()
        self._logs = stack.connection.logs()
        self._dead_letters: list[DeadLetter] = []
        """All dead letters seen so far: they are taken off their queue."""

    # What a user does

    def put(self, key: str, content: bytes, tags: str = "") -> Uploaded:
        """Upload an object; tags are like a query string."""
        answer = self.s3.put_object(Bucket=self.bucket, Key=key, Body=content, Tagging=tags)
        return Uploaded(self.bucket, key, answer["ETag"].strip('"'), len(content), answer.get("VersionId"))

    def delete(self, key: str) -> None:
        """Delete an object."""
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def send(self, body: str) -> str:
        """Put a message on the upload queue by hand, and return its id."""
        return self.sqs.send_message(QueueUrl=self.outputs.upload_queue_url, MessageBody=body)["MessageId"]

    def script(self, key: str, *answers: ScriptedAnswer) -> None:
        """Decide what the simulator answers to the next calls for one object."""
        path = f"{self.bucket}/{key}"
        self.simulator.script(*(_for_path(answer, path) for answer in answers))

    # What a user sees

    def record(self, key: str) -> Record | None:
        """Return the catalog's record of an object."""
        return self._get(self.outputs.catalog_table_name, {"image": f"s3://{self.bucket}/{key}"})

    def records(self) -> list[Record]:
        """Return all records of the catalog."""
        return self._scan(self.outputs.catalog_table_name)

    def ledger(self) -> list[Record]:
        """Return everything in the ledger's table."""
        return self._scan(self.outputs.ledger_table_name)

    def paid(self, upload: Uploaded) -> Record | None:
        """Return what the ledger holds for an upload's content."""
        return self._get(self.outputs.ledger_table_name, {"content": upload.content})

    def tags(self, key: str, version_id: str | None = None) -> dict[str, str]:
        """Return an object's tags."""
        version: dict[str, Any] = {"VersionId": version_id} if version_id else {}
        answer = self.s3.get_object_tagging(Bucket=self.bucket, Key=key, **version)
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def calls(self, key: str) -> list[JournalEntry]:
        """Return the calls of the endpoint that were made for one object."""
        return [call for call in self.simulator.journal() if call.object_path == f"{self.bucket}/{key}"]

    def billed(self, *keys: str) -> int:
        """Return how many calls were paid for some objects."""
        return sum(call.billed for key in keys for call in self.calls(key))

    def rendition(self, upload: Uploaded) -> bytes:
        """Return the JPEG that was made of an upload."""
        key = f"renditions/{upload.content}"
        return self.s3.get_object(Bucket=self.outputs.derived_bucket_name, Key=key)["Body"].read()

    def calls_of_rendition(self, upload: Uploaded) -> list[JournalEntry]:
        """Return the calls of the endpoint that were made for what was made of an upload."""
        path = f"{self.outputs.derived_bucket_name}/renditions/{upload.content}"
        return [call for call in self.simulator.journal() if call.object_path == path]

    def depth(self) -> QueueDepth:
        """Return how many messages the upload queue holds."""
        return QueueDepth.read(self.stack.connection, self.outputs.upload_queue_url)

    def dead_letters(self) -> list[DeadLetter]:
        """Take what is new off the dead-letter queue, and return all that there was so far."""
        url = self.outputs.dead_letter_queue_url
        while messages := self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            for message in messages:
                attributes = {
                    name: value.get("StringValue", "") for name, value in message.get("MessageAttributes", {}).items()
                }
                self._dead_letters.append(
                    DeadLetter(message["Body"], attributes.get("reason", ""), attributes.get("detail", ""))
                )
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return self._dead_letters

    def dead_letters_of(self, text: str) -> list[DeadLetter]:
        """Return the dead letters with some text in their body."""
        return [each for each in self.dead_letters() if text in each.body]

    def log_lines(self, *, every_stack: bool = False) -> list[str]:
        """Return the lines of the log groups of this stack, or of all there are."""
        groups = self._logs.get_paginator("describe_log_groups").paginate()
        names = [group["logGroupName"] for page in groups for group in page["logGroups"]]
        mine = [name for name in names if every_stack or {self.stack.name} & set(re.split(r"/|-(?=[A-Z])", name))]
        return [line for name in mine for line in self._log_lines(name)]

    # Waiting

    def until[T](self, check: Callable[[], T | None], what: str, seconds: float = WAIT_SECONDS) -> T:
        """Return what a check gives as soon as it gives something; fail with all there is to see if it never does.

        The longer it takes, the less often it is checked: many wait side by side for minutes, on two cores.
        """
        start = time.monotonic()
        while True:
            if found := check():
                return found
            waited = time.monotonic() - start
            if waited > seconds:
                self._fail(f"not within {seconds:.0f} s: {what}")
            time.sleep(min(max(0.05, waited / 10), 1.0))

    def until_status(self, status: str, *keys: str, seconds: float = WAIT_SECONDS) -> dict[str, Record]:
        """Return the records of some objects as soon as all of them have a status."""
        found: dict[str, Record] = {}

        def all_found() -> dict[str, Record] | None:
            for key in keys[len(found) :]:
                record = self.record(key)
                if record and record["status"] in _UNCHANGING and record["status"] != status:
                    self._fail(f"{status} was expected of {key!r}")
                if record is None or record["status"] != status:
                    return None  # the others can wait for this one
                found[key] = record
            return found

        self.until(all_found, f"{status}: {_shortened(keys)}", seconds)
        return found

    def until_described(self, *keys: str, seconds: float = WAIT_SECONDS) -> dict[str, Record]:
        """Return the records of some objects as soon as all of them are described."""
        return self.until_status("described", *keys, seconds=seconds)

    def until_gone(self, key: str) -> None:
        """Return as soon as the catalog has no record of an object."""
        self.until(lambda: self.record(key) is None, f"no record: {key!r}")

    def until_dead(self, text: str) -> DeadLetter:
        """Return the only dead letter with some text in its body as soon as it is there."""
        found = self.until(lambda: self.dead_letters_of(text), f"a dead letter with {text!r} in it")
        assert len(found) == 1, found
        return found[0]

    def until_handled(self, *message_ids: str) -> None:
        """Return as soon as the function has written to its log what became of some messages."""

        def all_handled() -> bool:
            lines = "\n".join(self.log_lines())
            return all(message_id in lines for message_id in message_ids)

        self.until(all_handled, f"messages handled: {message_ids}")

    def until_idle(self) -> None:
        """Return as soon as the upload queue is empty."""
        self.until(lambda: self.depth().total == 0, "the upload queue is empty")

    # Permissions

    @contextmanager
    def without(self, sid: str, *actions: str, function: str = "") -> Iterator[None]:
        """Take actions out of a statement of a function's role, the describe function's, for the time of the block."""
        iam = iam_client(self.stack.cloud)
        configuration = self.lambda_functions.get_function_configuration(
            FunctionName=function or self.outputs.describe_function_name
        )
        role = configuration["Role"].rpartition("/")[2]
        name = iam.list_role_policies(RoleName=role)["PolicyNames"][0]
        policy: Any = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        less = json.loads(json.dumps(policy))
        statement = next(each for each in less["Statement"] if each["Sid"] == sid)
        kept = [action for action in _listed(statement["Action"]) if action not in actions]
        assert len(kept) + len(actions) == len(_listed(statement["Action"])), f"{sid} has not all of {actions}"
        if kept:
            statement["Action"] = kept
        else:
            less["Statement"].remove(statement)
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(less))
        try:
            yield
        finally:
            iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(policy))

    # Inside

    def _get(self, table: str, key: Mapping[str, str]) -> Record | None:
        answer = self._dynamodb.get_item(
            TableName=table, Key={name: {"S": value} for name, value in key.items()}, ConsistentRead=True
        )
        return _plain(answer["Item"]) if "Item" in answer else None

    def _scan(self, table: str) -> list[Record]:
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [_plain(item) for page in pages for item in page["Items"]]

    def _log_lines(self, group: str) -> list[str]:
        pages = self._logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        return [event["message"] for page in pages for event in page["events"]]

    def _fail(self, why: str) -> NoReturn:
        unfinished = [record for record in self.records() if record["status"] not in ("described", "skipped")]
        report = [
            f"stack {self.stack.name}: {why}",
            f"upload queue: {self.depth()}",
            *(f"dead letter: {letter}" for letter in self.dead_letters()[-5:]),
            *(f"record: {_shortened(record)}" for record in unfinished[-10:]),
            *(f"call: {call}" for call in self.simulator.journal()[-5:]),
            *(f"log: {line[:700]}" for line in self.log_lines()[-15:]),
        ]
        pytest.fail("\n".join(report))


def events_client(cloud: LocalCloud) -> EventBridgeClient:
    """Return a client of EventBridge."""
    return session_of(cloud).client("events", endpoint_url=cloud.endpoint_url)


def iam_client(cloud: LocalCloud) -> IAMClient:
    """Return a client of IAM."""
    return session_of(cloud).client("iam", endpoint_url=cloud.endpoint_url)


def session_of(cloud: LocalCloud) -> boto3.Session:
    return boto3.Session(
        aws_access_key_id=cloud.credentials.access_key_id,
        aws_secret_access_key=cloud.credentials.secret_access_key,
        region_name=cloud.region,
    )


def _for_path(answer: ScriptedAnswer, path: str) -> ScriptedAnswer:
    fields = {name: getattr(answer, name) for name in ScriptedAnswer.__dataclass_fields__}
    return ScriptedAnswer(**fields | {"contains": path})


def _plain(item: Mapping[str, Any]) -> Record:
    return {name: _deserialize(value) for name, value in item.items()}


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _shortened(value: object, length: int = 400) -> str:
    text = repr(list(value)) if isinstance(value, Iterable) and not isinstance(value, Mapping | str) else repr(value)
    return text if len(text) <= length else f"{text[:length]}…"
