"""The function may do what the template says and no more; what it may not do any more loses nothing.

Each test takes one permission out of the deployed role's policy, which the emulator enforces, and puts it back.
"""

from tests.stack import bodies
from tests.stack.deployment import Deployment
from tests.stack.pictures import picture


def test_without_a_needed_permission_the_record_says_access_denied_and_nothing_is_lost(stack: Deployment) -> None:
    key = "permissions/ledger.png"
    with stack.without("Ledger", "dynamodb:UpdateItem"):
        stack.put(key, picture())
        record = stack.until(
            lambda: (found := stack.record(key)) and found["status"] == "waiting" and found, "a waiting image"
        )
        assert "AccessDenied" in record["error"]
        assert "dynamodb:UpdateItem" in record["error"]
        assert stack.dead_letters_of(key) == []
        assert stack.calls(key) == []
    record = stack.until_described(key)[key]
    assert record["error"] is None
    assert stack.billed(key) == 1


def test_without_the_permission_to_read_images_they_wait_in_the_queue(stack: Deployment) -> None:
    key = "permissions/images.png"
    with stack.without("ReadImages", "s3:GetObject"):
        stack.put(key, picture())
        stack.until(
            lambda: any(
                key in line and "AccessDenied" in line and "s3:GetObject" in line for line in stack.log_lines()
            ),
            "AccessDenied in the log",
        )
        assert stack.dead_letters_of(key) == []
    stack.until_described(key)
    assert stack.billed(key) == 1


def test_the_function_may_not_touch_another_bucket(stack: Deployment, by_hand: Deployment) -> None:
    # A message that names another stack's bucket: denied, and in time a dead letter.
    upload = by_hand.put("permissions/elsewhere.png", picture())
    message_id = stack.send(bodies.eventbridge(upload))
    stack.until(
        lambda: any(message_id in line and "AccessDenied" in line for line in stack.log_lines()), "AccessDenied"
    )
    assert by_hand.calls(upload.key) == []
