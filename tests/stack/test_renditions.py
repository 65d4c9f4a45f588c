"""What the endpoint would not take as it is: converted by a function of its own, described, and paid once."""

from __future__ import annotations

import json
import urllib.request
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import pytest
from PIL import Image

from tests.stack.conftest import Stacks
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture
from tests.unit.imaging.test_pictures import IN_COLOUR, SAMPLES, cat, errors

KINDS = {
    "cat.heic": "heic",
    "cat.avif": "avif",
    "sixteen-bit.tiff": "tiff",
    "animated.gif": "gif",
    "cat.bmp": "bmp",
}
FOLDER = {
    # as they are called there: what they are
    "IMG_0001.HEIC": "cat.heic",
    "IMG_0001.MOV": "live.mov",
    "IMG_0002.JPG": "ten-bit.heic",
    "IMG_0003.JPG": "turned.jpg",
    "IMG_0004.PNG": "cat.png",
    "DSC_0001.TIF": "cmyk.tiff",
}
RENDERED_FROM = {
    "IMG_0001.HEIC": "heic",
    "IMG_0002.JPG": "heic",
    "IMG_0003.JPG": None,
    "IMG_0004.PNG": None,
    "DSC_0001.TIF": "tiff",
    "DSC_0002.JPG": "jpeg",
}
SKIPPED = {
    "IMG_0001.MOV": "a film, such as the moving part of a Live Photo",
    "IMG_0001.AAE": "not an image of a known kind",
    "DSC_0003.NEF": "a camera's raw file",
}
CRASHING = "import os\n\n\ndef handler(event, context):\n    os.abort()\n"


@pytest.mark.parametrize("name", KINDS)
def test_an_image_of_any_kind_is_described_by_a_jpeg_of_it(name: str, stack: Deployment) -> None:
    upload = stack.put(f"renditions/{name}", (SAMPLES / name).read_bytes())
    record = stack.until_described(upload.key)[upload.key]
    assert record["rendered_from"] == KINDS[name]
    assert record["etag"] == upload.etag
    jpeg = stack.rendition(upload)
    made = Image.open(BytesIO(jpeg))
    assert made.format == "JPEG"
    assert max(errors(made, cat())) < IN_COLOUR
    assert b"Secret" not in jpeg
    assert sum(call.billed for call in stack.calls_of_rendition(upload)) == 1
    assert stack.paid(upload) is not None
    assert stack.calls(upload.key) == []
    assert stack.tags(upload.key)["prompt"]


def test_a_folder_straight_from_a_phone_and_a_camera_ends_described_or_skipped_with_the_reason(
    stack: Deployment,
) -> None:
    large = BytesIO()
    cat().resize((3000, 2000)).save(large, "JPEG", quality=90)
    raw = BytesIO()
    cat().save(raw, "TIFF", tiffinfo={254: 1})  # as DNG, NEF and ARW begin
    files = {name: (SAMPLES / source).read_bytes() for name, source in FOLDER.items()}
    files |= {"DSC_0002.JPG": large.getvalue(), "DSC_0003.NEF": raw.getvalue(), "IMG_0001.AAE": b"<?xml?><plist/>"}
    assert len(files["DSC_0002.JPG"]) > 250_000
    # None has been paid for before: each has a box of its own behind it, which no decoder reads.
    uploads = {
        name: stack.put(f"DCIM/100APPLE/{name}", content + b"\0\0\0\x10free" + name[-8:].encode())
        for name, content in files.items()
    }
    described = stack.until_described(*(uploads[name].key for name in RENDERED_FROM))
    assert {name: described[uploads[name].key]["rendered_from"] for name in RENDERED_FROM} == RENDERED_FROM
    for name, kind in RENDERED_FROM.items():
        upload = uploads[name]
        (call,) = stack.calls_of_rendition(upload) if kind else stack.calls(upload.key)
        assert call.billed
        if kind:
            jpeg = stack.rendition(upload)
            assert call.sha256 == sha256(jpeg).hexdigest()
            assert b"Secret" not in jpeg
            made = Image.open(BytesIO(jpeg))
            assert max(made.size) <= 2048
            assert max(errors(made.resize(cat().size), cat())) < IN_COLOUR, name
    skipped = stack.until_status("skipped", *(uploads[name].key for name in SKIPPED))
    for name, reason in SKIPPED.items():
        assert reason in skipped[uploads[name].key]["error"]
        assert stack.calls(uploads[name].key) == []
    assert RENDERED_FROM.keys() | SKIPPED.keys() == files.keys()


def test_an_image_that_the_endpoint_takes_goes_as_it_is_with_all_that_it_says(stack: Deployment) -> None:
    content = (SAMPLES / "turned.jpg").read_bytes()
    assert b"Secret" in content
    upload = stack.put("renditions/as-it-is.jpg", content)
    assert stack.until_described(upload.key)[upload.key]["rendered_from"] is None
    (call,) = stack.calls(upload.key)
    assert call.sha256 == sha256(content).hexdigest()


def test_an_image_over_the_endpoints_limit_is_described_by_a_smaller_one(stack: Deployment) -> None:
    upload = stack.put("renditions/large.png", picture(width=300, height=290))
    assert upload.size > 250_000
    assert stack.until_described(upload.key)[upload.key]["rendered_from"] == "png"
    assert len(stack.rendition(upload)) <= 250_000


def test_a_copy_of_what_is_paid_for_costs_neither_a_call_nor_a_conversion(stack: Deployment) -> None:
    content = BytesIO()
    cat().transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(content, "GIF")
    first = stack.put("renditions/first.gif", content.getvalue())
    stack.until_described(first.key)
    stack.s3.delete_object(Bucket=stack.outputs.derived_bucket_name, Key=f"renditions/{first.content}")
    copy = stack.put("renditions/copy.gif", content.getvalue())
    assert stack.until_described(copy.key)[copy.key]["rendered_from"] == "gif"
    assert sum(call.billed for call in stack.calls_of_rendition(first)) == 1
    assert "Contents" not in stack.s3.list_objects_v2(
        Bucket=stack.outputs.derived_bucket_name, Prefix=f"renditions/{first.content}"
    )


def test_an_image_that_breaks_off_is_skipped_with_the_reason(stack: Deployment) -> None:
    upload = stack.put("renditions/broken.heic", (SAMPLES / "cat.heic").read_bytes()[:4000])
    record = stack.until_status("skipped", upload.key)[upload.key]
    assert "decode" in record["error"]
    assert stack.calls_of_rendition(upload) == []
    assert stack.dead_letters_of(upload.key) == []


def test_a_thumbnail_is_made_when_it_is_asked_for(stack: Deployment) -> None:
    upload = stack.put("renditions/turned.jpg", (SAMPLES / "turned.jpg").read_bytes())
    source = {"bucket": upload.bucket, "key": upload.key, "version_id": None, "etag": upload.etag}
    event = {"thumbnail": {**source, "content": upload.content}}
    answers = [
        json.loads(
            stack.lambda_functions.invoke(
                FunctionName=stack.outputs.imaging_function_name, Payload=json.dumps(event).encode()
            )["Payload"].read()
        )
        for _ in range(2)
    ]
    assert [answer["is_new"] for answer in answers] == [True, False]
    url = stack.s3.generate_presigned_url(
        "get_object", Params={"Bucket": answers[0]["bucket"], "Key": answers[0]["key"]}, ExpiresIn=60
    )
    with urllib.request.urlopen(url, timeout=30) as answer:
        content = answer.read()
    thumbnail = Image.open(BytesIO(content))
    assert thumbnail.format == "WEBP"
    assert max(errors(thumbnail, cat())) < IN_COLOUR
    assert b"Secret" not in content


@pytest.mark.parametrize(("sid", "action"), [("ReadImages", "s3:GetObject"), ("KeepWhatIsMadeOfThem", "s3:PutObject")])
def test_without_a_needed_permission_the_image_waits_with_the_reason(sid: str, action: str, stack: Deployment) -> None:
    content = BytesIO()
    Image.open(BytesIO(picture())).save(content, "BMP")
    with stack.without(sid, action, function=stack.outputs.imaging_function_name):
        upload = stack.put(f"renditions/without-{sid}.bmp", content.getvalue())
        record = stack.until_status("waiting", upload.key)[upload.key]
        assert "the imaging function failed" in record["error"]
        assert "AccessDenied" in record["error"]
    assert stack.until_described(upload.key)[upload.key]["error"] is None


def test_without_the_permission_to_have_them_converted_images_wait(stack: Deployment) -> None:
    content = BytesIO()
    Image.open(BytesIO(picture())).save(content, "BMP")
    with stack.without("HaveThemConverted", "lambda:InvokeFunction"):
        upload = stack.put("renditions/not-invoked.bmp", content.getvalue())
        assert "lambda:InvokeFunction" in stack.until_status("waiting", upload.key)[upload.key]["error"]
    stack.until_described(upload.key)


def test_a_function_that_crashes_over_an_image_takes_only_that_image(stacks: Stacks, tmp_path: Path) -> None:
    crashing = stacks.deploy("crashing")
    code = BytesIO()
    with ZipFile(code, "w") as zipped:
        zipped.writestr("renditions/handler.py", CRASHING)
    crashing.lambda_functions.update_function_code(
        FunctionName=crashing.outputs.imaging_function_name, ZipFile=code.getvalue()
    )
    bad = crashing.put("bad.gif", (SAMPLES / "cat.gif").read_bytes())
    well = crashing.put("well.png", picture())
    crashing.until_described(well.key)
    record = crashing.until_status("dead", bad.key)[bad.key]
    assert record["attempts"] == 3
    assert "the imaging function failed" in record["error"]
    letter = crashing.until_dead(bad.key)
    assert letter.reason == "transient"
    assert crashing.calls_of_rendition(bad) == []
