"""What users type and paste: times, hints, regions and the version."""

from __future__ import annotations

import errno
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from imagescribe_ops.commands import main
from imagescribe_ops.commands.base import StackOptions, seconds_of
from imagescribe_ops.commands.hints import pasteable
from imagescribe_ops.commands.main import app
from imagescribe_ops.local import state as local_state

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("5min", 300),
        ("5 minutes", 300),
        ("2h", 7_200),
        ("1h30m", 5_400),
        ("1 day", 86_400),
        (" 10 SEC ", 10),
    ],
)
def test_a_time_is_taken_as_people_write_it(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "soon", "0m", "-5m", "5 apples", "5m ago", "1.5h"])
def test_what_is_no_time_is_told_with_what_one_is(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="a number and s, m, h or d, such as 30m"):
        seconds_of(text)


@pytest.mark.parametrize(
    "arguments", [("list", "--day"), ("backfill", "--since"), ("backfill", "--older-than"), ("export", "--since")]
)
def test_what_is_no_day_is_told_with_what_one_is(arguments: tuple[str, str]) -> None:
    result = CliRunner().invoke(app, [*arguments, "yesterday"], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert "'yesterday' is no day; one is written as 2026-11-23" in result.stderr


def test_a_hint_names_the_stack_that_was_asked() -> None:
    options = StackOptions(stack="mine", region="eu-west-1", profile="my work")
    assert pasteable("Run `imagescribe resume`.", str(options)) == (
        "Run `imagescribe resume --stack mine --region eu-west-1 --profile 'my work'`."
    )
    assert pasteable("`imagescribe local` or `aws s3 ls`", str(StackOptions(local=True))) == (
        "`imagescribe local` or `aws s3 ls`"
    )
    assert pasteable("`imagescribe get s3://b/k`", str(StackOptions(local=True))) == (
        "`imagescribe get s3://b/k --local`"
    )


def test_a_hint_is_run_as_the_command_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_RUN_RECURSION_DEPTH", "1")
    assert pasteable("`imagescribe status`") == "`uv run imagescribe status`"


@pytest.mark.parametrize("region", ["mars-1", "us_east_1", "eu-central"])
def test_a_region_that_is_none_is_told_in_a_sentence(region: str) -> None:
    result = CliRunner().invoke(app, ["list", "--region", region])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == f"Error: {region!r} is no AWS region."


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"imagescribe \d+\.\d+\.\d+\n", CliRunner().invoke(app, ["--version"]).stdout)


def test_the_command_needs_nothing_of_what_only_functions_and_tests_need() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    own = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    names = {re.split(r"[<>=\[]", each)[0] for group in groups.values() for each in group if isinstance(each, str)}
    names -= {re.split(r"[<>=\[]", each)[0] for each in own}
    blocked = sorted(name.replace("-", "_") for name in names)
    code = f"import sys; sys.modules.update(dict.fromkeys({blocked})); import imagescribe_ops.commands.main"
    assert "aws_lambda_powertools" in blocked
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_shell_can_be_taught_the_commands() -> None:
    assert "--install-completion" in CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout


# ── How it begins, and where it can't write ──────────────────────────────────────────────────────────────────────────

INTERRUPTED_WHILE_READ_IN = """
import signal, sys
from imagescribe_ops.start import main

class Interrupt:
    def find_spec(self, name, *_):
        if name == "imagescribe_ops.commands.main":
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
main()
"""


def test_ctrl_c_ends_the_command_in_silence_also_while_it_is_read_in() -> None:
    result = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_READ_IN], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_a_command_whose_standard_output_is_closed_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(main, "app", lambda **_: print(sys.stdout.isatty()))
    main.main()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(errno.EROFS, "Read-only file system", "/clone/lock"),
            "/clone/lock could not be written: Read-only file system.",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "Standard output could not be written: No space left on device.",
        ),
    ],
)
def test_what_cannot_be_written_is_told_in_a_sentence(
    error: OSError, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_stack: str) -> None:
        raise error

    monkeypatch.setattr(local_state, "check_free", fails)
    result = CliRunner().invoke(app, ["local"])
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [f"Error: {told}", "Make room for it there."]
