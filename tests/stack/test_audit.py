"""The audit on a deployed stack: awkward keys in one order on both sides, and a repair that heals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from imagescribe_ops.audit import audit as module
from imagescribe_ops.commands.main import app
from tests.stack.conftest import Stacks
from tests.stack.deployment import Deployment, events_client
from tests.stack.pictures import picture
from tests.stack.test_keys import KEYS

type Audit = Callable[..., Any]


@pytest.fixture(scope="module")
def deployment(stacks: Stacks) -> Deployment:
    return stacks.with_own_simulator("audited")


@pytest.fixture
def audit(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Audit:
    """Run the command as a shell would, with no patience for what is underway."""
    cloud = deployment.stack.cloud
    environment = {
        "AWS_ENDPOINT_URL": cloud.endpoint_url,
        "AWS_REGION": cloud.region,
        "AWS_ACCESS_KEY_ID": cloud.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": cloud.credentials.secret_access_key,
    }
    monkeypatch.setattr(module, "UNDERWAY_SECONDS", -60.0)

    def run(*options: str, ends_with: int = 0) -> Any:
        command = ["audit", "--json", "--stack", deployment.stack.name, *options]
        result = CliRunner().invoke(app, command, env=environment)
        assert result.exit_code == ends_with, result.output
        return json.loads(result.stdout)

    return run


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


def test_awkward_keys_stand_in_one_order_on_both_sides(deployment: Deployment, audit: Audit) -> None:
    one = picture()
    for number, key in enumerate(KEYS.values()):
        deployment.put(key, one)
        if number == 0:
            deployment.until_described(key)
    deployment.until_described(*KEYS.values())
    deployment.until_idle()
    said = audit("--tags", "all")
    assert (said["ok"], said["objects"], said["records"]) == (True, len(KEYS), len(KEYS))
    assert said["tags_checked"] == len(KEYS)


@pytest.mark.usefixtures("rule_off")
def test_what_fell_out_while_the_rule_was_off_is_found_and_healed(deployment: Deployment, audit: Audit) -> None:
    stale, orphan = list(KEYS.values())[3], list(KEYS.values())[4]
    deployment.put("missing.png", picture())
    deployment.put("folder/", b"")
    deployment.put(stale, picture())
    deployment.delete(orphan)
    said = audit("--repair", ends_with=1)
    assert {name: said["verdicts"].get(name) for name in ("missing", "stale", "orphan", "folder")} == {
        "missing": 1,
        "stale": 1,
        "orphan": 1,
        "folder": 1,
    }
    assert said["repaired"] == {"sent": 2, "removed": 1}
    deployment.until_described("missing.png")
    deployment.until_idle()
    assert audit("--tags", "all")["ok"]
    assert deployment.billed("missing.png", stale) == 2
    assert deployment.record(orphan) is None
