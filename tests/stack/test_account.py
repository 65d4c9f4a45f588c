"""Answers that are no image's fault: a wrong key, no balance, a retired model. Images wait, and come through.

Such a fault stops the whole stack for a minute or more, so each of these stacks has a simulator of its own.
"""

import re
from dataclasses import dataclass

import pytest

from imagescribe_ops.simulator import JournalEntry, ScriptedAnswer
from tests.stack.bodies import Uploaded
from tests.stack.conftest import Stacks
from tests.stack.deployment import DeadLetter, Deployment, Record
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
    """What was seen while the fault lasted; by now all are described.

    Attributes
    ----------
    waiting
        The records of the images, by key.
    """

    deployment: Deployment
    waiting: dict[str, Record]
    calls: list[JournalEntry]
    dead_letters: list[DeadLetter]
    uploads: list[Uploaded]


def rotated_key(stacks: Stacks) -> Seen:
    """A key that the endpoint does not take any more, put right after an image had to wait for it."""
    deployment = stacks.with_own_simulator("rotated-key", recovers=True)
    deployment.put("before.png", picture())
    deployment.until_described("before.png")  # so the function keeps the key
    _change_key(deployment, NEW_KEY)
    deployment.put("rotated.png", picture())
    deployment.until_described("rotated.png")
    deployment.simulator.configure(api_key=NEWEST_KEY)
    uploads = [deployment.put(f"locked-out-{number}.png", picture()) for number in range(3)]
    waiting = deployment.until_status("waiting", *(upload.key for upload in uploads))
    calls = deployment.simulator.journal()
    dead_letters = list(deployment.dead_letters())
    _change_key(deployment, NEWEST_KEY)
    stacks.keys |= {NEW_KEY, NEWEST_KEY}
    return _healed(Seen(deployment, waiting, calls, dead_letters, uploads))


def account_faults(stacks: Stacks) -> Seen:
    """An endpoint that takes no call for this or that reason, put right after all images had to wait."""
    deployment = stacks.with_own_simulator("account-faults", settings={"credits_usd": 0.0}, recovers=True)
    for name, answer in FAULTS.items():
        deployment.script(f"{name}.png", answer)
    uploads = [deployment.put(f"{name}.png", picture()) for name in (*FAULTS, "no-balance")]
    waiting = deployment.until_status("waiting", *(upload.key for upload in uploads))
    calls = deployment.simulator.journal()
    dead_letters = list(deployment.dead_letters())
    deployment.simulator.reset()
    deployment.simulator.configure(credits_usd=1.0)
    return _healed(Seen(deployment, waiting, calls, dead_letters, uploads))


@pytest.mark.beside(work=rotated_key)
def test_a_wrong_key_makes_images_wait_with_the_reason(outcome: Seen) -> None:
    for record in outcome.waiting.values():
        assert "401: Invalid API key" in record["error"]
        assert record["attempts"] == 0
        assert record["waiting_until"]
    assert outcome.dead_letters == []


@pytest.mark.beside(work=rotated_key)
def test_a_rotated_key_is_read_afresh_before_a_401_counts(outcome: Seen) -> None:
    record = outcome.deployment.record("rotated.png")
    assert record is not None
    assert (record["status"], record["attempts"], record["error"]) == ("described", 0, None)
    path = f"{outcome.deployment.bucket}/rotated.png"
    assert [call.outcome for call in outcome.calls if call.object_path == path] == [401, 200]


@pytest.mark.beside(work=account_faults)
def test_an_account_fault_makes_images_wait_with_the_reason(outcome: Seen) -> None:
    outcomes = {call.outcome for call in outcome.calls}
    assert outcomes
    assert outcomes <= {302, 402, 403, 404, 405, 406, 410}
    for record in outcome.waiting.values():
        # Its own answer, or that of the image that met the fault first and made the others wait.
        assert re.search(r"\b(?:302|402|403|404|405|406|410): ", record["error"]), record["error"]
        assert record["attempts"] == 0
    assert outcome.dead_letters == []


@pytest.mark.beside(work=account_faults)
def test_a_redirect_is_not_followed(outcome: Seen) -> None:
    # `requests` would take the key along to whatever host the answer names.
    assert not [call for call in outcome.calls if call.outcome == 302 and call.billed]
    assert outcome.waiting["redirect.png"]["prompt"] is None


@pytest.mark.parametrize(
    (), [pytest.param(marks=pytest.mark.beside(work=work), id=work.__name__) for work in (rotated_key, account_faults)]
)
def test_all_are_described_once_the_account_is_right(outcome: Seen) -> None:
    keys = [upload.key for upload in outcome.uploads]
    records = outcome.deployment.until_described(*keys)
    assert {record["attempts"] for record in records.values()} == {0}
    assert {record["error"] for record in records.values()} == {None}
    assert [outcome.deployment.billed(key) for key in keys] == [1] * len(keys)
    assert outcome.deployment.dead_letters() == []


def _healed(seen: Seen) -> Seen:
    seen.deployment.until_described(*seen.waiting, seconds=AFTER_A_PAUSE_SECONDS)
    return seen


def _change_key(deployment: Deployment, key: str) -> None:
    deployment.simulator.configure(api_key=key)
    deployment.secretsmanager.put_secret_value(SecretId=deployment.outputs.api_key_secret_arn, SecretString=key)
