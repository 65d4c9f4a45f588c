"""Objects that are no images, or not any more: what the catalog says of them, and that nothing is paid."""

import pytest

from tests.stack import bodies
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture

SKIPPED = {
    "text.jpg": (b"This is no picture, whatever its name says.\n", "not an image of a known kind"),
    "gif.png": (b"GIF89a" + b"\0" * 100, "its header is broken"),
    "one-byte.png": (b"\x89", "not an image of a known kind"),
    "empty.png": (b"", "the object is empty"),
    "drawing.png": (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG is a drawing"),
    "document.png": (b"%PDF-1.7\n", "PDF is a document"),
}


@pytest.mark.parametrize("name", SKIPPED)
def test_what_is_no_image_to_describe_is_skipped_with_the_reason(stack: Deployment, name: str) -> None:
    content, reason = SKIPPED[name]
    key = f"bad-images/{name}"
    stack.put(key, content)
    record = stack.until_status("skipped", key)[key]
    assert reason in record["error"]
    assert record["prompt"] is None
    assert record["attempts"] == 0
    assert stack.calls(key) == []
    assert stack.dead_letters_of(key) == []


def test_a_picture_that_breaks_off_is_rejected_with_the_endpoints_words(stack: Deployment) -> None:
    key = "bad-images/broken.png"
    stack.put(key, picture()[:60])
    record = stack.until_status("rejected", key)[key]
    assert record["error"].startswith("422: ")
    assert len(stack.calls(key)) == 1
    assert stack.billed(key) == 0


def test_a_picture_of_just_the_largest_size_is_described(stack: Deployment) -> None:
    key = "bad-images/just-fits.png"
    small = picture()
    stack.put(key, small + b"\0" * (250_000 - len(small)))
    assert stack.until_described(key)[key]["size"] == 250_000


def test_folders_of_the_console_are_ignored(stack: Deployment) -> None:
    stack.put("bad-images/folder/", b"")
    stack.put("bad-images/folder/inside.png", picture())
    stack.until_described("bad-images/folder/inside.png")
    stack.until(lambda: any('bad-images/folder/"' in line for line in stack.log_lines()), "the folder's log line")
    assert stack.record("bad-images/folder/") is None


def test_an_object_that_is_deleted_before_its_turn_leaves_nothing(by_hand: Deployment) -> None:
    upload = by_hand.put("deleted-early.png", picture())
    by_hand.delete(upload.key)
    by_hand.until_handled(by_hand.send(bodies.eventbridge(upload)))
    by_hand.until_idle()
    assert by_hand.record(upload.key) is None
    assert by_hand.dead_letters_of(upload.key) == []
    assert by_hand.calls(upload.key) == []


def test_an_object_that_is_overwritten_before_its_turn_is_described_as_it_is(by_hand: Deployment) -> None:
    key = "overwritten.png"
    first = bodies.eventbridge(by_hand.put(key, picture()))
    newer = by_hand.put(key, picture())
    second = bodies.eventbridge(newer)
    by_hand.until_handled(by_hand.send(first))
    assert by_hand.record(key) is None
    assert by_hand.calls(key) == []
    by_hand.send(second)
    assert by_hand.until_described(key)[key]["etag"] == newer.etag
    assert by_hand.dead_letters_of(key) == []
    assert by_hand.billed(key) == 1


def test_an_event_that_comes_late_does_not_undo_a_newer_one(by_hand: Deployment) -> None:
    upload = by_hand.put("late.png", picture())
    late = bodies.eventbridge(upload)
    newest = bodies.sequencer()
    by_hand.send(bodies.eventbridge(upload, order=newest))
    by_hand.until_described(upload.key)
    by_hand.until_handled(by_hand.send(late))
    record = by_hand.record(upload.key)
    assert record is not None
    assert (record["status"], record["sequencer"]) == ("described", newest)
    assert by_hand.billed(upload.key) == 1


def test_a_deleted_object_goes_out_of_the_catalog(stack: Deployment) -> None:
    keys = [f"bad-images/deleted-{number}.png" for number in range(2)]
    for key in keys:
        stack.put(key, picture())
    stack.until_described(*keys)
    stack.delete(keys[0])
    stack.until_gone(keys[0])
    assert stack.record(keys[1]) is not None
