"""`imagescribe local` refuses at once, before anything is built, what could not be deployed or could not work."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from imagescribe_ops.commands import local as cli_local
from imagescribe_ops.commands.main import app
from imagescribe_ops.local import deploy, state
from imagescribe_ops.local.stack import LocalCloud
from imagescribe_ops.template import constraint_broken, parameter_definitions
from tests.sam_template import TEMPLATE


class StartedError(Exception):
    """The command had no objection."""


@pytest.fixture(autouse=True)
def _nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_arguments: object, **_options: object) -> None:
        raise StartedError

    monkeypatch.setattr(cli_local, "local_stack", start)
    monkeypatch.setattr(state, "check_free", lambda _stack: None)


@pytest.fixture
def _reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_local, "_check_reachable", lambda _url: None)


def local(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["local", *arguments], env={"COLUMNS": "1000"})


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("KeyPrefix=a*", "none of the signs * and ?"),
        ("KeyPrefix=🦊/", "Latin-1"),
        ("MaxAttempts=0", "a number from 1 to 100"),
        ("MaxAttempts=many", "a number from 1 to 100"),
        ("PricePerCallUsd=-1", "must be a number of at least 0; it is"),
        ("LogRetentionDays=2", "one of 1, 3, 5"),
        ("RequireTls=yes", "one of true, false"),
        ("PromptTagKey=aws:prompt", "must match"),
    ],
)
def test_a_parameter_that_a_deployment_would_refuse_is_refused_before_the_build(parameter: str, words: str) -> None:
    result = local("--parameter", parameter)
    assert result.exit_code == 2
    assert words in result.stderr
    assert parameter.partition("=")[0] in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--describe-url", "https://api.segmind.com/v1/ideogram-describe"),
        ("--describe-url", "https://192.168.1.20/describe"),
        ("--describe-url", "https://127.0.0.1.example.com/describe"),
        ("--parameter", "DescribeUrl=https://api.segmind.com/v1/ideogram-describe"),
    ],
)
def test_an_endpoint_elsewhere_is_refused_with_what_works(arguments: tuple[str, str]) -> None:
    result = local(*arguments)
    assert result.exit_code == 2
    assert "cannot fetch pictures from this machine" in result.stderr
    assert "http://127.0.0.1:8080/describe" in result.stderr
    assert "imagescribe deploy --guided" in result.stderr


def test_an_endpoint_that_nobody_listens_at_is_refused_before_the_build() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        result = local("--describe-url", f"http://127.0.0.1:{taken.getsockname()[1]}/describe")
    assert result.exit_code == 2
    assert "nobody listens at 127.0.0.1:" in result.stderr


def test_an_address_that_the_template_does_not_take_is_refused_too() -> None:
    result = local("--describe-url", "http://localhost:8080/describe")
    assert result.exit_code == 2
    assert "must be an https:// address" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--describe-url", "http://127.0.0.1:8080/describe"),
        ("--describe-url", "https://localhost:8443/describe"),
        ("--parameter", "KeyPrefix=photos/Jörg's $100 day/", "--parameter", "DailyBudgetUsd=1.5"),
    ],
)
@pytest.mark.usefixtures("_reachable")
def test_what_can_work_is_started(arguments: tuple[str, ...]) -> None:
    assert isinstance(local(*arguments).exception, StartedError)


def test_every_default_of_the_template_meets_its_own_constraints() -> None:
    for name, definition in parameter_definitions(TEMPLATE).items():
        assert constraint_broken(definition, str(definition["Default"])) is None, name


@pytest.mark.parametrize(("given", "budget"), [({}, "0"), ({"DailyBudgetUsd": "3"}, "3")])
def test_on_this_machine_there_is_no_budget_unless_one_is_asked_for(
    given: dict[str, str], budget: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deployed(*_arguments: object, parameters: dict[str, str], **_options: object) -> None:
        assert parameters["DailyBudgetUsd"] == budget
        raise StartedError

    monkeypatch.setattr(deploy, "deploy", deployed)
    cloud = LocalCloud(describe_url="http://127.0.0.1:1/")
    monkeypatch.setattr(cloud, "_directory", TEMPLATE.parent)
    monkeypatch.setattr(cloud, "_build", lambda template, _directory: template)
    monkeypatch.setattr(cloud.emulator, "is_running", lambda: True)
    monkeypatch.setattr(type(cloud.emulator), "endpoint_url", "http://127.0.0.1:1")
    with pytest.raises(StartedError):
        cloud.deploy(parameters=given)


def test_what_was_there_before_goes_without_a_bucket_of_ones_own() -> None:
    result = local("--before", ".", "--parameter", "ExistingBucketName=mine")
    assert result.exit_code == 2
    assert "goes without ExistingBucketName" in result.stderr


@pytest.mark.parametrize(("name", "words"), [("nowhere", "does not exist"), ("", "There is no image in")])
def test_a_folder_without_pictures_is_refused_before_the_build(tmp_path: Path, name: str, words: str) -> None:
    result = local("--before", str(tmp_path / name))
    assert result.exit_code == 2
    assert words in result.stderr
