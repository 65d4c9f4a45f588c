"""An annotation is asked for as boto3 asks for it, and what S3 says to that never undoes what is paid for."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import ClientError, ConnectTimeoutError

from imagescribe.aws.annotations import MAX_TRIES, Annotations, annotation_text
from imagescribe.aws.s3 import CLIENT_CONFIG
from imagescribe.model.tags import TagState
from tests.factories import PROMPT, make_upload, stand_in
from tests.unit.aws.test_s3 import KEYS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from imagescribe.model.events import Upload

SAID = (PROMPT, "pixtral-12b", "2026-11-02T09:15:04.000Z")
TEXT = annotation_text(*SAID)


class Http:
    """Answers each request as it is told to, and keeps them."""

    def __init__(self, *answers: tuple[int, str] | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[AWSPreparedRequest] = []

    def send(self, request: AWSPreparedRequest) -> Any:
        self.requests.append(request)
        answer = self._answers.pop(0) if self._answers else (200, "")
        if isinstance(answer, Exception):
            raise answer
        return SimpleNamespace(status_code=answer[0], content=answer[1].encode())


def says(status: int, code: str) -> tuple[int, str]:
    return status, f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>as the test wants it</Message></Error>'


@pytest.fixture(scope="module")
def client(aws: boto3.Session) -> S3Client:
    return aws.client("s3", config=CLIENT_CONFIG)


@pytest.fixture
def write(aws: boto3.Session, client: S3Client) -> Callable[..., TagState | None]:
    def write(http: Http, upload: Upload | None = None) -> TagState | None:
        return Annotations(client, aws, http, lambda _seconds: None).write(upload or make_upload(), *SAID)

    return write


def as_boto3_asks(client: S3Client, upload: Upload) -> AWSPreparedRequest:
    """Return the request that boto3 would send, had it the operation on board."""
    sent: list[AWSPreparedRequest] = []

    def keep(request: AWSPreparedRequest, **_: Any) -> Any:
        sent.append(request)
        return AWSResponse(request.url, 200, stand_in({}), stand_in(Raw()))

    events: Any = client.meta.events
    events.register("before-send.s3.PutObjectAnnotation", keep)
    version: Any = {"VersionId": upload.version_id} if upload.version_id else {}
    client.put_object_annotation(
        Bucket=upload.bucket,
        Key=upload.key,
        AnnotationName="imagescribe.prompt",
        AnnotationPayload=TEXT.encode(),
        ObjectIfMatch=f'"{upload.etag}"',
        **version,
    )
    events.unregister("before-send.s3.PutObjectAnnotation", keep)
    return sent[0]


class Raw:
    def stream(self, *_: Any) -> list[bytes]:
        return [b""]


@pytest.mark.parametrize("key", KEYS, ids=ascii)
@pytest.mark.parametrize("version_id", [None, "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e+/="])
def test_the_request_is_the_one_that_boto3_makes(
    key: str, version_id: str | None, client: S3Client, write: Callable[..., TagState | None]
) -> None:
    upload, http = make_upload(key=key, version_id=version_id), Http()
    assert write(http, upload) is TagState.WRITTEN
    (ours,), boto3s = http.requests, as_boto3_asks(client, upload)
    assert ours.method == boto3s.method == "PUT"
    parts, expected = urlsplit(ours.url), urlsplit(boto3s.url)
    assert (parts.scheme, parts.netloc, parts.path) == (expected.scheme, expected.netloc, expected.path)
    assert unquote(parts.path) == f"/{key}"
    query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=False)
    assert query == parse_qs(expected.query, keep_blank_values=True)
    assert ours.headers["x-amz-object-if-match"] == f'"{upload.etag}"'
    assert boto3s.headers["x-amz-object-if-match"] in (f'"{upload.etag}"', f'"{upload.etag}"'.encode())
    assert ours.body == TEXT.encode()


def test_the_request_is_signed_with_the_body_and_the_condition(write: Callable[..., TagState | None]) -> None:
    http = Http()
    write(http)
    headers = http.requests[0].headers
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=")
    assert "x-amz-object-if-match" in headers["Authorization"]
    assert len(headers["X-Amz-Content-SHA256"]) == 64
    assert headers["X-Amz-Security-Token"] == "session/token+of=testing"


def test_an_annotation_is_json_with_the_prompt_the_model_and_the_time() -> None:
    assert json.loads(TEXT) == {
        "prompt": PROMPT,
        "model": "pixtral-12b",
        "described_at": "2026-11-02T09:15:04.000Z",
    }
    assert "é" in annotation_text("é", None, "")


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (says(412, "PreconditionFailed"), None),
        (says(404, "NoSuchKey"), None),
        (says(404, "NoSuchVersion"), None),
        (says(403, "AccessDenied"), TagState.DENIED),
        (says(400, "AnnotationLimitExceeded"), TagState.FULL),
        (says(400, "InvalidRequest"), TagState.DENIED),
        ((400, "no XML at all"), TagState.DENIED),
    ],
)
def test_what_s3_refuses_is_no_failure_of_the_image(
    answer: tuple[int, str], state: TagState | None, write: Callable[..., TagState | None]
) -> None:
    http = Http(answer)
    assert write(http) is state
    assert len(http.requests) == 1


@pytest.mark.parametrize("failure", [says(503, "SlowDown"), says(500, "InternalError")])
def test_what_may_pass_is_tried_again_at_once_and_then_with_the_message(
    failure: tuple[int, str], write: Callable[..., TagState | None]
) -> None:
    http = Http(failure, failure)
    assert write(http) is TagState.WRITTEN
    assert len(http.requests) == 3
    http = Http(*[failure] * MAX_TRIES)
    with pytest.raises(ClientError):
        write(http)
    assert len(http.requests) == MAX_TRIES


def test_a_connection_that_fails_is_tried_again(write: Callable[..., TagState | None]) -> None:
    failure = ConnectTimeoutError(endpoint_url="https://example.invalid")
    assert write(Http(failure)) is TagState.WRITTEN
    with pytest.raises(ConnectTimeoutError):
        write(Http(*[failure] * MAX_TRIES))


def test_credentials_that_expired_are_for_the_next_delivery(write: Callable[..., TagState | None]) -> None:
    with pytest.raises(ClientError, match="ExpiredToken"):
        write(Http(says(400, "ExpiredToken")))
