"""The imaging function as it is invoked: where it reads, what it makes of it, and what it answers."""

from __future__ import annotations

import multiprocessing
import os
import signal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from imagescribe.aws import s3 as describe_side
from tests.factories import make_picture
from tests.unit.imaging_in_process import DERIVED_BUCKET, load_imaging
from tests.unit.in_memory.s3 import InMemoryS3

# Deployed, the process that forks has one thread.
pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")

function = load_imaging()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> InMemoryS3:
    s3 = InMemoryS3(versioned={"versioned"})
    monkeypatch.setattr(function, "_s3", s3)
    return s3


def stored(s3: InMemoryS3, content: bytes, bucket: str = "pictures") -> dict[str, Any]:
    """Put an object, and return what the function is told of it."""
    answer = s3.put_object(Bucket=bucket, Key="photos/cat.gif", Body=content)
    etag = answer["ETag"].strip('"')
    return {
        "bucket": bucket,
        "key": "photos/cat.gif",
        "version_id": answer.get("VersionId"),
        "etag": etag,
        "content": f"{etag}-{len(content)}",
    }


def derived(s3: InMemoryS3, answer: dict[str, Any]) -> Image.Image:
    return Image.open(BytesIO(s3.get_object(Bucket=answer["bucket"], Key=answer["key"])["Body"].read()))


def test_a_rendition_stands_under_its_content_in_the_derived_bucket(s3: InMemoryS3) -> None:
    source = stored(s3, make_picture(form="GIF"))
    answer = function.handler({"rendition": {**source, "max_bytes": 10**6}}, None)
    assert answer == {"bucket": DERIVED_BUCKET, "key": f"renditions/{source['content']}", "is_new": True}
    assert derived(s3, answer).format == "JPEG"


def test_a_thumbnail_has_a_place_of_its_own(s3: InMemoryS3) -> None:
    source = stored(s3, make_picture(size=(1000, 500)))
    answer = function.handler({"thumbnail": source}, None)
    assert answer == {"bucket": DERIVED_BUCKET, "key": f"thumbnails/{source['content']}", "is_new": True}
    assert (derived(s3, answer).format, derived(s3, answer).size) == ("WEBP", (512, 256))


def test_what_is_there_is_not_made_again(s3: InMemoryS3) -> None:
    event = {"rendition": {**stored(s3, make_picture(form="GIF")), "max_bytes": 10**6}}
    first = function.handler(event, None)
    s3.delete_object(Bucket="pictures", Key="photos/cat.gif")
    assert function.handler(event, None) == first | {"is_new": False}


def test_what_is_there_and_is_more_than_the_endpoint_takes_now_is_made_again(s3: InMemoryS3) -> None:
    noise = BytesIO()
    Image.effect_noise((300, 300), 90).save(noise, "GIF")
    source = stored(s3, noise.getvalue())
    function.handler({"rendition": {**source, "max_bytes": 10**6}}, None)
    answer = function.handler({"rendition": {**source, "max_bytes": 9_000}}, None)
    assert answer["is_new"]
    assert s3.head_object(Bucket=DERIVED_BUCKET, Key=answer["key"])["ContentLength"] <= 9_000


def test_the_version_that_is_meant_is_read_and_no_later_one(s3: InMemoryS3) -> None:
    source = stored(s3, make_picture("red", form="GIF"), "versioned")
    stored(s3, make_picture("blue", form="GIF"), "versioned")
    answer = function.handler({"rendition": {**source, "max_bytes": 10**6}}, None)
    red, _, blue = derived(s3, answer).getpixel((5, 5))  # type: ignore[misc]
    assert red > 200 > 50 > blue


@pytest.mark.parametrize("is_deleted", [True, False])
def test_what_is_overwritten_or_deleted_meanwhile_is_not_rendered(is_deleted: bool, s3: InMemoryS3) -> None:
    source = stored(s3, make_picture("red", form="GIF"))
    if is_deleted:
        s3.delete_object(Bucket="pictures", Key="photos/cat.gif")
    else:
        stored(s3, make_picture("blue", form="GIF"))
    answer = function.handler({"rendition": {**source, "max_bytes": 10**6}}, None)
    assert answer == {"unfit": "it was deleted or overwritten meanwhile"}


def test_a_file_that_is_no_picture_is_unfit_and_nothing_is_kept(s3: InMemoryS3) -> None:
    answer = function.handler({"thumbnail": stored(s3, b"no picture")}, None)
    assert answer == {"unfit": "not a picture of a known kind, or its header is broken"}
    assert not [bucket for bucket, _ in s3.stacks if bucket == DERIVED_BUCKET]


def test_an_object_that_is_too_large_is_not_downloaded(s3: InMemoryS3, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(function, "MAX_SOURCE_BYTES", 100)
    answer = function.handler({"thumbnail": stored(s3, make_picture(form="BMP"))}, None)
    assert answer == {"unfit": "9,270 bytes, and no more than 100 are converted"}


def test_both_functions_know_the_same_bound() -> None:
    assert function.MAX_SOURCE_BYTES == describe_side.MAX_SOURCE_BYTES


@pytest.mark.parametrize("operation", ["get_object", "head_object"])
def test_a_failure_of_s3_is_none_of_the_files(operation: str, s3: InMemoryS3, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_request: str) -> None:
        raise function.ClientError({"Error": {"Code": "AccessDenied"}}, "GetObject")

    source = stored(s3, make_picture())
    monkeypatch.setattr(s3, operation, refuse)
    with pytest.raises(function.ClientError, match="AccessDenied"):
        function.handler({"thumbnail": source}, None)


def test_nothing_else_can_be_asked_for(s3: InMemoryS3) -> None:
    with pytest.raises(ValueError, match="nothing is known of how to make a film"):
        function.handler({"film": {}}, None)


def test_what_is_fetched_goes_with_a_function_that_is_killed_over_it(
    s3: InMemoryS3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(function.sandbox, "run", lambda _work: os.kill(os.getpid(), signal.SIGKILL))
    event = {"thumbnail": stored(s3, make_picture())}
    process = multiprocessing.get_context("fork").Process(target=function.handler, args=(event, None))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []  # Lambda keeps it when it starts a new process
