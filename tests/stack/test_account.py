"""Answers that are no image's fault: a wrong key, no balance, a retired model. Images wait, and come through.

Such a fault stops the whole stack for a minute or more, so each of these stacks has a simulator of its own, its
trouble begins with the first test, and what comes of it is looked at after all other tests.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from imagescribe_ops.simulator import JournalEntry, ScriptedAnswer
from tests.stack.bodies import Uploaded
from tests.stack.conftest import Stacks
from tests.stack.deployment import Deployment, Record
from tests.stack.pictures import picture

AFTER_A_PAUSE_SECONDS = 300.0
NEW_KEY, NEWEST_KEY = "rotated-key-0123456789", "newest-key-9876543210"
FAULTS = {
    "402": ScriptedAnswer(402, times=None),
    "403": ScriptedAnswer(403, times=None),
    "404": ScriptedAnswer(404, times=None),
    "405": ScriptedAnswer(405, times=None),
    "410": ScriptedAnswer(410, times=None),
    "redirect": ScriptedAnswer(302, times=None, headers={"Location": "http://127.0.0.1:9/"}),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen while the fault lasted.

    Attributes
    ----------
    waiting
        The records of the images, by key.
    """

    deployment: Deployment
    waiting: dict[str, Record]
    calls: list[JournalEntry]
    uploads: list[Uploaded]


@pytest.fixture(scope="session")
def rotation(stacks: Stacks) -> Iterator[Deployment]:
    """A stack whose function has described something, and keeps the key."""
    with stacks.with_own_simulator("rotated-key", recovers=True) as deployment:
        deployment.put("before.png", picture())
        deployment.until_described("before.png")
        yield deployment


@pytest.fixture(scope="session")
def wrong_key(stacks: Stacks, rotation: Deployment) -> Seen:
    """A key that the endpoint does not take any more, put right after an image had to wait for it."""
    _change_key(rotation, NEW_KEY)
    rotation.put("rotated.png", picture())
    rotation.until_described("rotated.png")
    rotation.simulator.configure(api_key=NEWEST_KEY)
    uploads = [rotation.put(f"locked-out-{number}.png", picture()) for number in range(3)]
    waiting = rotation.until_status("waiting", *(upload.key for upload in uploads))
    calls = rotation.simulator.journal()
    _change_key(rotation, NEWEST_KEY)
    stacks.keys |= {NEW_KEY, NEWEST_KEY}
    return Seen(rotation, waiting, calls, uploads)


@pytest.fixture(scope="session")
def account_faults(stacks: Stacks) -> Iterator[Seen]:
    """An endpoint that takes no call for this or that reason, put right after all images had to wait."""
    with stacks.with_own_simulator("account-faults", settings={"credits_usd": 0.0}, recovers=True) as deployment:
        for name, answer in FAULTS.items():
            deployment.script(f"{name}.png", answer)
        uploads = [deployment.put(f"{name}.png", picture()) for name in (*FAULTS, "no-balance")]
        waiting = deployment.until_status("waiting", *(upload.key for upload in uploads))
        calls = deployment.simulator.journal()
        deployment.simulator.reset()
        deployment.simulator.configure(credits_usd=1.0)
        yield Seen(deployment, waiting, calls, uploads)


def test_a_wrong_key_makes_images_wait_with_the_reason(wrong_key: Seen) -> None:
    for record in wrong_key.waiting.values():
        assert "401: Invalid API key" in record["error"]
        assert record["attempts"] == 0
        assert record["waiting_until"]
    assert wrong_key.deployment.dead_letters() == []


def test_a_rotated_key_is_read_afresh_before_a_401_counts(wrong_key: Seen) -> None:
    record = wrong_key.deployment.record("rotated.png")
    assert record is not None
    assert (record["status"], record["attempts"], record["error"]) == ("described", 0, None)
    path = f"{wrong_key.deployment.bucket}/rotated.png"
    assert [call.outcome for call in wrong_key.calls if call.object_path == path] == [401, 200]


def test_an_account_fault_makes_images_wait_with_the_reason(account_faults: Seen) -> None:
    outcomes = {call.outcome for call in account_faults.calls}
    assert outcomes
    assert outcomes <= {302, 402, 403, 404, 405, 406, 410}
    for record in account_faults.waiting.values():
        # Its own answer, or that of the image that met the fault first and made the others wait.
        assert re.search(r"\b(?:302|402|403|404|405|406|410): ", record["error"]), record["error"]
        assert record["attempts"] == 0
    assert account_faults.deployment.dead_letters() == []


def test_a_redirect_is_not_followed(account_faults: Seen) -> None:
    # `requests` would take the key along to whatever host the answer names.
    assert not [call for call in account_faults.calls if call.outcome == 302 and call.billed]
    assert account_faults.waiting["redirect.png"]["prompt"] is None


@pytest.mark.last
@pytest.mark.parametrize("fixture", ["wrong_key", "account_faults"])
def test_all_are_described_once_the_account_is_right(request: pytest.FixtureRequest, fixture: str) -> None:
    seen: Seen = request.getfixturevalue(fixture)
    keys = [upload.key for upload in seen.uploads]
    records = seen.deployment.until_described(*keys, seconds=AFTER_A_PAUSE_SECONDS)
    assert {record["attempts"] for record in records.values()} == {0}
    assert {record["error"] for record in records.values()} == {None}
    assert [seen.deployment.billed(key) for key in keys] == [1] * len(keys)
    assert seen.deployment.dead_letters() == []


def _change_key(deployment: Deployment, key: str) -> None:
    deployment.simulator.configure(api_key=key)
    deployment.secretsmanager.put_secret_value(SecretId=deployment.outputs.api_key_secret_arn, SecretString=key)
