"""An object is looked at without reading it, its URL names exactly it, and its other tags are kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from math import inf
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from requests import Request
from requests.sessions import Session

from imagescribe.aws.s3 import (
    HEAD_BYTES,
    MAX_SOURCE_BYTES,
    URL_LIFE_SECONDS,
    ObjectHead,
    Objects,
    rendered_from,
    skip_reason,
)
from imagescribe.errors import OutOfTimeError
from imagescribe.model.tags import OurTags, TagState
from tests.factories import Clock, make_deletion, make_picture, make_upload, unique

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_s3 import S3Client

    from imagescribe.model.events import Upload

KEYS = [
    "pets/cat.png",
    "holiday photos/Café + crème.png",
    "100%25 sure%2F.jpg",
    "?versionId=1#fragment&x=y.png",
    "a/../b/./c..d/...",
    "//double//slashes//",
    " leading and trailing ",
    "\u202eright-to-left.png",
    "写真/🏔️.webp",
    "back\\slash \"quoted\" 'single' <tag>.jpg",
    "x" * 1024,
    "é" * 512,
]
every_key = pytest.mark.parametrize("key", KEYS, ids=ascii)


@pytest.fixture
def objects(s3: S3Client) -> Objects:
    return Objects(s3)


def put(s3: S3Client, bucket: str, key: str, content: bytes, **more: Any) -> Upload:
    """Put an object and give the upload that its event would tell of."""
    answer = s3.put_object(Bucket=bucket, Key=key, Body=content, **more)
    etag, version_id = answer["ETag"].strip('"'), answer.get("VersionId")
    return make_upload(bucket=bucket, key=key, etag=etag, size=len(content), version_id=version_id)


def fails(code: str, operation: str = "") -> Callable[..., Any]:
    """What a client does instead, where one operation is refused."""

    def call(_client: object, name: str, _arguments: object) -> Any:
        if not operation or name == operation:
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, name)
        return {"TagSet": []}

    return call


def refuse(code: str, operation: str = "") -> Any:
    return patch("botocore.client.BaseClient._make_api_call", fails(code, operation))


# ── Inspect ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_look_gives_etag_size_and_first_bytes(objects: Objects, s3: S3Client, bucket: str) -> None:
    picture = make_picture()
    upload = put(s3, bucket, unique("key"), picture)
    assert objects.inspect(upload) == ObjectHead(upload.etag, len(picture), None, picture[:HEAD_BYTES])


@pytest.mark.parametrize("size", [1, HEAD_BYTES - 1, HEAD_BYTES, HEAD_BYTES + 1])
def test_a_look_at_an_object_shorter_than_the_look_is_right_too(
    size: int, objects: Objects, s3: S3Client, bucket: str
) -> None:
    upload = put(s3, bucket, unique("key"), b"x" * size)
    assert objects.inspect(upload) == ObjectHead(upload.etag, size, None, b"x" * min(size, HEAD_BYTES))


def test_an_empty_object_is_seen_as_one(objects: Objects, s3: S3Client, bucket: str) -> None:
    upload = put(s3, bucket, unique("key"), b"")
    assert objects.inspect(upload) == ObjectHead(upload.etag, 0, None, b"")


def test_a_look_sees_the_newest_version_and_says_which(objects: Objects, s3: S3Client, versioned_bucket: str) -> None:
    key = unique("key")
    old = put(s3, versioned_bucket, key, b"old")
    new = put(s3, versioned_bucket, key, b"newer")
    assert new.version_id != old.version_id
    assert objects.inspect(old) == ObjectHead(new.etag, 5, new.version_id, b"newer")


def test_the_null_version_is_none_since_it_can_be_overwritten(objects: Objects, s3: S3Client) -> None:
    answer = {
        "Body": StreamingBody(BytesIO(b"x"), 1),
        "ETag": '"e"',
        "ContentRange": "bytes 0-0/1",
        "VersionId": "null",
    }
    with patch.object(s3, "get_object", return_value=answer):
        assert objects.inspect(make_upload()) == ObjectHead("e", 1, None, b"x")


@every_key
def test_an_object_with_an_awkward_key_is_found(key: str, objects: Objects, s3: S3Client, bucket: str) -> None:
    upload = put(s3, bucket, key, f"of {key}".encode())
    found = objects.inspect(upload)
    assert found is not None
    assert found.etag == upload.etag


def test_nothing_is_found_where_nothing_is(objects: Objects, bucket: str) -> None:
    assert objects.inspect(make_upload(bucket=bucket, key="missing")) is None
    assert objects.inspect(make_deletion(bucket=bucket, key="missing")) is None
    assert objects.inspect(make_upload(bucket="no-such-bucket-at-all")) is None


def test_nothing_is_found_behind_a_delete_marker(objects: Objects, s3: S3Client, versioned_bucket: str) -> None:
    upload = put(s3, versioned_bucket, unique("key"), b"content")
    s3.delete_object(Bucket=upload.bucket, Key=upload.key)
    assert objects.inspect(upload) is None


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "InternalError", "403"])
def test_a_failure_is_not_taken_for_a_missing_object(code: str, objects: Objects) -> None:
    with refuse(code), pytest.raises(ClientError, match=code):
        objects.inspect(make_upload())
    with refuse(code), pytest.raises(ClientError, match=code):
        objects.head(make_upload())


def test_an_archived_object_is_found_and_said_to_be_unreadable(objects: Objects, s3: S3Client, bucket: str) -> None:
    upload = put(s3, bucket, unique("key"), make_picture())
    with patch.object(s3, "get_object", side_effect=error("InvalidObjectState")):
        found = objects.inspect(upload)
    assert found is not None
    assert (found.etag, found.size) == (upload.etag, upload.size)
    assert skip_reason(found, 10**6) == "archived (S3 Glacier): restore it, then run `imagescribe retry`"


def test_an_object_encrypted_with_a_key_of_its_owners_is_said_to_be_unreadable(objects: Objects, s3: S3Client) -> None:
    upload = make_upload()
    said = "The object was stored using a form of Server Side Encryption. The correct parameters must be provided."
    refused = ClientError({"Error": {"Code": "InvalidRequest", "Message": said}}, "GetObject")
    with patch.object(s3, "get_object", side_effect=refused), patch.object(s3, "head_object", side_effect=error("400")):
        for found in (objects.inspect(upload), objects.head(upload)):
            assert found is not None
            assert (found.etag, found.version_id) == (upload.etag, upload.version_id)
            assert skip_reason(found, 10**6) == "encrypted with a key that only its owner has (SSE-C)"


def test_an_object_that_goes_between_two_looks_at_it_is_missing(objects: Objects, s3: S3Client, bucket: str) -> None:
    upload = put(s3, bucket, unique("key"), b"")
    with refuse("404", "HeadObject"), patch.object(s3, "get_object", side_effect=error("InvalidRange")):
        assert objects.inspect(upload) is None


def error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "GetObject")


# ── What is there now? ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_look_sees_an_overwrite_and_a_deletion(objects: Objects, s3: S3Client, bucket: str) -> None:
    upload = put(s3, bucket, unique("key"), b"first")
    first = objects.head(upload)
    assert first is not None
    assert (first.etag, first.size, first.version_id) == (upload.etag, 5, None)
    second = put(s3, bucket, upload.key, b"second")
    found = objects.head(upload)
    assert found is not None
    assert found.etag == second.etag != upload.etag
    s3.delete_object(Bucket=bucket, Key=upload.key)
    assert objects.head(upload) is None


# ── Fit for the endpoint ─────────────────────────────────────────────────────────────────────────────────────────────


def head_of(content: bytes, size: int | None = None) -> ObjectHead:
    return ObjectHead("etag", len(content) if size is None else size, None, content[:HEAD_BYTES])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_what_the_endpoint_takes_goes_to_it_as_it_is_up_to_its_limit(form: str) -> None:
    picture = make_picture(form=form)
    head = head_of(picture)
    assert skip_reason(head, max_bytes_as_it_is=len(picture)) is None
    assert rendered_from(head, max_bytes_as_it_is=len(picture)) is None
    assert skip_reason(head, max_bytes_as_it_is=len(picture) - 1) is None
    assert rendered_from(head, max_bytes_as_it_is=len(picture) - 1) == form.lower()


@pytest.mark.parametrize("form", ["GIF", "TIFF", "BMP", "AVIF"])
def test_other_pictures_are_rendered(form: str) -> None:
    head = head_of(make_picture(form=form))
    assert skip_reason(head, max_bytes_as_it_is=10**6) is None
    assert rendered_from(head, max_bytes_as_it_is=10**6) == form.lower()


def test_what_is_no_picture_is_unfit_whatever_it_is_called() -> None:
    reason = skip_reason(head_of(b"hello, I am a .jpg"), max_bytes_as_it_is=1000)
    assert reason == "not an image of a known kind (by its first bytes)"


def test_an_empty_object_is_unfit() -> None:
    assert skip_reason(head_of(b""), max_bytes_as_it_is=1000) == "the object is empty"


def test_of_an_object_that_is_too_large_no_rendition_is_made() -> None:
    picture = make_picture()
    assert skip_reason(head_of(picture, MAX_SOURCE_BYTES), max_bytes_as_it_is=1000) is None
    reason = skip_reason(head_of(picture, MAX_SOURCE_BYTES + 1), max_bytes_as_it_is=1000)
    assert reason == "200,000,001 bytes, and no more than 200,000,000 are converted"
    # An endpoint that takes as much gets it as it is.
    assert skip_reason(head_of(picture, MAX_SOURCE_BYTES + 1), max_bytes_as_it_is=10**9) is None


# ── Presign ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@every_key
@pytest.mark.parametrize("version_id", [None, "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"])
def test_a_url_names_exactly_the_upload_by_sigv4_on_the_regions_virtual_host(
    key: str, version_id: str | None, objects: Objects, aws: boto3.Session
) -> None:
    parts = urlsplit(objects.presign(make_upload(key=key, version_id=version_id)))
    query = parse_qs(parts.query, strict_parsing=True)
    assert parts.scheme == "https"
    assert parts.netloc == f"imagescribe-test.s3.{aws.region_name}.amazonaws.com"
    assert unquote(parts.path) == f"/{key}"
    assert parts.fragment == ""
    assert query.get("versionId") == (None if version_id is None else [version_id])
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Credential"][0].endswith(f"/{aws.region_name}/s3/aws4_request")
    assert query["X-Amz-Expires"] == [str(URL_LIFE_SECONDS)]
    assert query["X-Amz-Security-Token"] == ["session/token+of=testing"]
    assert len(query["X-Amz-Signature"][0]) == 64
    assert not {"AWSAccessKeyId", "Signature"} & set(query)


@every_key
def test_an_http_client_asks_for_the_key_that_the_url_names(key: str, objects: Objects) -> None:
    prepared = Session().prepare_request(Request("GET", objects.presign(make_upload(key=key))))
    assert unquote(prepared.path_url.partition("?")[0]) == f"/{key}"


def test_a_url_lives_for_minutes_since_the_provider_may_store_it() -> None:
    assert URL_LIFE_SECONDS <= 300


# ── Tags ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def state_of(objects: Objects, upload: Upload, prompt: str, deadline: float = inf) -> TagState:
    tagging = objects.tag(upload, OurTags({"prompt": prompt}), deadline)
    assert tagging is not None
    return tagging.state


def tags_of(s3: S3Client, upload: Upload) -> dict[str, str]:
    version: dict[str, Any] = {"VersionId": upload.version_id} if upload.version_id else {}
    answer = s3.get_object_tagging(Bucket=upload.bucket, Key=upload.key, **version)
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


@every_key
def test_a_tag_is_written_and_the_others_kept(key: str, objects: Objects, s3: S3Client, bucket: str) -> None:
    upload = put(s3, bucket, key, b"content", Tagging="album=garden&owner=Ann")
    assert state_of(objects, upload, "a cat") is TagState.WRITTEN
    assert tags_of(s3, upload) == {"album": "garden", "owner": "Ann", "prompt": "a cat"}


def test_a_tag_is_written_anew_and_no_second_time(objects: Objects, s3: S3Client, bucket: str) -> None:
    upload = put(s3, bucket, unique("key"), b"content")
    for value in ("a cat", "a dog"):
        assert state_of(objects, upload, value) is TagState.WRITTEN
    assert tags_of(s3, upload) == {"prompt": "a dog"}
    with patch.object(s3, "put_object_tagging") as write:
        assert state_of(objects, upload, "a dog") is TagState.WRITTEN
    assert not write.called


def test_an_empty_value_is_a_tag_too(objects: Objects, s3: S3Client, bucket: str) -> None:
    upload = put(s3, bucket, unique("key"), b"content")
    assert state_of(objects, upload, "") is TagState.WRITTEN
    assert tags_of(s3, upload) == {"prompt": ""}


def test_the_version_that_was_uploaded_is_tagged_and_not_a_later_one(
    objects: Objects, s3: S3Client, versioned_bucket: str
) -> None:
    old = put(s3, versioned_bucket, unique("key"), b"old")
    new = put(s3, versioned_bucket, old.key, b"new")
    assert state_of(objects, old, "the old one") is TagState.WRITTEN
    assert tags_of(s3, old) == {"prompt": "the old one"}
    assert tags_of(s3, new) == {}


def test_a_full_tag_set_keeps_the_users_tags(objects: Objects, s3: S3Client, bucket: str) -> None:
    theirs = {f"user-{number}": "theirs" for number in range(10)}
    upload = put(s3, bucket, unique("key"), b"content", Tagging="&".join(f"{k}={v}" for k, v in theirs.items()))
    assert state_of(objects, upload, "a cat") is TagState.FULL
    assert tags_of(s3, upload) == theirs


def test_a_full_tag_set_with_ours_in_it_is_written_anew(objects: Objects, s3: S3Client, bucket: str) -> None:
    tagging = "&".join(f"user-{number}=theirs" for number in range(9)) + "&prompt=old"
    upload = put(s3, bucket, unique("key"), b"content", Tagging=tagging)
    assert state_of(objects, upload, "new") is TagState.WRITTEN
    assert tags_of(s3, upload)["prompt"] == "new"
    assert len(tags_of(s3, upload)) == 10


@pytest.mark.parametrize("operation", ["GetObjectTagging", "PutObjectTagging"])
def test_tags_that_we_may_not_read_or_write_are_denied(operation: str, objects: Objects) -> None:
    with refuse("AccessDenied", operation):
        assert state_of(objects, make_upload(), "a cat") is TagState.DENIED


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchKey", "SlowDown", "InternalError"])
def test_tags_that_can_not_be_read_are_never_written_since_that_would_erase_them(
    code: str, objects: Objects, s3: S3Client
) -> None:
    with (
        patch.object(s3, "get_object_tagging", side_effect=error(code)),
        patch.object(s3, "put_object_tagging") as write,
        suppress(ClientError),
    ):
        objects.tag(make_upload(), OurTags({"prompt": "a cat"}))
    assert not write.called


@pytest.mark.parametrize("code", ["SlowDown", "InternalError", "InvalidTag"])
def test_another_failure_of_tagging_is_not_hidden(code: str, objects: Objects) -> None:
    with refuse(code, "PutObjectTagging"), pytest.raises(ClientError, match=code):
        objects.tag(make_upload(), OurTags({"prompt": "a cat"}))


def test_there_is_nothing_to_tag_where_the_object_is_gone(
    objects: Objects, s3: S3Client, bucket: str, versioned_bucket: str
) -> None:
    assert objects.tag(make_upload(bucket=bucket, key="missing"), OurTags({"prompt": "a cat"})) is None
    assert objects.tag(make_upload(bucket="no-such-bucket-at-all"), OurTags({"prompt": "a cat"})) is None
    version = put(s3, versioned_bucket, unique("key"), b"content")
    s3.delete_object(Bucket=version.bucket, Key=version.key, VersionId=version.version_id or "")
    assert objects.tag(version, OurTags({"prompt": "a cat"})) is None


def test_no_tag_is_written_after_the_deadline(s3: S3Client, bucket: str, clock: Clock) -> None:
    upload = put(s3, bucket, unique("key"), b"content")
    objects = Objects(s3, clock)
    with pytest.raises(OutOfTimeError):
        objects.tag(upload, OurTags({"prompt": "a cat"}), deadline=clock.now - 1)
    assert s3.get_object_tagging(Bucket=bucket, Key=upload.key)["TagSet"] == []
    assert state_of(objects, upload, "a cat", deadline=clock.now + 1) is TagState.WRITTEN
