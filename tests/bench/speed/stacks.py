"""Ours and the baselines, each deployed with a simulator of its own, and what can be done to them."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.queue_depth import QueueDepth
from imagescribe_ops.aws.stack import read_outputs
from imagescribe_ops.deployment.build import build
from imagescribe_ops.local import deploy
from imagescribe_ops.local.stack import LocalCloud
from imagescribe_ops.simulator import SimulatorClient, SimulatorSettings, start_simulator
from tests.bench.faults.pictures import Picture, picture
from tests.certificates import CERTIFICATES

BASELINES: Final = Path(__file__).parent / "baselines"
LATENCY_SECONDS: Final = 3.97
UPLOADERS: Final = 4
SETTLE_SECONDS: Final = 60.0

_DEPLOYING: Final = Lock()  # the SAM CLI's files are the same for all
_BILLED = re.compile(r"Billed Duration: ([\d.]+) ms")


class Shape(StrEnum):
    """What is deployed."""

    OURS = "ours"
    DIRECT = "direct"
    SAMPLE = "sample"


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack.

    Attributes
    ----------
    mapping
        The event source mapping's id; empty where there is no queue, as the queues' URLs.
    ledger
        The table's name; empty for a baseline.
    """

    shape: Shape
    name: str
    connection: Connection
    simulator: SimulatorClient
    bucket: str
    function: str
    ledger: str
    queue_url: str
    dead_letter_url: str
    mapping: str
    log_group: str
    _turns: Iterator[int] = field(default_factory=count)

    def pictures(self, seed: int, images: int) -> dict[str, Picture]:
        """Return pictures by their keys, none of which this stack has seen: a picture is paid once for a stack."""
        turn = next(self._turns)
        return {f"{seed}-{turn}/{number:05}.png": picture(1000 * seed + turn, number) for number in range(images)}

    def renew(self) -> None:
        """Make it forget the limit, its processes with it, and set its simulator back."""
        self.simulator.reset()
        if self.ledger:
            dynamodb = self.connection.dynamodb()
            pages = dynamodb.get_paginator("scan").paginate(TableName=self.ledger, ProjectionExpression="content")
            for content in [item["content"] for page in pages for item in page["Items"]]:
                if content["S"].startswith("#"):  # what the functions remember; the rest is what is paid for
                    dynamodb.delete_item(TableName=self.ledger, Key={"content": content})
        with self.environment({}):
            pass

    @contextmanager
    def environment(self, more: Mapping[str, str]) -> Iterator[None]:
        """Give the function more variables for the time of the block. Its processes start anew, whatever they are."""
        client = self.connection.lambda_functions()
        variables = client.get_function_configuration(FunctionName=self.function)["Environment"]["Variables"]
        client.update_function_configuration(
            FunctionName=self.function, Environment={"Variables": {**variables, **more}}
        )
        try:
            yield
        finally:
            if more:
                client.update_function_configuration(FunctionName=self.function, Environment={"Variables": variables})

    def warm(self, workers: int) -> None:
        """Start so many of the function's processes, by so many invocations at once that have nothing to do."""
        client = self.connection.lambda_functions()
        with ThreadPoolExecutor(workers) as pool:
            # The sample's answer is an error, since it takes no empty batch; its process stays all the same.
            list(
                pool.map(
                    lambda _: client.invoke(FunctionName=self.function, Payload=b'{"Records": []}'), range(workers)
                )
            )

    def hold(self) -> None:
        """Stop the taking of messages."""
        if self.mapping:
            self._switch(on=False)

    def open(self) -> None:
        """Let messages be taken."""
        if self.mapping:
            self._switch(on=True)

    def _switch(self, *, on: bool) -> None:
        self.connection.lambda_functions().update_event_source_mapping(UUID=self.mapping, Enabled=on)

    def upload(self, objects: dict[str, Picture]) -> None:
        """Upload pictures by their keys, several at once, and wait until all are in the queue."""
        s3 = self.connection.s3()
        before = self.waiting()
        with ThreadPoolExecutor(UPLOADERS) as pool:
            list(
                pool.map(
                    lambda item: s3.put_object(Bucket=self.bucket, Key=item[0], Body=item[1].content), objects.items()
                )
            )
        if self.mapping:
            deadline = time.monotonic() + SETTLE_SECONDS
            while self.waiting() < before + len(objects) and time.monotonic() < deadline:
                time.sleep(0.2)

    def waiting(self) -> int:
        """Return how many messages are in the queue."""
        return QueueDepth.read(self.connection, self.queue_url).total if self.queue_url else 0

    def dead(self) -> int:
        """Return how many dead letters there are."""
        return QueueDepth.read(self.connection, self.dead_letter_url).total if self.dead_letter_url else 0

    def billed_seconds(self, since: float) -> float:
        """Return the billed seconds of all invocations that ended after a time (epoch seconds)."""
        pages = self.connection.logs().get_paginator("filter_log_events")
        total = 0.0
        for page in pages.paginate(logGroupName=self.log_group, startTime=int(since * 1000)):
            for event in page["events"]:
                if found := _BILLED.search(event["message"]):
                    total += float(found[1]) / 1000
        return total


@contextmanager
def deployed(
    cloud: LocalCloud, shape: Shape, settings: dict[str, Any], latency_s: float = LATENCY_SECONDS
) -> Iterator[Stack]:
    """Deploy a shape with a simulator of its own; the stack is taken away afterwards."""
    name = f"{shape}-{secrets.token_hex(3)}"
    wanted = SimulatorSettings(api_key=cloud.api_key, latency_s=latency_s, **settings)
    # Over TLS, as the real endpoint is called: connecting is a part of what a call costs.
    with start_simulator(wanted, certificate=CERTIFICATES.server) as simulator:
        if shape is Shape.OURS:
            cloud.deploy(name, parameters={"DescribeUrl": simulator.describe_url})
        else:
            with _DEPLOYING:
                _deploy_baseline(cloud, shape, name, simulator.describe_url)
        try:
            yield _read(cloud.connection, shape, name, simulator.client)
        finally:
            with suppress(ClientError, BotoCoreError):
                cloud.connection.cloudformation().delete_stack(StackName=name)


def _deploy_baseline(cloud: LocalCloud, shape: Shape, name: str, describe_url: str) -> None:
    # Not by `LocalCloud.deploy`, which expects our template's outputs and a mapping with a maximum concurrency.
    directory = cloud.emulator.directory / name
    directory.mkdir()
    artifacts = f"artifacts-{name}"
    cloud.connection.s3().create_bucket(Bucket=artifacts)
    deploy.deploy(
        build(directory, BASELINES / f"{shape}.yaml", CERTIFICATES.authority),
        stack=name,
        parameters={"DescribeUrl": describe_url, "ApiKey": cloud.api_key, "BucketName": f"images-{name}"},
        target=deploy.Target(cloud.endpoint_url, cloud.region, cloud.credentials, artifacts),
        directory=directory,
    )


def _read(connection: Connection, shape: Shape, name: str, simulator: SimulatorClient) -> Stack:
    outputs = read_outputs(connection, name)
    function = outputs.get("DescribeFunctionName") or outputs["FunctionName"]
    client = connection.lambda_functions()
    mappings = client.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    logging = client.get_function_configuration(FunctionName=function).get("LoggingConfig", {})
    return Stack(
        shape=shape,
        name=name,
        connection=connection,
        simulator=simulator,
        bucket=outputs["BucketName"],
        function=function,
        ledger=outputs.get("LedgerTableName", ""),
        queue_url=outputs.get("UploadQueueUrl", ""),
        dead_letter_url=outputs.get("DeadLetterQueueUrl", ""),
        mapping=mappings[0]["UUID"] if mappings else "",
        log_group=logging.get("LogGroup") or f"/aws/lambda/{function}",
    )
