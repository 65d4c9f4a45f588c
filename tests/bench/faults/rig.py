"""A deployed stack with a simulator of its own, and what can be done to it and seen of it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

from boto3.dynamodb.types import TypeDeserializer
from botocore.exceptions import ClientError

from imagescribe.throttle import rate as rates
from imagescribe.throttle.breaker import OpenedBy
from imagescribe.throttle.item import ThrottleItem
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.local.stack import LocalCloud, LocalStack
from imagescribe_ops.simulator import RunningSimulator, SimulatorSettings, start_simulator
from tests.bench.faults.pictures import Picture

type Record = dict[str, Any]

CONCURRENCY = 3
BATCH = 10
QUICK = {"RetryBaseSeconds": "1", "MaximumConcurrency": str(CONCURRENCY), "BatchSize": str(BATCH)}
UPLOADERS = 4
RECOVER_SECONDS = 5.0
"""How often the recover function is run from here, in place of its schedule: a minute would only take longer."""

QUIET_SECONDS = 20.0
"""With both queues empty for so long, what is not described by then never will be."""

_deserialize = TypeDeserializer().deserialize


class Rig:
    """The stack, its bucket and its endpoint.

    Attributes
    ----------
    uploaded
        Every picture that was ever uploaded, by its ETag.
    objects
        What is in the bucket now.
    most_dead_letters
        The most that were seen on their queue at once.
    redriven
        Dead letters that the recover function brought back when it was run from here.
    """

    def __init__(self, stack: LocalStack, simulator: RunningSimulator) -> None:
        self.stack = stack
        self.process = simulator
        self.simulator = simulator.client
        self.outputs = stack.outputs
        self.bucket = stack.outputs.bucket_name
        self.s3 = stack.connection.s3()
        self.sqs = stack.connection.sqs()
        self.functions = stack.connection.lambda_functions()
        self._dynamodb = stack.connection.dynamodb()
        self._throttle = ThrottleItem(self._dynamodb, self.outputs.ledger_table_name, lambda: rates.fresh(time.time()))
        self.uploaded: dict[str, Picture] = {}
        self.objects: dict[str, Picture] = {}
        self.started = time.time()
        self.finished = self.started
        self.most_dead_letters = 0
        self.redriven: Counter[str] = Counter()
        self._recovered_at = 0.0

    # What is done to it

    def put(self, key: str, picture: Picture) -> None:
        """Upload a picture."""
        self.uploaded[picture.etag] = picture
        self.objects[key] = picture
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=picture.content)

    def delete(self, key: str) -> None:
        """Delete an object."""
        self.objects.pop(key, None)
        self.s3.delete_object(Bucket=self.bucket, Key=key)

    def put_all(self, objects: Mapping[str, Picture]) -> None:
        """Upload many pictures at once; the clock starts with the first ones."""
        if not self.uploaded:
            self.started = time.time()
        with ThreadPoolExecutor(UPLOADERS) as pool:
            list(pool.map(self.put, objects.keys(), objects.values()))

    def send(self, body: str) -> None:
        """Put a message on the upload queue."""
        self.sqs.send_message(QueueUrl=self.outputs.upload_queue_url, MessageBody=body)

    def recover(self) -> Record:
        """Run the recover function as its schedule does, if it has not just been run."""
        if time.monotonic() - self._recovered_at < RECOVER_SECONDS:
            return {}
        self._recovered_at = time.monotonic()
        answer = self.functions.invoke(FunctionName=self.outputs.recover_function_name, Payload=b"{}")
        result: Record = json.loads(answer["Payload"].read())
        if "FunctionError" not in answer:
            self.redriven.update(result["redriven"])
        return result

    # What is seen of it

    def records(self) -> dict[str, Record]:
        """Return the catalog's records by key."""
        return {record["key"]: record for record in self._scan(self.outputs.catalog_table_name)}

    def ledger(self) -> list[Record]:
        """Return the contents in the ledger."""
        return [item for item in self._scan(self.outputs.ledger_table_name) if not item["content"].startswith("#")]

    def tags(self, key: str) -> dict[str, str]:
        """Return an object's tags; none where it is gone."""
        try:
            answer = self.s3.get_object_tagging(Bucket=self.bucket, Key=key)
        except ClientError:
            return {}
        return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}

    def opened_by(self) -> OpenedBy:
        """Return who or what stopped the calls."""
        return self._throttle.read().breaker.opened_by

    def waiting(self) -> int:
        """Return how many messages the upload queue holds."""
        return QueueDepth.read(self.stack.connection, self.outputs.upload_queue_url).total

    def dead_letters(self) -> int:
        """Return how many messages the dead-letter queue holds."""
        count = QueueDepth.read(self.stack.connection, self.outputs.dead_letter_queue_url).total
        self.most_dead_letters = max(self.most_dead_letters, count)
        return count

    def unfinished(self) -> set[str]:
        """Return the keys whose record does not say what is in the bucket."""
        records = self.records()
        missing = {
            key
            for key, picture in self.objects.items()
            if (record := records.get(key)) is None or record["status"] != "described" or record["etag"] != picture.etag
        }
        return missing | (records.keys() - self.objects.keys())

    # Waiting

    def settle(self, seconds: float, watch: Callable[[], object] = lambda: None) -> bool:
        """Wait until everything is described, nothing waits, and nothing is dead. False where that does not come.

        Parameters
        ----------
        watch
            Called each second.
        """
        deadline = time.monotonic() + seconds
        quiet_since = None
        while time.monotonic() < deadline:
            watch()
            self.recover()
            if self.waiting() + self.dead_letters() == 0:
                if not self.unfinished():
                    self.finished = time.time()
                    return True
                quiet_since = quiet_since or time.monotonic()
                if time.monotonic() - quiet_since > QUIET_SECONDS:
                    break
            else:
                quiet_since = None
            time.sleep(1.0)
        self.finished = time.time()
        return False

    def until(self, check: Callable[[], object], seconds: float) -> bool:
        """Wait until something is so. False where it does not come."""
        deadline = time.monotonic() + seconds
        while not check():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def retire(self) -> None:
        """Take the stack away, so that it costs the next row nothing."""
        with suppress(ClientError):
            self.stack.connection.cloudformation().delete_stack(StackName=self.stack.name)

    def _scan(self, table: str) -> list[Record]:
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return [{name: _deserialize(value) for name, value in item.items()} for page in pages for item in page["Items"]]


@contextmanager
def rigged(cloud: LocalCloud, name: str, parameters: Mapping[str, str] | None = None, **settings: Any) -> Iterator[Rig]:
    """Deploy the template with quick parameters and those given, with a simulator of its own and its settings."""
    wanted = SimulatorSettings(**{"api_key": cloud.api_key, "latency_s": 0.3, "refusal_s": 0.05, **settings})
    with start_simulator(wanted) as simulator:
        url = {"DescribeUrl": simulator.describe_url}
        rig = Rig(cloud.deploy(name, parameters=QUICK | url | dict(parameters or {})), simulator)
        try:
            yield rig
        finally:
            rig.retire()
