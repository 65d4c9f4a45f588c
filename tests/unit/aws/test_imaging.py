"""What the imaging function is asked, and how its answers are taken."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from imagescribe.aws.imaging import Derived, Imaging, ImagingError, Unfit
from imagescribe.model.answers import Limited, Transient
from tests.factories import make_picture, make_upload, stand_in
from tests.unit.imaging_in_process import DERIVED_BUCKET, ImagingInProcess
from tests.unit.in_memory.s3 import InMemoryS3
from tests.unit.stage import aws_error


@pytest.fixture
def client() -> ImagingInProcess:
    return ImagingInProcess(InMemoryS3())


@pytest.fixture
def imaging(client: ImagingInProcess) -> Imaging:
    return Imaging(lambda: stand_in(client), "imaging")


def stored(client: ImagingInProcess, content: bytes, key: str = "cat.gif") -> Any:
    etag = client.s3.put_object(Bucket="pictures", Key=key, Body=content)["ETag"].strip('"')
    return make_upload(bucket="pictures", key=key, etag=etag, size=len(content), version_id=None)


def test_no_client_is_made_until_a_picture_needs_one() -> None:
    def never() -> Any:
        pytest.fail("a client takes a while to make")

    Imaging(never, "imaging")


def test_a_client_is_made_once(client: ImagingInProcess) -> None:
    made: list[ImagingInProcess] = []

    def make() -> Any:
        made.append(client)
        return client

    imaging = Imaging(make, "imaging")
    for _ in range(2):
        imaging.rendition(stored(client, make_picture(form="GIF")), 10**6)
    assert len(made) == 1


def test_a_rendition_is_told_with_its_place(client: ImagingInProcess, imaging: Imaging) -> None:
    upload = stored(client, make_picture(form="GIF"))
    key = f"renditions/{upload.etag}-{upload.size}"
    assert imaging.rendition(upload, 10**6) == Derived(DERIVED_BUCKET, key, is_new=True)
    assert imaging.rendition(upload, 10**6) == Derived(DERIVED_BUCKET, key, is_new=False)


def test_a_thumbnail_is_told_with_its_place(client: ImagingInProcess, imaging: Imaging) -> None:
    upload = stored(client, make_picture())
    assert imaging.thumbnail(upload) == Derived(DERIVED_BUCKET, f"thumbnails/{upload.etag}-{upload.size}", is_new=True)


def test_what_is_no_picture_is_unfit(client: ImagingInProcess, imaging: Imaging) -> None:
    upload = stored(client, b"no picture")
    reason = Unfit("not a picture of a known kind, or its header is broken")
    assert imaging.rendition(upload, 10**6) == imaging.thumbnail(upload) == reason


def test_a_failure_of_the_function_is_an_attempt_or_an_error(client: ImagingInProcess, imaging: Imaging) -> None:
    upload = stored(client, make_picture())
    client.failures.extend(["signal: killed"] * 2)
    words = "the imaging function failed (Runtime.ExitError: signal: killed)"
    assert imaging.rendition(upload, 10**6) == Transient(words)
    with pytest.raises(ImagingError, match="signal: killed"):
        imaging.thumbnail(upload)


def test_a_function_that_is_busy_is_waited_for(client: ImagingInProcess, imaging: Imaging) -> None:
    client.failures.append(aws_error("TooManyRequestsException", "Invoke"))
    assert imaging.rendition(stored(client, make_picture()), 10**6) == Limited("the imaging function is busy", None)


def test_a_refusal_is_not_hidden(client: ImagingInProcess, imaging: Imaging) -> None:
    client.failures.append(aws_error("AccessDeniedException", "Invoke"))
    with pytest.raises(ClientError, match="AccessDenied"):
        imaging.rendition(stored(client, make_picture()), 10**6)
