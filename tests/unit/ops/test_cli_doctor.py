"""The command `imagescribe doctor`: what it prints, asks and refuses, and with which status it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner, Result

from imagescribe.throttle.breaker import OpenedBy
from imagescribe_ops.commands import doctor as cli
from imagescribe_ops.commands.main import app
from imagescribe_ops.doctor.doctor import Check, examine
from imagescribe_ops.doctor.findings import NotCheckedError, Verdict, broken, warning, well
from tests.unit.stack_in_moto import StackInMoto

pytestmark = pytest.mark.usefixtures("deployed")

WELL = Check("credentials", lambda _: well("you"), needs=())
ODD = Check("bucket", lambda _: warning("odd", "Look with `imagescribe status`."), needs=())
ILL = Check("rule", lambda _: broken("off\nfor long", "Enable it: `aws events enable-rule --name x`"), needs=())
NEEDS_IT = Check("alarms told", lambda _: well("never asked"), needs=["rule"])


def dark(_examination: Any) -> Verdict:
    raise NotCheckedError("The permission x:Y is missing.", "Ask for it.")


DARK = Check("budget", dark, needs=())


def run(
    monkeypatch: pytest.MonkeyPatch, *checks: Check, words: tuple[str, ...] = (), typed: str | None = None
) -> Result:
    monkeypatch.setattr(cli, "CHECKS", checks)
    monkeypatch.setattr(cli, "examine", lambda examination: examine(examination, checks))
    return CliRunner().invoke(app, ["doctor", "--stack", "mine", *words], input=typed)


def test_each_link_has_a_line_with_a_sign_and_what_mends_it_below(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, WELL, ODD, ILL, NEEDS_IT, DARK)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "✓  credentials  you",
        "!  bucket       odd",
        "                Look with `imagescribe status --stack mine`.",
        "✗  rule         off",
        "                for long",
        "                Enable it: `aws events enable-rule --name x`",
        "?  budget       The permission x:Y is missing.",
        "                Ask for it.",
        "1 further check needs 'rule' first.",
        "1 well, 1 warning, 1 broken, 2 not checked.",
    ]


def test_warnings_and_what_is_not_checked_end_with_0(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, WELL, ODD, ODD, DARK)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "1 well, 2 warnings, 1 not checked."


def test_json_is_a_list_of_all_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, WELL, ILL, NEEDS_IT, words=("--json",))
    assert result.exit_code == 1
    assert json.loads(result.stdout) == [
        {"check": "credentials", "state": "well", "found": "you", "mend": ""},
        {
            "check": "rule",
            "state": "broken",
            "found": "off\nfor long",
            "mend": "Enable it: `aws events enable-rule --name x`",
        },
        {"check": "alarms told", "state": "not checked", "found": "It needs the check 'rule'.", "mend": ""},
    ]


def test_signs_are_plain_where_the_terminal_has_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "CHECKS", (WELL, ILL))
    monkeypatch.setattr(cli, "examine", lambda examination: examine(examination, (WELL, ILL)))
    lines = CliRunner(charset="ascii").invoke(app, ["doctor"]).stdout.splitlines()
    assert [line[0] for line in lines[:2]] == ["+", "x"]


def test_signs_differ_without_colour_and_take_one_column() -> None:
    for index in (0, 1):
        signs = [sign[index] for sign in cli.SIGNS.values()]
        assert len(set(signs)) == len(signs)
        assert {cell_len(sign) for sign in signs} == {1}


def test_a_profile_that_is_not_there_is_a_broken_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    result = CliRunner().invoke(app, ["doctor", "--profile", "nobody", "--json"])
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)
    assert (finding["check"], finding["state"]) == ("credentials", "broken")
    assert "nobody" in finding["found"]


# ── A trial ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Tried:
    """In place of a trial: whether it was made."""

    count = 0

    def __init__(self, *_: Any) -> None:
        pass

    def run(self) -> Verdict:
        Tried.count += 1
        return well("described")


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> type[Tried]:
    monkeypatch.setattr(cli, "Trial", Tried)
    Tried.count = 0
    return Tried


@pytest.mark.parametrize("words", [("--try",), ("--try", "--json")])
def test_a_trial_is_not_paid_for_without_a_yes(
    monkeypatch: pytest.MonkeyPatch, tried: type[Tried], words: tuple[str, ...]
) -> None:
    result = run(monkeypatch, WELL, words=words)
    assert (result.exit_code, tried.count) == (1, 0)
    assert "A trial pays for one call of the endpoint. Add --yes" in result.stderr.replace("\n", " ")


@pytest.mark.parametrize(("typed", "count"), [("y\n", 1), ("n\n", 0)])
def test_a_trial_asks_and_says_what_it_costs(
    monkeypatch: pytest.MonkeyPatch, tried: type[Tried], typed: str, count: int
) -> None:
    monkeypatch.setattr(cli, "_is_terminal", lambda: True)
    result = run(monkeypatch, WELL, words=("--try",), typed=typed)
    assert (result.exit_code, tried.count) == (0, count)
    assert "It costs one call, $0.015." in result.output


def test_a_trial_says_what_it_costs_where_it_does_not_ask(monkeypatch: pytest.MonkeyPatch, tried: type[Tried]) -> None:
    result = run(monkeypatch, WELL, words=("--try", "--yes"))
    assert "The trial costs one call, $0.015." in result.stderr
    assert "✓  trial        described" in result.stdout
    assert tried.count == 1


def test_nothing_is_tried_where_a_link_is_broken_on_the_way(
    monkeypatch: pytest.MonkeyPatch, tried: type[Tried]
) -> None:
    result = run(monkeypatch, WELL, ILL, words=("--try", "--yes"))
    assert "?  trial        Not tried: the check 'rule' says why it would fail." in result.stdout
    assert tried.count == 0


def test_alarms_that_nobody_hears_do_not_keep_from_trying(monkeypatch: pytest.MonkeyPatch, tried: type[Tried]) -> None:
    silent = Check("alarms told", lambda _: broken("nobody", "tell them"), needs=())
    result = run(monkeypatch, WELL, silent, words=("--try", "--yes"))
    assert (result.exit_code, tried.count) == (1, 1)


def test_nothing_is_tried_while_calls_are_paused(
    monkeypatch: pytest.MonkeyPatch, tried: type[Tried], deployed: StackInMoto
) -> None:
    deployed.open(OpenedBy.OPERATOR, "lunch", 1e9)
    result = run(monkeypatch, WELL, words=("--try", "--yes"))
    assert "Not tried. Paused by the operator" in result.stdout
    assert tried.count == 0
