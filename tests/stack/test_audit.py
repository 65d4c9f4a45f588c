"""The audit on a deployed stack: awkward keys in one order on both sides, and a repair that heals and tells."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import event_schemas
from tests.stack.conftest import Ask, Stacks
from tests.stack.deployment import Deployment, events_client
from tests.stack.pictures import picture
from tests.stack.test_events import received
from tests.stack.test_keys import KEYS


@pytest.fixture(scope="module")
def deployment(stacks: Stacks) -> Deployment:
    return stacks.with_own_simulator("audited")


@pytest.fixture
def rule_off(deployment: Deployment) -> Iterator[None]:
    """Let the bucket tell nobody of what happens in it."""
    events = events_client(deployment.stack.cloud)
    rules = [rule["Name"] for rule in events.list_rules()["Rules"] if "audited" in rule["Name"]]
    uploads = [name for name in rules if "Upload" in name]
    assert uploads
    for name in uploads:
        events.disable_rule(Name=name)
    yield
    for name in uploads:
        events.enable_rule(Name=name)


def test_awkward_keys_stand_in_one_order_on_both_sides(deployment: Deployment, ask: Ask) -> None:
    one = picture()
    for number, key in enumerate(KEYS.values()):
        deployment.put(key, one)
        if number == 0:
            deployment.until_described(key)
    deployment.until_described(*KEYS.values())
    deployment.until_idle()
    said = ask("audit", "--tags", "all")
    assert (said["ok"], said["objects"], said["records"]) == (True, len(KEYS), len(KEYS))
    assert said["tags_checked"] == len(KEYS)


@pytest.mark.usefixtures("rule_off")
def test_what_fell_out_while_the_rule_was_off_is_found_and_healed(deployment: Deployment, ask: Ask) -> None:
    stale, orphan = list(KEYS.values())[3], list(KEYS.values())[4]
    deployment.put("missing.png", picture())
    deployment.put("folder/", b"")
    newer = deployment.put(stale, picture())
    deployment.delete(orphan)
    with received(deployment, "healed") as events:
        said = ask("audit", "--repair", ends_with=1)
        (removed,) = deployment.until(lambda: events(orphan), "what tells of the deletion")
    assert removed["detail-type"] == "Image Removed"
    event_schemas.check(removed)
    assert deployment.record(orphan) is None
    assert {name: said["verdicts"].get(name) for name in ("missing", "stale", "orphan", "folder")} == {
        "missing": 1,
        "stale": 1,
        "orphan": 1,
        "folder": 1,
    }
    assert said["repaired"] == {"sent": 3, "tags": 0}
    deployment.until_described("missing.png")
    deployment.until(lambda: deployment.until_described(stale)[stale]["etag"] == newer.etag, "the newer is described")
    assert ask("audit", "--tags", "all")["ok"]
    assert deployment.billed("missing.png", stale) == 2
