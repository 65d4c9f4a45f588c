"""Bodies of the messages that tell of an object, in each shape, and the samples in `events/`."""

import json
import re
import time
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote_plus

from imagescribe_ops.project import PROJECT_DIRECTORY

SAMPLE_BUCKET = "imagescribe-example"
"""The bucket that the samples of events name."""

# The emulator's own sequencers are made the same way, so these are in one order with them.
_ticks = count(time.time_ns() // 1000)
_TIME = "2026-11-02T09:15:00Z"


@dataclass(frozen=True, slots=True)
class Uploaded:
    """An object that was uploaded."""

    bucket: str
    key: str
    etag: str
    size: int
    version_id: str | None = None

    @property
    def image(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def content(self) -> str:
        """Its content's key in the ledger."""
        return f"{self.etag}-{self.size}"


def sequencer() -> str:
    """Return one that is greater than all before."""
    return f"{max(next(_ticks), time.time_ns() // 1000):018X}"


def eventbridge(upload: Uploaded, detail_type: str = "Object Created", order: str | None = None) -> str:
    """Return the body of an EventBridge event."""
    version = {"version-id": upload.version_id} if upload.version_id else {}
    described = {"key": upload.key, "size": upload.size, "etag": upload.etag, "sequencer": order or sequencer()}
    event: dict[str, Any] = {
        "version": "0",
        "id": "17793124-05d4-4198-9fde-7ededc63b103",
        "detail-type": detail_type,
        "source": "aws.s3",
        "account": "000000000000",
        "time": _TIME,
        "region": "us-east-1",
        "resources": [f"arn:aws:s3:::{upload.bucket}"],
        "detail": {"version": "0", "bucket": {"name": upload.bucket}, "object": described | version},
    }
    return json.dumps(event)


def s3_notification(*uploads: Uploaded, event_name: str = "ObjectCreated:Put") -> str:
    """Return the body of an S3 notification, its keys form-encoded as S3 does it."""
    return json.dumps({"Records": [_record(upload, event_name) for upload in uploads]})


def sns(message: str) -> str:
    """Return a body wrapped by SNS."""
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": "arn:aws:sns:us-east-1:000000000000:uploads",
            "Message": message,
            "Timestamp": _TIME,
        }
    )


def sample(name: str) -> str:
    """Return the body in one of the samples. The emulator gives other version ids, so it has none here."""
    event = json.loads((PROJECT_DIRECTORY / "events" / f"{name}.json").read_text(encoding="utf-8"))
    body: str = event["Records"][0]["body"]
    return re.sub(r'\\*"(?:version-id|versionId)\\*":\\*"[^"]*",', "", body)


def _record(upload: Uploaded, event_name: str) -> dict[str, Any]:
    version = {"versionId": upload.version_id} if upload.version_id else {}
    described = {"key": quote_plus(upload.key, safe="/"), "size": upload.size, "eTag": upload.etag}
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": _TIME,
        "eventName": event_name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": {"name": upload.bucket, "arn": f"arn:aws:s3:::{upload.bucket}"},
            "object": described | {"sequencer": sequencer()} | version,
        },
    }
