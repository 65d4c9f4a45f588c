"""One paid call for each distinct picture."""

from tests.stack import bodies
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture


def test_the_same_picture_under_two_names_is_paid_for_once(stack: Deployment) -> None:
    keys = ["pay-once/cat.png", "pay-once/cat (copy).png"]
    content = picture()
    for key in keys:
        stack.put(key, content)
    records = stack.until_described(*keys)
    assert records[keys[0]]["prompt"] == records[keys[1]]["prompt"]
    assert all(stack.tags(key)["prompt"] for key in keys)
    assert stack.billed(*keys) == 1


def test_the_same_event_many_times_is_paid_for_once(by_hand: Deployment) -> None:
    upload = by_hand.put("pay-once/duplicates.png", picture())
    body = bodies.eventbridge(upload)
    sent = [by_hand.send(body) for _ in range(12)]
    by_hand.until_described(upload.key)
    by_hand.until_handled(*sent)
    by_hand.until_idle()
    assert by_hand.billed(upload.key) == 1
    assert by_hand.dead_letters_of(upload.key) == []


def test_a_picture_that_comes_back_after_its_deletion_is_not_paid_for_again(stack: Deployment) -> None:
    key, content = "pay-once/back.png", picture()
    stack.put(key, content)
    prompt = stack.until_described(key)[key]["prompt"]
    stack.delete(key)
    stack.until_gone(key)
    stack.put(key, content)
    assert stack.until_described(key)[key]["prompt"] == prompt
    assert stack.billed(key) == 1


def test_another_picture_under_the_same_name_is_described_anew(stack: Deployment) -> None:
    key = "pay-once/replaced.png"
    stack.put(key, picture())
    first = stack.until_described(key)[key]
    second = stack.put(key, picture(width=16, height=48))
    record = stack.until(
        lambda: (found := stack.record(key)) and found["etag"] == second.etag and found["prompt"] and found,
        "the second picture's prompt",
    )
    assert record["prompt"] != first["prompt"]
    assert stack.tags(key)["prompt"].startswith(record["prompt"][:20])
    assert stack.billed(key) == 2
