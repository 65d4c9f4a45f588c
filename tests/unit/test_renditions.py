"""An image that the endpoint would not take is described by a JPEG of it, and is paid for under its own content."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from imagescribe.settings import Renditions
from tests.factories import make_picture
from tests.unit.imaging.test_pictures import SAMPLES
from tests.unit.imaging_in_process import DERIVED_BUCKET
from tests.unit.stage import Stage, aws_error


def gif(colour: str = "teal") -> bytes:
    return make_picture(colour, form="GIF")


def test_the_endpoint_gets_a_jpeg_and_the_ledger_keeps_the_originals_content(stage: Stage) -> None:
    upload = stage.upload(gif(), "cat.gif")
    stage.settle()
    record = stage.standing(upload)
    assert (record["status"], record["rendered_from"], record["error"]) == ("described", "gif", None)
    ((url, _key),) = stage.endpoint.calls
    assert f"{DERIVED_BUCKET}.s3.amazonaws.com/renditions/{upload.etag}-{upload.size}?" in url
    made = stage.s3.client.get_object(Bucket=DERIVED_BUCKET, Key=f"renditions/{upload.etag}-{upload.size}")
    assert Image.open(BytesIO(made["Body"].read())).format == "JPEG"
    assert stage.paid(upload) is not None
    assert stage.tags(upload)["prompt"]


def test_an_image_that_the_endpoint_takes_never_meets_the_imaging_function(stage: Stage) -> None:
    upload = stage.upload(make_picture())
    stage.settle()
    assert stage.standing(upload)["rendered_from"] is None
    assert stage.imaging.events == []


def test_where_all_images_are_rendered_the_endpoint_gets_none_as_it_is(stage: Stage) -> None:
    stage.cold_start(renditions=Renditions.ALWAYS)
    content = (SAMPLES / "turned.jpg").read_bytes()
    assert Image.open(BytesIO(content)).getexif()
    upload = stage.upload(content, "a street and a name.jpg")
    stage.settle()
    record = stage.standing(upload)
    assert (record["status"], record["rendered_from"]) == ("described", "jpeg")
    ((url, _key),) = stage.endpoint.calls
    assert "name" not in url
    made = stage.s3.client.get_object(Bucket=DERIVED_BUCKET, Key=f"renditions/{upload.etag}-{upload.size}")
    assert not Image.open(BytesIO(made["Body"].read())).getexif()


def test_a_prompt_that_was_paid_for_before_says_what_the_endpoint_got_for_it(stage: Stage) -> None:
    picture = make_picture()
    stage.upload(picture)
    stage.settle()
    stage.cold_start(renditions=Renditions.ALWAYS)
    copy = stage.upload(picture, "copy.png")
    stage.settle()
    assert stage.endpoint.paid.total() == 1
    assert stage.standing(copy)["rendered_from"] is None


def test_an_image_over_the_endpoints_limit_is_rendered(stage: Stage) -> None:
    upload = stage.upload(make_picture() + b"\0" * 1_000_000, "large.png")
    stage.settle()
    record = stage.standing(upload)
    assert (record["status"], record["rendered_from"]) == ("described", "png")


def test_a_copy_of_what_is_paid_for_is_not_rendered_again_and_says_what_it_is(stage: Stage) -> None:
    stage.upload(gif(), "cat.gif")
    stage.settle()
    copy = stage.upload(gif(), "copy.gif")
    stage.settle()
    record = stage.standing(copy)
    assert (record["status"], record["rendered_from"]) == ("described", "gif")
    assert len(stage.imaging.events) == 1
    assert stage.endpoint.paid.total() == 1


def test_an_image_of_which_no_picture_can_be_made_is_skipped_and_costs_nothing(stage: Stage) -> None:
    upload = stage.upload(gif()[:20], "broken.gif")
    stage.settle()
    record = stage.standing(upload)
    assert record["status"] == "skipped"
    assert "its header is broken" in record["error"]
    assert stage.endpoint.calls == []
    assert stage.take_dead_letters() == []
    assert stage.paid(upload) is None


def test_a_failure_of_the_imaging_function_is_an_attempt(stage: Stage) -> None:
    stage.imaging.failures.append("Task timed out after 60.00 seconds")
    upload = stage.upload(gif())
    stage.drain()
    record = stage.standing(upload)
    assert (record["status"], record["attempts"]) == ("waiting", 1)
    assert record["error"].startswith("the imaging function failed (Runtime.ExitError: Task timed out")
    stage.settle()
    assert stage.standing(upload)["status"] == "described"


def test_an_image_that_the_imaging_function_fails_over_again_and_again_is_a_dead_letter(stage: Stage) -> None:
    stage.imaging.failures.extend(["signal: killed"] * 10)
    upload, well = stage.upload(gif("red"), "bad.gif"), stage.upload(make_picture())
    stage.settle()
    record = stage.standing(upload)
    assert (record["status"], record["attempts"]) == ("dead", 3)
    [letter] = stage.take_dead_letters()
    assert letter.attributes["reason"] == "transient"
    assert "signal: killed" in letter.attributes["detail"]
    assert len(stage.imaging.events) == 3
    assert stage.standing(well)["status"] == "described"


def test_an_image_waits_uncounted_while_the_imaging_function_is_busy(stage: Stage) -> None:
    stage.imaging.failures.extend([aws_error("TooManyRequestsException", "Invoke")] * 15)
    upload = stage.upload(gif())
    stage.settle()
    record = stage.standing(upload)
    assert (record["status"], record["attempts"]) == ("described", 0)


def test_a_refused_invocation_is_a_failure_of_ours(stage: Stage) -> None:
    stage.imaging.failures.append(aws_error("AccessDeniedException", "Invoke"))
    upload = stage.upload(gif())
    stage.drain()
    record = stage.standing(upload)
    assert (record["status"], record["attempts"]) == ("waiting", 0)
    assert "AccessDenied" in record["error"]
    stage.settle()
    assert stage.standing(upload)["status"] == "described"


def test_an_image_that_is_overwritten_while_it_is_rendered_is_left_to_its_own_event(stage: Stage) -> None:
    upload = stage.store("cat.gif", gif("red"))
    stage.imaging.before_answer = lambda: stage.store("cat.gif", gif("blue"))
    stage.tell(upload)
    stage.settle()
    assert stage.record(upload) is None
    assert stage.endpoint.calls == []


def test_a_rendition_that_is_there_is_not_made_again(stage: Stage) -> None:
    stage.endpoint.says(503)
    upload = stage.upload(gif())
    stage.settle()
    assert stage.standing(upload)["status"] == "described"
    assert len(stage.imaging.events) == 2
    puts = [key for bucket, key in stage.s3.client.stacks if bucket == DERIVED_BUCKET]
    assert len(puts) == 1


def test_a_permit_is_given_back_for_the_time_that_a_picture_takes(stage: Stage) -> None:
    upload = stage.upload(gif())
    stage.imaging.before_answer = lambda: stage.clock.sleep(3.0)
    stage.settle()
    assert stage.standing(upload)["status"] == "described"
    assert stage.throttle_state().budget.spent_usd == pytest.approx(0.015)
