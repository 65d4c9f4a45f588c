"""429: the image waits until the time that the answer names, and no wait counts as an attempt."""

import time
from datetime import UTC, datetime

import pytest

from imagescribe_ops.simulator import LimitKind, RateLimit, ScriptedAnswer
from tests.stack.conftest import Stacks
from tests.stack.deployment import Deployment, Record
from tests.stack.pictures import picture

RESET_SECONDS = 10  # further ahead than is waited for inside an invocation


@pytest.fixture(scope="module")
def refusing(stacks: Stacks) -> Deployment:
    """A stack of its own, as it remembers what it learns of the limit. One attempt is all that an image has here."""
    return stacks.with_own_simulator("refusing", MaxAttempts="1")


def test_an_image_that_met_a_429_waits_uncounted_until_the_time_that_it_names(refusing: Deployment) -> None:
    key = "reset-is-told.png"
    reset_at = time.time() + RESET_SECONDS
    headers = {"x-rate-limit-reset-at-utc": datetime.fromtimestamp(reset_at, UTC).isoformat()}
    refusing.script(key, ScriptedAnswer(429, headers=headers))
    refusing.put(key, picture())
    waiting = refusing.until_status("waiting", key)[key]
    assert "429: Rate limit exceeded" in waiting["error"]
    assert datetime.fromisoformat(waiting["waiting_until"]).timestamp() >= reset_at - 0.01
    record = refusing.until_described(key)[key]
    assert (record["attempts"], record["error"]) == (0, None)
    refused, described = refusing.calls(key)
    assert (refused.outcome, described.outcome) == (429, 200)
    assert described.started_at >= reset_at
    assert refusing.dead_letters() == []


def test_an_image_that_met_a_429_without_a_time_waits_uncounted_too(refusing: Deployment) -> None:
    key = "reset-is-not-told.png"
    refusing.script(key, ScriptedAnswer(429))
    refusing.put(key, picture())
    record = refusing.until_described(key)[key]
    assert (record["attempts"], record["error"]) == (0, None)
    assert [call.outcome for call in refusing.calls(key)] == [429, 200]
    assert refusing.dead_letters() == []


def limited(stacks: Stacks) -> tuple[Deployment, dict[str, Record]]:
    """More uploads than the limit allows, until all are described."""
    limit = RateLimit(LimitKind.TOKEN_BUCKET, 180)
    deployment = stacks.with_own_simulator("limited", MaxAttempts="1", settings={"limit": limit})
    keys = [deployment.put(f"many/{number}.png", picture()).key for number in range(30)]
    return deployment, deployment.until_described(*keys, seconds=300)


@pytest.mark.beside(work=limited)
def test_more_uploads_than_the_limit_allows_are_all_described_and_each_is_paid_once(
    outcome: tuple[Deployment, dict[str, Record]],
) -> None:
    deployment, records = outcome
    assert {record["attempts"] for record in records.values()} == {0}
    assert deployment.billed(*records) == len(records)
    assert deployment.dead_letters() == []
