"""A stage for the functions: a bucket, its queues and tables, an endpoint, and a clock that moves them all.

The describe function is invoked on it as Lambda invokes it, with what the queue delivers, and afterwards the message
is deleted unless the answer names it. On `moto_stage` the services are moto's, on `in_memory_stage` our own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from itertools import count
from random import Random
from threading import Lock
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError

from imagescribe.aws.dead_letters import DeadLetters
from imagescribe.aws.eventbridge import Announcements
from imagescribe.aws.imaging import Imaging
from imagescribe.aws.s3 import Objects
from imagescribe.aws.secrets import ApiKey
from imagescribe.aws.sqs import Delivery, UploadQueue
from imagescribe.batch import BatchProcessor
from imagescribe.endings import Endings
from imagescribe.model.events import Deletion, Upload
from imagescribe.model.labels import Vocabulary
from imagescribe.pipeline import Pipeline
from imagescribe.settings import Renditions, Settings
from imagescribe.stores.catalog import Catalog
from imagescribe.stores.dynamodb import get
from imagescribe.stores.ledger import Ledger, content_key
from imagescribe.stores.lookup import Lookup
from imagescribe.throttle import Throttle
from imagescribe.throttle import rate as rates
from imagescribe.throttle.item import State, ThrottleItem
from tests.factories import API_KEY, Clock, eventbridge_body, stand_in, unique
from tests.unit.fake_endpoint import FakeEndpoint
from tests.unit.imaging_in_process import ImagingInProcess

INVOCATION_SECONDS = 120.0
VISIBILITY_SECONDS = 720
MAX_ROUNDS = 500


def steady(next_start: float, per_second: float) -> rates.Rate:
    """A rate that has found its limit."""
    return rates.Rate(next_start, per_second, since=next_start, slow_start=False, base=per_second, doubles_in=1e12)


class CrashError(BaseException):
    """The process of the function is killed: nothing in it catches this."""


class SharedClock(Clock):
    """A clock for threads that sleep side by side."""

    def sleep(self, seconds: float) -> None:
        with _clock_lock:
            self.now += seconds


_clock_lock = Lock()


@dataclass
class Service:
    """A client of a service that can be made to fail, or to be gone in the middle of an invocation.

    Attributes
    ----------
    failing
        What a request of this name raises, as long as it stands here.
    heard
        The requests that were made, by name, with their parameters.
    is_gone
        Whether who uses it is dead.
    one_at_a_time
        Held during a request, since moto's writes are not atomic among threads, as those of the services are.
    before, after
        What happens before and after a request of this name.
    """

    client: Any
    failing: dict[str, Exception] = field(default_factory=dict)
    heard: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    is_gone: bool = False
    one_at_a_time: Lock = field(default_factory=Lock)
    before: dict[str, Callable[[dict[str, Any]], object]] = field(default_factory=dict)
    after: dict[str, Callable[[dict[str, Any]], object]] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.client, name)

        def request(*arguments: Any, **parameters: Any) -> Any:
            if self.is_gone:
                raise CrashError
            self.heard.append((name, parameters))
            if name in self.before:
                self.before[name](parameters)
            if name in self.failing:
                raise self.failing[name]
            with self.one_at_a_time:
                answer = method(*arguments, **parameters)
            if name in self.after:
                self.after[name](parameters)
            return answer

        return request

    def count(self, name: str) -> int:
        return sum(heard == name for heard, _parameters in self.heard)


def throttled() -> ClientError:
    return aws_error("ThrottlingException")


def aws_error(code: str, operation: str = "Request") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "as the test wants it"}}, operation)


@dataclass
class Bus:
    """EventBridge's default bus, which keeps what it was sent."""

    events: list[dict[str, Any]] = field(default_factory=list)
    refuses: bool = False

    def put_events(self, **request: Any) -> dict[str, Any]:
        entries = request["Entries"]
        if self.refuses:
            return {
                "FailedEntryCount": len(entries),
                "Entries": [{"ErrorCode": "ThrottlingException"} for _ in entries],
            }
        self.events += [
            {"detail-type": entry["DetailType"], "detail": json.loads(entry["Detail"])} for entry in entries
        ]
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"} for _ in entries]}


@dataclass
class Vault:
    """Secrets Manager with one secret; None where it has no value."""

    key: str | None = API_KEY

    def get_secret_value(self, **_request: str) -> dict[str, Any]:
        if self.key is None:
            raise aws_error("ResourceNotFoundException", "GetSecretValue")
        return {"SecretString": self.key}


@dataclass(frozen=True)
class DeadLetter:
    """A message on the dead-letter queue."""

    body: str
    attributes: dict[str, str]


@dataclass
class Stage:
    """The stage.

    Attributes
    ----------
    describe
        The function's module.
    next_visible
        When the next message of the upload queue becomes visible, in epoch seconds; None where there is none.
    last_answer
        What the function answered last.
    lambda_seconds
        How long an invocation may take.
    patience_seconds
        How long the function waits for its threads, by the machine's clock.
    waited_for
        How long it meant to, by the stage's, each time.
    labels
        The vocabulary, as the parameter has it.
    annotations
        Who writes annotations, after the next cold start; None where nobody does.
    """

    s3: Service
    dynamodb: Service
    sqs: Service
    secrets: Service
    bus: Service
    clock: Clock
    bucket: str
    upload_queue_url: str
    dead_letter_queue_url: str
    ledger_table: str
    catalog_table: str
    describe: Any
    next_visible: Callable[[], float | None]
    secret: str = "the-key"
    endpoint: FakeEndpoint = field(init=False)
    pipeline: Pipeline = field(init=False)
    imaging: ImagingInProcess = field(init=False)
    queue: UploadQueue = field(init=False)
    last_answer: dict[str, Any] = field(default_factory=dict)
    lambda_seconds: float = INVOCATION_SECONDS
    patience_seconds: float = 60.0
    waited_for: list[float] = field(default_factory=list)
    labels: str = ""
    annotations: Any = None
    _sequence: Iterator[int] = field(default_factory=lambda: count(0x006AE85494A1B2C3))
    _invocations: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.endpoint = FakeEndpoint(self.s3.client, self.clock)
        self.imaging = ImagingInProcess(self.s3.client)
        self.cold_start()

    def cold_start(self, **changes: Any) -> None:
        """Make what the function makes when it starts; `changes` are settings."""
        settings = Settings(
            **{
                "describe_url": "https://endpoint.invalid/describe",
                "api_key_secret_arn": self.secret,
                "upload_queue_url": self.upload_queue_url,
                "dead_letter_queue_url": self.dead_letter_queue_url,
                "ledger_table": self.ledger_table,
                "catalog_table": self.catalog_table,
                "answer_timeout_seconds": 60.0,
                "max_attempts": 3,
                "retry_base_seconds": 4.0,
                "max_image_bytes": 1_000_000,
                "renditions": Renditions.NEEDED,
                "prompt_tag_key": "prompt",
                "max_requests_per_minute": 0.0,
                "daily_budget_usd": 0.0,
                "price_per_call_usd": 0.015,
                **changes,
            }
        )
        dynamodb = stand_in(self.dynamodb)
        throttle = self.new_throttle(daily_budget_usd=settings.daily_budget_usd)
        objects = Objects(stand_in(self.s3), self.clock)
        catalog = Catalog(dynamodb, self.catalog_table, self.clock)
        self.pipeline = Pipeline(
            settings=settings,
            objects=objects,
            imaging=Imaging(lambda: stand_in(self.imaging), "imaging"),
            ledger=Ledger(dynamodb, self.ledger_table, self.clock, self.clock.sleep),
            catalog=catalog,
            api_key=ApiKey(stand_in(self.secrets), settings.api_key_secret_arn),
            throttle=throttle,
            endpoint=stand_in(self.endpoint),
            endings=Endings(objects, catalog, self.clock, self.clock.sleep),
            vocabulary=lambda: Vocabulary.parse(self.labels),
            annotations=self.annotations,
            clock=self.clock,
            sleep=self.clock.sleep,
            random=Random(1),
        )
        self.queue = UploadQueue(stand_in(self.sqs), self.upload_queue_url, self.dead_letter_queue_url, self.clock)
        self.describe._batches = BatchProcessor(
            pipeline=self.pipeline,
            lookup=Lookup(dynamodb, self.ledger_table, self.catalog_table, self.clock),
            queue=self.queue,
            announcements=Announcements(stand_in(self.bus)),
            clock=self.clock,
            wait=self._wait,
            random=Random(1),
        )

    def new_throttle(self, daily_budget_usd: float = 0.0) -> Throttle:
        """The throttle as one more process sees it, with a rate that no test waits for."""
        return Throttle(
            ThrottleItem(stand_in(self.dynamodb), self.ledger_table, self._calm),
            budget_usd=daily_budget_usd,
            probe_seconds=80.0,
            first_open_seconds=16.0,
            clock=self.clock,
            random=Random(1),
        )

    def _calm(self) -> rates.Rate:
        return steady(self.clock(), rates.FASTEST)

    def dead_letters(self) -> DeadLetters:
        return DeadLetters(stand_in(self.sqs), self.dead_letter_queue_url, self.upload_queue_url)

    # ── What users do ────────────────────────────────────────────────────────────────────────────────────────────────

    def store(self, key: str, content: bytes) -> Upload:
        """Put an object into the bucket, and return the event that S3 makes of it."""
        answer = self.s3.client.put_object(Bucket=self.bucket, Key=key, Body=content)
        return Upload(
            bucket=self.bucket,
            key=key,
            version_id=answer.get("VersionId"),
            etag=answer["ETag"].strip('"'),
            size=len(content),
            sequencer=self.next_sequencer(),
            uploaded_at="2026-11-02T09:15:00.000Z",
        )

    def upload(self, content: bytes, key: str | None = None) -> Upload:
        """Store an object, and let its event reach the queue."""
        upload = self.store(key or f"{unique('pictures/cat')}.png", content)
        self.tell(upload)
        return upload

    def remove(self, upload: Upload, *, version_id: str | None = None) -> Deletion:
        """Delete an object or one version of it, and return the event that S3 makes of it."""
        version = {} if version_id is None else {"VersionId": version_id}
        self.s3.client.delete_object(Bucket=upload.bucket, Key=upload.key, **version)
        return Deletion(upload.bucket, upload.key, self.next_sequencer(), "2026-11-02T09:20:00.000Z")

    def tell(self, *events: Upload | Deletion) -> None:
        """Let events reach the queue."""
        for event in events:
            self.send(eventbridge_body(event))

    def send(self, body: str, attributes: Mapping[str, str] | None = None) -> None:
        self.sqs.client.send_message(
            QueueUrl=self.upload_queue_url,
            MessageBody=body,
            MessageAttributes={
                name: {"DataType": "String", "StringValue": text} for name, text in (attributes or {}).items()
            },
        )

    def next_sequencer(self) -> str:
        return f"{next(self._sequence):018X}"

    # ── What Lambda does ─────────────────────────────────────────────────────────────────────────────────────────────

    def invoke(self, most: int = 10) -> int:
        """Receive a batch, invoke the function with it and delete what is done; say how many messages there were."""
        messages = self.receive(self.upload_queue_url, VISIBILITY_SECONDS, most)
        if messages:
            self.clock.sleep(0.01)  # a call takes time, and a message that waits for now is not visible yet
            event = {"Records": [lambda_record(message) for message in messages]}
            context = SimpleNamespace(
                aws_request_id=f"request-{next(self._invocations)}",
                get_remaining_time_in_millis=lambda: int(self.lambda_seconds * 1000),
            )
            self.last_answer = answer = self.describe.handler(event, context)
            failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
            for message in messages:
                if message["MessageId"] not in failed:
                    self.sqs.client.delete_message(
                        QueueUrl=self.upload_queue_url, ReceiptHandle=message["ReceiptHandle"]
                    )
        return len(messages)

    def drain(self, most: int = 10) -> None:
        """Invoke for as long as anything is visible."""
        rounds = 0
        while self.invoke(most):
            rounds += 1
            assert rounds < MAX_ROUNDS, "a message comes back again and again"

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and the function take what becomes visible, each when it does."""
        end = self.clock.now + seconds
        self.drain()
        while (soonest := self.next_visible()) is not None and soonest <= end:
            self.clock.now = max(self.clock.now, soonest) + 0.001
            self.drain()
        self.clock.now = max(self.clock.now, end)

    def settle(self, most: int = 10) -> float:
        """Let pass what time it takes until the queue is empty, and return how many seconds that were."""
        start, rounds = self.clock.now, 0
        self.drain(most)
        while (soonest := self.next_visible()) is not None:
            rounds += 1
            assert rounds < MAX_ROUNDS, "the queue does not get empty"
            self.clock.now = max(self.clock.now, soonest) + 0.001
            self.drain(most)
        return self.clock.now - start

    def receive(self, url: str, visibility_seconds: int, most: int = 10) -> list[Any]:
        messages: list[Any] = self.sqs.client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=most,
            VisibilityTimeout=visibility_seconds,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        ).get("Messages", [])
        return messages

    def _wait(self, futures: Iterable[Future[Any]], timeout: float) -> Any:
        # The threads sleep by the stage's clock and this one by the machine's, so the one can't be told by the other.
        self.waited_for.append(timeout)
        return wait(futures, self.patience_seconds)

    # ── What is there in the end ─────────────────────────────────────────────────────────────────────────────────────

    def record(self, upload: Upload | Deletion) -> dict[str, Any] | None:
        """The catalog's record."""
        return get(self.dynamodb.client, self.catalog_table, {"image": upload.image})

    def standing(self, upload: Upload | Deletion) -> dict[str, Any]:
        """The catalog's record, which must be there."""
        record = self.record(upload)
        assert record is not None, f"no record of {upload.image}"
        return record

    def statuses(self, *uploads: Upload | Deletion) -> list[str]:
        return ["no record" if (record := self.record(each)) is None else record["status"] for each in uploads]

    def paid(self, upload: Upload) -> dict[str, Any] | None:
        """The ledger's item of an upload's content."""
        return get(self.dynamodb.client, self.ledger_table, content_key(upload))

    def throttle_state(self) -> State:
        """The throttle's item."""
        return ThrottleItem(self.dynamodb.client, self.ledger_table, self._calm).read()

    def tags(self, upload: Upload) -> dict[str, str]:
        version = {} if upload.version_id is None else {"VersionId": upload.version_id}
        tag_set = self.s3.client.get_object_tagging(Bucket=upload.bucket, Key=upload.key, **version)["TagSet"]
        return {tag["Key"]: tag["Value"] for tag in tag_set}

    def announced(self) -> list[tuple[str, str]]:
        """Image and prompt of each `Image Described` event."""
        details = [each["detail"] for each in self.bus.client.events if each["detail-type"] == "Image Described"]
        return [(detail["image"], detail["prompt"]) for detail in details]

    def ends(self, event: Upload | Deletion) -> list[str]:
        """What was announced of an image, in order: `Described` for `Image Described`."""
        return [
            each["detail-type"].removeprefix("Image ")
            for each in self.bus.client.events
            if each["detail"]["image"] == event.image
        ]

    def take_dead_letters(self) -> list[DeadLetter]:
        """Take all dead letters off their queue."""
        found: list[DeadLetter] = []
        while messages := self.receive(self.dead_letter_queue_url, 0):
            for message in messages:
                attributes = message.get("MessageAttributes", {})
                found.append(
                    DeadLetter(
                        message["Body"], {name: attribute["StringValue"] for name, attribute in attributes.items()}
                    )
                )
                self.sqs.client.delete_message(
                    QueueUrl=self.dead_letter_queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
        return found


def lambda_record(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as Lambda hands it to the function."""
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {
            name: {"stringValue": attribute["StringValue"], "dataType": "String"}
            for name, attribute in message.get("MessageAttributes", {}).items()
        },
    }


def delivery_of(message: Mapping[str, Any]) -> Delivery:
    return Delivery.from_record(lambda_record(message))
