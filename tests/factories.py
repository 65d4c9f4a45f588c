"""Uploads and the messages that tell of them, as tests want them: sensible throughout, and any part set by name."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from PIL import Image

from imagescribe.model.answers import Description
from imagescribe.model.events import Deletion, Upload

ROOT = Path(__file__).parent.parent
EVENTS = ROOT / "events"

BUCKET = "imagescribe-test"
ETAG = "aca2968ee72afe386a75e2f395d77839"
SEQUENCER = "006AE85494A1B2C3D4"
UPLOADED_AT = "2026-11-02T09:15:00.000Z"
API_KEY = "key-under-test-4711"
PROMPT = "a lighthouse on a cliff at dusk, long exposure"

_numbers: Iterator[int] = count(1)


def stand_in(fake: object) -> Any:
    """Give a fake where the code under test takes a client of a service, or a part of its own."""
    return fake


@dataclass
class Clock:
    """Epoch seconds that pass only when a test says so, or when somebody sleeps by this clock."""

    now: float = 1_793_610_900.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def unique(word: str) -> str:
    """A name that no other test has."""
    return f"{word}-{next(_numbers)}"


def make_upload(**changes: Any) -> Upload:
    fields: dict[str, Any] = {
        "bucket": BUCKET,
        "key": "pets/cat.png",
        "version_id": None,
        "etag": ETAG,
        "size": 158_015,
        "sequencer": SEQUENCER,
        "uploaded_at": UPLOADED_AT,
    }
    return Upload(**(fields | changes))


def make_deletion(**changes: Any) -> Deletion:
    fields: dict[str, Any] = {
        "bucket": BUCKET,
        "key": "pets/cat.png",
        "sequencer": SEQUENCER,
        "deleted_at": UPLOADED_AT,
    }
    return Deletion(**(fields | changes))


def make_description(**changes: Any) -> Description:
    fields: dict[str, Any] = {
        "body": json.dumps({"descriptions": [{"text": PROMPT}]}),
        "cost_usd": 0.015,
        "latency_seconds": 3.97,
        "request_id": "7d5f1c9e",
        "described_at": "2026-11-02T09:15:04.000Z",
        "model": "ideogram-describe",
    }
    return Description(**(fields | changes))


def make_picture(colour: str = "navy", size: tuple[int, int] = (64, 48), form: str = "PNG") -> bytes:
    """The bytes of a picture; `form` is one of Pillow's names."""
    file = BytesIO()
    Image.new("RGB", size, colour).save(file, form)
    return file.getvalue()


def eventbridge_body(event: Upload | Deletion) -> str:
    """What the template's rule sends: the key as it is."""
    described: dict[str, Any] = {"key": event.key, "sequencer": event.sequencer}
    detail: dict[str, Any] = {"version": "0", "bucket": {"name": event.bucket}, "object": described}
    if isinstance(event, Upload):
        detail_type, time = "Object Created", event.uploaded_at
        described |= {"size": event.size, "etag": event.etag}
        if event.version_id is not None:
            described["version-id"] = event.version_id
        detail |= {"requester": event.requester} if event.requester is not None else {}
    else:
        detail_type, time = "Object Deleted", event.deleted_at
    return json.dumps(
        {
            "version": "0",
            "id": "17793124-05d4-4198-9fde-7ededc63b103",
            "detail-type": detail_type,
            "source": "aws.s3",
            "time": time,
            "detail": detail,
        }
    )


def s3_record(event: Upload | Deletion) -> dict[str, Any]:
    """One record of an S3 notification: the key form-encoded."""
    described: dict[str, Any] = {"key": quote_plus(event.key), "sequencer": event.sequencer}
    identity: dict[str, Any] = {}
    if isinstance(event, Upload):
        name, time = "ObjectCreated:Put", event.uploaded_at
        described |= {"size": event.size, "eTag": event.etag}
        if event.version_id is not None:
            described["versionId"] = event.version_id
        if event.requester is not None:
            identity = {"userIdentity": {"principalId": event.requester}}
    else:
        name, time = "ObjectRemoved:Delete", event.deleted_at
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": time,
        "eventName": name,
        **identity,
        "s3": {"bucket": {"name": event.bucket}, "object": described},
    }


def s3_notification_body(*events: Upload | Deletion) -> str:
    return json.dumps({"Records": [s3_record(event) for event in events]})


def sns_wrapped(body: str) -> str:
    """A body as SNS hands it on without raw delivery."""
    return json.dumps({"Type": "Notification", "MessageId": "22b80b92-fdea", "Subject": "Images", "Message": body})


def sqs_record(body: str, receive_count: int = 1, attributes: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A record of the event that SQS invokes a function with."""
    number = next(_numbers)
    return {
        "messageId": f"059f36b4-87a3-44ab-83d2-{number:012d}",
        "receiptHandle": f"receipt-{number}",
        "body": body,
        "attributes": {"ApproximateReceiveCount": str(receive_count), "SentTimestamp": "1793610900640"},
        "messageAttributes": {
            name: {"stringValue": text, "stringListValues": [], "binaryListValues": [], "dataType": "String"}
            for name, text in (attributes or {}).items()
        },
        "eventSource": "aws:sqs",
    }


def sample_bodies(name: str) -> list[str]:
    """The bodies in one of the files in `events/`."""
    event = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    return [record["body"] for record in event["Records"]]
