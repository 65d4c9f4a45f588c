"""`imagescribe deploy` up to the build, and what it agrees to: with CloudFormation played by the test."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner, Result

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.commands import deploy as cli
from imagescribe_ops.commands import destroy as cli_destroy
from imagescribe_ops.commands.main import app
from imagescribe_ops.deployment.asking import ASKED, ask
from imagescribe_ops.deployment.change_sets import Proposal
from imagescribe_ops.deployment.changes import Action, Change, Changes
from imagescribe_ops.deployment.existing_bucket import check_bucket
from imagescribe_ops.deployment.parameters import defaults
from imagescribe_ops.deployment.removal import Kept, Removal
from imagescribe_ops.deployment.standing import Standing
from imagescribe_ops.errors import OperationError
from imagescribe_ops.template import parameter_definitions
from tests.sam_template import TEMPLATE, load

DEFINITIONS = parameter_definitions(TEMPLATE)
HARMLESS = Change(Action.CHANGE, "DescribeFunction", "AWS::Lambda::Function", properties=["Environment"])
LOSS = Change(Action.REPLACE, "LedgerTable", "AWS::DynamoDB::Table", physical_id="old", is_kept=True)
DESCRIPTION: str = load()["Description"]
STACK_ID = "arn:aws:cloudformation:eu-central-1:123456789012:stack/imagescribe/1"


@dataclass
class Played:
    """CloudFormation: what it answers, and what it was asked to do."""

    now: Standing = field(default_factory=Standing)
    changes: list[Change] | None = field(default_factory=lambda: [HARMLESS])
    done: list[str] = field(default_factory=list)
    given: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    parameters: dict[str, tuple[str | None, str]] = field(default_factory=lambda: {"KeyPrefix": ("a/", "")})

    def standing(self) -> Standing:
        return self.now

    def propose(
        self, _url: str, standing: Standing, given: Mapping[str, str], _defaults: object, tags: Mapping[str, str]
    ) -> Proposal | None:
        self.given, self.tags = dict(given), dict(tags)
        if self.changes is None:
            return None
        return Proposal("set", STACK_ID, not standing.exists, Changes(self.changes, self.parameters))

    def discard(self, _proposal: Proposal) -> None:
        self.done.append("discarded")

    def carry_out(self, _proposal: Proposal, _report: object) -> None:
        self.done.append("carried out")

    def delete(self, _report: object) -> None:
        self.done.append("deleted")


def running(status: str = "CREATE_COMPLETE", **parameters: str) -> Standing:
    return Standing(status, parameters, {"LedgerTableName": "ledger", "BucketName": "pictures"})


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Played:
    aws = Played()
    for module in (cli, cli_destroy):
        monkeypatch.setattr(module, "CloudFormation", lambda _connection, _stack: aws)

    monkeypatch.setattr(cli, "ChangeSets", lambda _connection, _stack: aws)

    def built(*_arguments: object, runs_on: str) -> Path:
        aws.done.append(f"built for {runs_on}")
        return Path()

    monkeypatch.setattr(cli, "build", built)
    monkeypatch.setattr(cli, "package", lambda *_arguments, **_options: "https://template")
    return aws


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, [*arguments], input=typed, env={"COLUMNS": "1000"})


@pytest.fixture
def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    class System:
        stdin = stdout = Terminal()

    for module in (cli, cli_destroy):
        monkeypatch.setattr(module, "sys", System)


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("MaxAttempts=0", "a number from 1 to 100"),
        ("Nonsense=1", "the template has no 'Nonsense'"),
        ("Nonsense", "is not NAME=VALUE"),
        ("DescribeUrl=http://example.org", "must be an https:// address"),
    ],
)
def test_a_parameter_that_is_wrong_is_refused_before_anything_is_built(
    played: Played, parameter: str, words: str
) -> None:
    result = run("deploy", "--yes", "--parameter", parameter)
    assert result.exit_code == 2
    assert words in result.stderr
    assert played.done == []


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        (Standing("CREATE_COMPLETE", {}, {"SomebodysUrl": "x"}), "is not one of ImageScribe's"),
        (Standing("ROLLBACK_COMPLETE", description="Somebody's queues"), "is not one of ImageScribe's"),
        (Standing("DELETE_FAILED"), "is not one of ImageScribe's"),
        (Standing("DELETE_FAILED", description=DESCRIPTION), "imagescribe destroy"),
        (running("UPDATE_ROLLBACK_FAILED"), "continue-update-rollback"),
    ],
)
def test_a_stack_that_cannot_be_deployed_over_is_refused_at_once(
    played: Played, standing: Standing, words: str
) -> None:
    played.now = standing
    result = run("deploy", "--yes")
    assert result.exit_code == 1
    assert words in result.stderr
    assert played.done == []


def test_the_functions_are_built_for_what_the_stack_runs_on(played: Played) -> None:
    played.now = running(Architecture="x86_64")
    assert run("deploy", "--yes").exit_code == 0
    assert played.done == ["built for x86_64", "carried out"]
    assert played.given == {}


def test_tags_of_the_stack_are_read_as_pairs(played: Played) -> None:
    assert run("deploy", "--yes", "--tag", "team=photos", "--tag", "cost=a=b").exit_code == 0
    assert played.tags == {"team": "photos", "cost": "a=b"}
    assert "is not NAME=VALUE" in run("deploy", "--yes", "--tag", "team").stderr


def test_nothing_is_deployed_where_there_is_nobody_to_ask(played: Played) -> None:
    result = run("deploy")
    assert result.exit_code == 1
    assert "Add --yes" in result.stderr
    assert played.done[1:] == ["discarded"]


@pytest.mark.usefixtures("at_a_terminal")
@pytest.mark.parametrize(
    ("changes", "typed", "ended"),
    [
        ([HARMLESS], "y\n", "carried out"),
        ([HARMLESS], "\n", "discarded"),
        ([LOSS], "y\n", "discarded"),
        ([LOSS], "imagescribe\n", "carried out"),
    ],
)
def test_a_person_is_asked_and_for_the_name_where_data_is_lost(
    played: Played, changes: list[Change], typed: str, ended: str
) -> None:
    played.changes = changes
    result = run("deploy", typed=typed)
    assert result.exit_code == 0, result.stderr
    assert played.done[1:] == [ended]


def test_yes_does_not_agree_to_a_loss_unless_it_is_told_to(played: Played) -> None:
    played.changes = [HARMLESS, LOSS]
    result = run("deploy", "--yes")
    assert result.exit_code == 1
    assert "LedgerTable (table)" in result.stderr
    assert "IS REPLACED" in result.stdout
    assert played.done[1:] == ["discarded"]
    assert run("deploy", "--yes", "--allow-loss").exit_code == 0
    assert played.done[-1] == "carried out"


def test_json_alone_says_what_would_change_and_changes_nothing(played: Played) -> None:
    answer = json.loads(run("deploy", "--json").stdout)
    assert answer["deployed"] is False
    assert answer["changes"]["parameters"] == {"KeyPrefix": {"before": "a/", "after": ""}}
    assert [each["resource"] for each in answer["changes"]["resources"]] == ["DescribeFunction"]
    assert played.done[1:] == ["discarded"]


def test_a_stack_that_is_up_to_date_is_left_alone(played: Played) -> None:
    played.now, played.changes = running(), None
    result = run("deploy")
    assert result.exit_code == 0
    assert "up to date" in result.stdout
    assert played.done[1:] == []


def test_what_a_first_deployment_that_failed_has_left_is_cleared_away(played: Played) -> None:
    played.now = Standing("ROLLBACK_COMPLETE", description=DESCRIPTION)
    assert run("deploy", "--yes").exit_code == 0
    assert played.done[1:] == ["deleted", "carried out"]


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_what_a_first_deployment_that_failed_has_left_stays_where_nobody_agreed(
    played: Played, options: tuple[str, ...]
) -> None:
    played.now = Standing("ROLLBACK_COMPLETE", description=DESCRIPTION)
    result = run("deploy", *options)
    assert result.exit_code == 1
    assert "Add --yes" in result.stderr
    assert played.done == []


def test_hints_have_the_options_that_lead_to_the_stack(played: Played) -> None:
    result = run("deploy", "--yes", "--stack", "trial", "--region", "eu-central-1")
    assert "  imagescribe key set --stack trial --region eu-central-1" in result.stdout.splitlines()


def test_hints_upload_to_where_images_are_described(played: Played) -> None:
    played.now, played.changes = running(KeyPrefix="my pictures/"), None
    lines = run("deploy").stdout.splitlines()
    assert "  imagescribe upload --wait --prefix 'my pictures/' FILE" in lines
    assert "  imagescribe get 's3://pictures/my pictures/FILE'" in lines


@pytest.mark.parametrize("changed", [False, True])
def test_a_new_address_for_alarms_is_told_to_confirm(played: Played, changed: bool) -> None:
    played.now = running(AlarmEmail="ann@example.org")
    played.parameters = {"AlarmEmail": ("", "ann@example.org")} if changed else {}
    assert ("AWS has sent a mail to ann@example.org" in run("deploy", "--yes").stdout) is changed


def test_a_value_that_this_template_takes_no_more_is_told_before_anything_is_built(played: Played) -> None:
    played.now = running(MaxAttempts="500", GoneSince="x")
    result = run("deploy", "--yes")
    assert result.exit_code == 1
    assert "MaxAttempts must be a number from 1 to 100; it is '500'" in result.stderr
    assert "--parameter MaxAttempts=VALUE" in result.stderr
    assert played.done == []
    assert run("deploy", "--yes", "--parameter", "MaxAttempts=5").exit_code == 0


def test_the_guide_needs_a_terminal(played: Played) -> None:
    result = run("deploy", "--guided", typed="")
    assert result.exit_code == 2
    assert "needs a terminal" in result.stderr


# ── The guide ────────────────────────────────────────────────────────────────────────────────────────────────────────


def answers(monkeypatch: pytest.MonkeyPatch, *typed: str) -> Callable[..., str]:
    line = iter(typed)

    def prompt(_text: str, default: str, **_options: Any) -> str:
        return next(line) or default

    monkeypatch.setattr("imagescribe_ops.deployment.asking.typer.prompt", prompt)
    return prompt


def test_the_guide_gives_back_what_is_answered_otherwise_than_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, "", "", "10", "", "me@example.org")
    assert ask(DEFINITIONS, defaults(DEFINITIONS), {}) == {"DailyBudgetUsd": "10", "AlarmEmail": "me@example.org"}


def test_the_guide_asks_again_where_the_template_would_not_take_the_answer(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(monkeypatch, "", "", "much", "-5", "7", "", "")
    assert ask(DEFINITIONS, defaults(DEFINITIONS), {}) == {"DailyBudgetUsd": "7"}
    assert capsys.readouterr().err.count("must be a number") == 2


def test_the_guide_asks_for_the_key_of_an_existing_bucket_and_not_for_what_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers(monkeypatch, "", "-", "", "")
    now = defaults(DEFINITIONS) | {"KeyPrefix": "in/"}
    given = {"ExistingBucketName": "pictures", "DailyBudgetUsd": "5"}
    assert ask(DEFINITIONS, now, given) == {"KeyPrefix": ""}
    assert set(ASKED) <= set(DEFINITIONS)


# ── A bucket that exists ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_bucket_that_is_not_there_is_told_before_the_build(aws: boto3.Session) -> None:
    with pytest.raises(OperationError, match="There is no bucket nowhere"):
        check_bucket(Connection(), "nowhere")


def test_a_bucket_that_tells_nobody_is_told_how_it_does(aws: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> None:
    s3: Any = aws.client("s3")
    s3.create_bucket(Bucket="silent", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    assert "turn Amazon EventBridge on" in check_bucket(Connection(), "silent")
    s3.get_bucket_notification_configuration = lambda **_request: {"EventBridgeConfiguration": {}}  # moto forgets it
    connection = Connection()
    monkeypatch.setattr(connection, "s3", lambda: s3)
    assert check_bucket(connection, "silent") == ""


def test_a_bucket_of_another_region_is_told_with_the_option_that_leads_there(aws: boto3.Session) -> None:
    s3 = boto3.Session(region_name="us-west-2").client("s3")
    s3.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    with pytest.raises(OperationError) as refused:
        check_bucket(Connection(), "far-away")
    assert "add --region us-west-2" in refused.value.advice


# ── destroy ──────────────────────────────────────────────────────────────────────────────────────────────────────────

PLAN = Removal(
    [Kept("LedgerTable", "AWS::DynamoDB::Table", "ledger-1")],
    ["function", "function", "role"],
    "s3://zips/imagescribe/",
)


@pytest.fixture
def removable(played: Played, monkeypatch: pytest.MonkeyPatch) -> Played:
    played.now = running()
    monkeypatch.setattr(cli_destroy, "removal", lambda _connection, _stack: PLAN)
    return played


@pytest.mark.usefixtures("at_a_terminal")
@pytest.mark.parametrize(("typed", "done"), [("imagescribe\n", ["deleted"]), ("yes\n", []), ("\n", [])])
def test_a_stack_goes_only_where_its_name_is_typed(removable: Played, typed: str, done: list[str]) -> None:
    result = run("destroy", typed=typed)
    assert result.exit_code == 0
    assert removable.done == done
    assert "2 functions and 1 role" in result.stdout
    assert "table ledger-1: what was paid for" in result.stdout


def test_a_stack_is_not_deleted_where_there_is_nobody_to_ask(removable: Played) -> None:
    result = run("destroy")
    assert result.exit_code == 1
    assert "Add --yes" in result.stderr
    assert removable.done == []


def test_what_stayed_can_be_deleted_by_the_lines_that_are_printed(removable: Played) -> None:
    result = run("destroy", "--yes", "--region", "eu-central-1")
    lines = result.stdout.splitlines()
    assert "  aws dynamodb delete-table --table-name ledger-1 --region eu-central-1" in lines
    assert "  aws s3 rm --recursive s3://zips/imagescribe/ --region eu-central-1" in lines


def test_a_new_stack_goes_on_with_the_images_of_the_old_one_by_the_lines_that_are_printed(removable: Played) -> None:
    removable.now = running(KeyPrefix="my pictures/", DailyBudgetUsd="25")
    lines = run("destroy", "--yes", "--region", "eu-central-1").stdout.splitlines()
    begin = next(place for place, line in enumerate(lines) if line.startswith("  imagescribe deploy"))
    assert lines[begin : begin + 4] == [
        "  imagescribe deploy --parameter 'KeyPrefix=my pictures/' --parameter ExistingBucketName=pictures "
        "--region eu-central-1",
        "  imagescribe key set --region eu-central-1",
        "  imagescribe adopt ledger-1 --region eu-central-1",
        "  imagescribe backfill --region eu-central-1",
    ]


def test_json_alone_says_what_would_stay(removable: Played) -> None:
    answer = json.loads(run("destroy", "--json").stdout)
    assert answer["deleted"] is False
    assert [each["resource"] for each in answer["kept"]] == ["LedgerTable"]
    assert removable.done == []


def test_a_stack_that_is_not_there_or_not_ours_is_not_destroyed(removable: Played) -> None:
    removable.now = Standing()
    assert "There is no stack" in run("destroy", "--yes").stderr
    removable.now = Standing("CREATE_COMPLETE", {}, {"SomebodysUrl": "x"})
    assert "not one of ImageScribe's" in run("destroy", "--yes").stderr
    removable.now = Standing("ROLLBACK_FAILED", description="Somebody's queues")
    assert "not one of ImageScribe's" in run("destroy", "--yes").stderr
    assert removable.done == []


def test_a_protected_stack_is_told_with_what_takes_the_protection_away(removable: Played) -> None:
    removable.now = replace(running(), is_protected=True)
    result = run("destroy", "--yes")
    assert result.exit_code == 1
    assert "--no-enable-termination-protection --stack-name imagescribe" in result.stderr
    assert removable.done == []
