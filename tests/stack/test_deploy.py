"""`imagescribe deploy` and `destroy` as they are typed, against the emulator in place of AWS: a stack's whole life."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from imagescribe_ops.aws.stack import StackOutputs, read_deployed
from imagescribe_ops.deployment.build import architecture
from imagescribe_ops.deployment.change_sets import ChangeSets, Proposal
from imagescribe_ops.deployment.changes import Action
from imagescribe_ops.deployment.cloudformation import CloudFormation
from imagescribe_ops.deployment.standing import Standing
from imagescribe_ops.errors import OperationError
from imagescribe_ops.local.deploy import restate_concurrency
from imagescribe_ops.local.stack import LocalStack
from tests.stack.conftest import Stacks
from tests.stack.deployment import Deployment, session_of
from tests.stack.pictures import picture

NAME = "shipped"
NEXT = "shipped-again"  # the emulator would give a second stack of one name the tables of the first
COMMAND_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Life:
    """What the commands said and did."""

    first: dict[str, Any]
    described: str
    parameters: list[dict[str, str]]
    """After each of the two deployments."""
    second: str
    destroyed: str
    left: set[str]
    """The bucket and tables of the stack that are there when it is gone."""
    again: str
    """The prompt in a second stack, deployed as `destroy` has printed."""
    billed: int
    """Calls for the image, of both stacks."""


def life(stacks: Stacks) -> Life:
    """Deploy a stack, describe an image, deploy it with another budget, take it away, and go on in a second one."""
    cloud = stacks.cloud
    on_emulator = [
        f"DescribeUrl={cloud.describe_url}",
        "RequireTls=false",
        f"Architecture={architecture()}",
        "DailyBudgetUsd=25",
    ]
    given = [word for pair in on_emulator for word in ("--parameter", pair)]
    first = json.loads(imagescribe(stacks, "deploy", "--yes", "--json", *given))
    outputs = StackOutputs.read(cloud.connection, NAME)
    restate_concurrency(cloud.connection, outputs.describe_function_name)
    imagescribe(stacks, "key", "set", typed=cloud.api_key)
    deployment = Deployment(LocalStack(NAME, outputs, {}, cloud), cloud.simulator)
    deployment.put("shipped.png", picture())
    described = deployment.until_described("shipped.png", seconds=300)["shipped.png"]["prompt"]
    parameters = [read_deployed(cloud.connection, NAME)[0]]
    second = imagescribe(stacks, "deploy", "--yes", "--parameter", "DailyBudgetUsd=10")
    parameters.append(read_deployed(cloud.connection, NAME)[0])
    destroyed = imagescribe(stacks, "destroy", "--yes")
    session = session_of(cloud)
    tables = session.client("dynamodb", endpoint_url=cloud.endpoint_url).list_tables()["TableNames"]
    buckets = session.client("s3", endpoint_url=cloud.endpoint_url).list_buckets()["Buckets"]
    left = {*tables, *(bucket["Name"] for bucket in buckets)}
    way_on = [shlex.split(line) for line in destroyed.splitlines() if line.startswith("  imagescribe ")]
    for _, *words in way_on:
        imagescribe(stacks, *words, *["--yes"] * (words[0] in {"deploy", "backfill"}), typed=cloud.api_key, stack=NEXT)
        if words[0] == "deploy":
            outputs = StackOutputs.read(cloud.connection, NEXT)
            restate_concurrency(cloud.connection, outputs.describe_function_name)
    deployment = Deployment(LocalStack(NEXT, outputs, {}, cloud), cloud.simulator)
    again = deployment.until_described("shipped.png", seconds=300)["shipped.png"]["prompt"]
    billed = deployment.billed("shipped.png")
    imagescribe(stacks, "destroy", "--yes", stack=NEXT)
    return Life(first, described, parameters, second, destroyed, left, again, billed)


def imagescribe(stacks: Stacks, *arguments: str, typed: str = "", stack: str = NAME) -> str:
    cloud = stacks.cloud
    aws = {
        "AWS_ENDPOINT_URL": cloud.endpoint_url,
        "AWS_REGION": cloud.region,
        "AWS_ACCESS_KEY_ID": cloud.credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": cloud.credentials.secret_access_key,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "imagescribe_ops.commands.main", *arguments, "--stack", stack],
        env=dict(os.environ) | aws,
        input=typed,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.mark.beside(work=life)
def test_a_fresh_stack_is_deployed_and_describes(outcome: Life) -> None:
    assert outcome.first["deployed"]
    assert outcome.first["stack"] == NAME
    added = {each["resource"] for each in outcome.first["changes"]["resources"] if each["action"] == "add"}
    assert {"Bucket", "LedgerTable", "DescribeFunction", "Observability"} <= added
    assert outcome.first["outputs"]["BucketName"]
    assert outcome.described


@pytest.mark.beside(work=life)
def test_another_deployment_says_what_changes_and_keeps_the_parameters_that_are_not_given(outcome: Life) -> None:
    lines = outcome.second.splitlines()
    assert "  parameter   DailyBudgetUsd: 25 → 10" in lines
    (functions,) = [line for line in lines if "environment (DailyBudgetUsd)" in line and "RecoverFunction" in line]
    assert functions.startswith("  changed ")
    assert "LOSS" not in outcome.second
    before, after = outcome.parameters
    assert after == before | {"DailyBudgetUsd": "10"}


@pytest.mark.beside(work=life)
def test_what_to_do_next_can_be_pasted(outcome: Life) -> None:
    assert f"  imagescribe upload --stack {NAME} --wait FILE" in outcome.second.splitlines()


@pytest.mark.beside(work=life)
def test_a_stack_that_was_destroyed_leaves_its_bucket_and_tables_and_says_so(outcome: Life) -> None:
    outputs = outcome.first["outputs"]
    kept = {outputs["BucketName"], outputs["CatalogTableName"], outputs["LedgerTableName"], outputs["JobsTableName"]}
    assert kept <= outcome.left
    for name in kept:
        assert f" {name}: " in outcome.destroyed
    assert f"  aws dynamodb delete-table --table-name {outputs['LedgerTableName']}" in outcome.destroyed.splitlines()
    assert re.search(rf"code stays in s3://aws-sam-cli-managed-default-\S+/{NAME}/\.", outcome.destroyed)
    assert f"The stack {NAME} is deleted." in outcome.destroyed


@pytest.mark.beside(work=life)
def test_a_second_stack_goes_on_as_was_printed_and_pays_for_nothing_again(outcome: Life) -> None:
    assert outcome.again == outcome.described
    assert outcome.billed == 1


# ── Change sets and failures, with templates of a few lines ──────────────────────────────────────────────────────────


class Small:
    """A stack of a template that the test writes."""

    def __init__(self, stacks: Stacks, name: str) -> None:
        self._s3 = stacks.cloud.connection.s3()
        self._name = name
        self.change_sets = ChangeSets(stacks.cloud.connection, name, look_seconds=0.5)
        self.cloudformation = CloudFormation(stacks.cloud.connection, name, look_seconds=0.5)
        self._s3.create_bucket(Bucket=f"{name}-templates")

    def put(self, name: str, resources: dict[str, Any]) -> str:
        body = json.dumps({"Resources": resources})
        self._s3.put_object(Bucket=f"{self._name}-templates", Key=name, Body=body.encode())
        return f"{self._s3.meta.endpoint_url}/{self._name}-templates/{name}"

    def propose(self, resources: dict[str, Any], **tags: str) -> Proposal | None:
        return self.change_sets.propose(self.put("main", resources), self.cloudformation.standing(), {}, {}, tags)

    def carry_out(self, resources: dict[str, Any], **tags: str) -> Proposal:
        proposal = self.propose(resources, **tags)
        assert proposal
        self.cloudformation.carry_out(proposal, lambda _far: None)
        return proposal


def table(name: str, **more: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::DynamoDB::Table",
        **more,
        "Properties": {
            "BillingMode": "PAY_PER_REQUEST",
            "TableName": name,
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        },
    }


def queue(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", "Properties": properties}


@pytest.fixture
def small(stacks: Stacks, request: pytest.FixtureRequest) -> Small:
    return Small(stacks, f"small-{abs(hash(request.node.name)) % 10**8}")


def test_a_table_that_would_be_replaced_is_a_loss_that_is_told_loudly(small: Small) -> None:
    retained = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
    small.carry_out({"LedgerTable": table("one", **retained), "Waiting": queue()})
    proposal = small.propose({"LedgerTable": table("two", **retained), "Waiting": queue(DelaySeconds=5)})
    assert proposal
    (loss,) = proposal.changes.losses
    assert (loss.name, loss.action) == ("LedgerTable", Action.REPLACE)
    assert "IS REPLACED" in loss.warning()
    assert "paid for again" in loss.warning()
    assert "stays in the account" in loss.warning()
    assert ("changed", "Waiting (queue): delay seconds") in proposal.changes.lines()


def test_a_queue_that_is_removed_with_all_that_is_in_it_is_a_loss(small: Small) -> None:
    small.carry_out({"One": queue(), "Two": queue()})
    proposal = small.propose({"One": queue()})
    assert proposal
    (loss,) = proposal.changes.losses
    assert (loss.name, loss.action) == ("Two", Action.REMOVE)
    assert "DELETED" in loss.warning()


def test_nothing_is_proposed_where_nothing_would_change(small: Small) -> None:
    small.carry_out({"One": queue()})
    assert small.propose({"One": queue()}) is None


def test_tags_that_are_not_given_again_stay(small: Small) -> None:
    small.carry_out({"One": queue()}, team="photos")
    small.carry_out({"One": queue(DelaySeconds=1)}, cost="a")
    assert small.cloudformation.standing().tags == {"team": "photos", "cost": "a"}


def test_a_new_stack_that_nobody_agreed_to_is_gone(small: Small) -> None:
    proposal = small.propose({"One": queue()})
    assert proposal
    assert proposal.is_new
    small.change_sets.discard(proposal)
    assert small.cloudformation.standing() == Standing()


def test_a_template_that_is_not_taken_is_told_with_the_reason(small: Small) -> None:
    with pytest.raises(OperationError, match=r"does not take this.*AWS::Nope::Nope"):
        small.propose({"One": {"Type": "AWS::Nope::Nope"}})
    assert small.cloudformation.standing() == Standing()


def test_a_deployment_that_fails_names_the_resource_and_the_reason_and_what_is_left(
    small: Small, tmp_path: Path
) -> None:
    with pytest.raises(OperationError) as failed:
        small.carry_out({"Fine": queue(), "Broken": queue(VisibilityTimeout=99_999_999)})
    problem = failed.value.problem
    assert "Broken (AWS::SQS::Queue): " in problem
    assert "VisibilityTimeout" in problem
    assert "Fine (" not in problem
    assert "Nothing of it runs" in problem
    assert small.cloudformation.standing().is_left_over


def test_a_first_deployment_that_fails_leaves_no_empty_table_behind(small: Small, stacks: Stacks) -> None:
    kept = table("kept-of-a-failure", DeletionPolicy="Retain")
    broken = queue(VisibilityTimeout=99_999_999) | {"DependsOn": "Kept"}
    with pytest.raises(OperationError, match="Nothing of it runs"):
        small.carry_out({"Kept": kept, "Broken": broken})
    assert "kept-of-a-failure" not in stacks.cloud.connection.dynamodb().list_tables()["TableNames"]


def test_a_failure_in_a_nested_stack_is_told_with_its_reason(small: Small) -> None:
    url = small.put("nested", {"Inner": queue(VisibilityTimeout=99_999_999)})
    nested = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": url}}
    with pytest.raises(OperationError) as failed:
        small.carry_out({"Outer": nested})
    assert "VisibilityTimeout" in failed.value.problem


def test_an_update_that_fails_leaves_the_stack_as_it_was_and_tells_of_this_time_alone(small: Small) -> None:
    small.carry_out({"One": queue()})
    with pytest.raises(OperationError, match="The stack is as it was before"):
        small.carry_out({"One": queue(), "First": queue(VisibilityTimeout=99_999_999)})
    with pytest.raises(OperationError, match="Second") as failed:
        small.carry_out({"One": queue(), "Second": queue(VisibilityTimeout=99_999_999)})
    assert "First" not in failed.value.problem
    assert small.propose({"One": queue()}) is None
