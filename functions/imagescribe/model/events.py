"""What an event tells: an upload or a deletion, in whichever of the three body shapes it comes.

The shapes are an EventBridge event, an S3 notification (``Records``), and either one wrapped by SNS (``Message``).
They differ in more than their wrapping: a notification's key is form-encoded, EventBridge's is not.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

from imagescribe.errors import MalformedMessageError
from imagescribe.model.times import iso_utc

_MARKER = "Delete Marker Created"


@dataclass(frozen=True, slots=True)
class Upload:
    """One version of one object, as an event told of it.

    Attributes
    ----------
    version_id
        None where the bucket keeps no versions, or the object has the "null" version, which can be overwritten.
    etag
        Without quotes.
    size
        In bytes.
    sequencer
        Upper-case hexadecimal; compared as text, greater is later for the same key. S3's rule pads the shorter one
        with zeros on its right, which orders any two different sequencers just as plain text order does:
        https://repost.aws/knowledge-center/s3-duplicate-sqs-messages
    uploaded_at
        ISO 8601, UTC.
    requester
        Who uploaded it, as S3 tells: EventBridge names the account or the AWS service, a notification the id of the
        user or role. None where the event does not say.
    job
        What it is part of that waits behind uploads: a backfill, or an audit's repair. Empty for an upload of today.
    """

    bucket: str
    key: str
    version_id: str | None
    etag: str
    size: int
    sequencer: str
    uploaded_at: str
    requester: str | None = None
    job: str = ""

    @property
    def image(self) -> str:
        """The image's name in the catalog, ``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion of an object, of one of its versions, or by a delete marker.

    Attributes
    ----------
    expired
        Whether a lifecycle rule deleted it for good: among versions that is never the current one.
    """

    bucket: str
    key: str
    sequencer: str
    deleted_at: str
    expired: bool = False

    @property
    def image(self) -> str:
        """The image's name in the catalog, ``s3://bucket/key``."""
        return f"s3://{self.bucket}/{self.key}"


type ObjectEvent = Upload | Deletion


def parse_body(body: str) -> list[ObjectEvent]:
    """Read the events in the body of an SQS message.

    Returns
    -------
    list
        Usually one. None at all for what S3 sends to try a queue out (``s3:TestEvent``) and for events that are
        neither uploads nor deletions.

    Raises
    ------
    MalformedMessageError
        The body is in none of the shapes, or lacks what every event has.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedMessageError(f"the body is not JSON: {error}") from None
    try:
        return _parse_message(message)
    except KeyError as error:
        raise MalformedMessageError(f"the event has no {error}") from None
    except (TypeError, ValueError, OverflowError, AttributeError) as error:
        raise MalformedMessageError(f"the event is not in a known shape: {error}") from None


def split_body(body: str) -> list[str]:
    """Turn a notification that tells of several objects into one body for each of them."""
    message = json.loads(body)
    while "Records" not in message:
        message = json.loads(message["Message"])
    return [json.dumps({"Records": [record]}) for record in message["Records"]]


def job_of(body: str) -> str:
    """Return the job that a message is part of, and with which it waits behind uploads; empty where it is of none."""
    try:
        job = json.loads(body).get("job", "")
    except (ValueError, AttributeError, RecursionError):
        return ""  # it is told as malformed on its way
    return job if isinstance(job, str) else ""


def upload_body(upload: Upload, source: str) -> str:
    """Return an event like EventBridge's own of S3, for an upload that somebody else than S3 tells of.

    Parameters
    ----------
    source
        Who tells of it, such as ``imagescribe.retry``.
    """
    described: dict[str, Any] = {
        "key": upload.key,
        "size": upload.size,
        "etag": upload.etag,
        "sequencer": upload.sequencer,
    }
    if upload.version_id:
        described["version-id"] = upload.version_id
    return json.dumps(
        {
            "source": source,
            **({"job": upload.job} if upload.job else {}),
            "detail-type": "Object Created",
            "time": upload.uploaded_at,
            "detail": {"bucket": {"name": upload.bucket}, "object": described},
        }
    )


def deletion_body(deletion: Deletion, source: str) -> str:
    """Return an event like EventBridge's own of S3, for a deletion that somebody else than S3 tells of."""
    return json.dumps(
        {
            "source": source,
            "detail-type": "Object Deleted",
            "time": deletion.deleted_at,
            "detail": {
                "bucket": {"name": deletion.bucket},
                "object": {"key": deletion.key, "sequencer": deletion.sequencer},
            },
        }
    )


def _parse_message(message: Any) -> list[ObjectEvent]:
    if not isinstance(message, Mapping):
        raise MalformedMessageError(f"the body is JSON, but {type(message).__name__} instead of an object")
    if "detail-type" in message:
        return _parse_eventbridge(message)
    if "Records" in message:
        return [event for record in message["Records"] for event in _parse_record(record)]
    if message.get("Event") == "s3:TestEvent":
        return []
    if isinstance(message.get("Message"), str):  # SNS without raw delivery
        return parse_body(message["Message"])
    raise MalformedMessageError("the body is neither an EventBridge event, nor an S3 notification, nor one from SNS")


def _parse_eventbridge(event: Mapping[str, Any]) -> list[ObjectEvent]:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    match event["detail-type"]:
        case "Object Created":
            detail = event["detail"]
            upload = _upload(detail, detail["object"]["key"], "version-id", event["time"], detail.get("requester"))
            job = event.get("job")
            return [replace(upload, job=job) if isinstance(job, str) else upload]
        case "Object Deleted":
            detail = event["detail"]
            expired = detail.get("reason") == "Lifecycle Expiration" and detail.get("deletion-type") != _MARKER
            return [_deletion(detail, detail["object"]["key"], event["time"], expired=expired)]
        case _:
            return []


def _parse_record(record: Mapping[str, Any]) -> list[ObjectEvent]:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    name = record["eventName"].removeprefix("s3:")
    key = unquote_plus(record["s3"]["object"]["key"], errors="strict")
    if name.startswith("ObjectCreated:"):
        identity = record.get("userIdentity")
        requester = identity.get("principalId") if isinstance(identity, Mapping) else None
        return [_upload(record["s3"], key, "versionId", record["eventTime"], requester)]
    if name.startswith(("ObjectRemoved:", "LifecycleExpiration:")):
        return [_deletion(record["s3"], key, record["eventTime"], expired=name == "LifecycleExpiration:Delete")]
    return []


def _upload(detail: Mapping[str, Any], key: str, version_attribute: str, time: str, requester: object) -> Upload:
    described = detail["object"]
    version_id = described.get(version_attribute)
    return Upload(
        bucket=_name(detail["bucket"]["name"], "bucket"),
        key=_name(key, "key"),
        version_id=version_id if version_id and version_id != "null" else None,
        etag=described["etag" if "etag" in described else "eTag"].strip('"'),
        size=int(described["size"]),
        sequencer=_sequencer(described["sequencer"]),
        uploaded_at=_utc(time),
        # It orders nothing and pays for nothing, so no image is given up for what it looks like.
        requester=requester if isinstance(requester, str) and requester.isascii() and requester else None,
    )


def _deletion(detail: Mapping[str, Any], key: str, time: str, *, expired: bool) -> Deletion:
    return Deletion(
        bucket=_name(detail["bucket"]["name"], "bucket"),
        key=_name(key, "key"),
        sequencer=_sequencer(detail["object"]["sequencer"]),
        deleted_at=_utc(time),
        expired=expired,
    )


def _name(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value:
        raise MalformedMessageError(f"the event's {what} is {value!r}")
    value.encode()  # half of a surrogate pair, which JSON can hold and S3 can not, is a ValueError
    return value


def _sequencer(value: Any) -> str:
    # One that is greater than every other, "~" say, would keep all later events of its key out.
    if not isinstance(value, str) or not re.fullmatch("[0-9A-Fa-f]+", value):
        raise MalformedMessageError(f"the event's sequencer is {value!r}, which is no hexadecimal number")
    return value.upper()


def _utc(time: str) -> str:
    return iso_utc(datetime.fromisoformat(time).timestamp())
