"""The command `imagescribe doctor`: every link of the chain, and what mends one that is broken."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence

import typer
from rich.console import Console
from rich.text import Text

from imagescribe_ops.commands.base import OPERATE, StackOptions, app, on_stack, pasteable
from imagescribe_ops.display import print_json, shown
from imagescribe_ops.doctor.doctor import CHECKS, examine
from imagescribe_ops.doctor.examination import Examination
from imagescribe_ops.doctor.findings import Finding, State
from imagescribe_ops.errors import OperationError

SIGNS = {
    State.WELL: ("✓", "+", "green"),
    State.WARNING: ("!", "!", "yellow"),
    State.BROKEN: ("✗", "x", "bold red"),
    State.NOT_CHECKED: ("?", "?", "cyan"),
}
"""Of each state its sign, the one for a terminal without that character, and its colour."""


@app.command(rich_help_panel=OPERATE)
@on_stack
def doctor(options: StackOptions) -> None:
    """Check every link from an upload to its prompt, and say what mends what is broken.

    ✓ well, ✗ broken, ! works or stands still on purpose, ? not checked (a permission is missing, or another link). Ends
    with 1 if anything is broken. It only looks, and costs nothing.

    Examples: `imagescribe doctor` · `imagescribe doctor --json | jq '.[] | select(.state == "broken")'`
    """
    findings: list[Finding] = []
    console = Console(highlight=False, soft_wrap=True)
    for finding in _findings(options):
        findings.append(finding)
        if not options.as_json and not finding.waits_for:
            _show(console, finding, str(options))
    if options.as_json:
        print_json([_as_json(each, str(options)) for each in findings])
    else:
        _sum_up(console, findings)
    if any(each.state is State.BROKEN for each in findings):
        raise typer.Exit(1)


def _findings(options: StackOptions) -> Iterator[Finding]:
    try:
        examination = Examination(options.connection(), options.stack)
    except OperationError as error:  # a profile that is not there, say
        yield Finding(CHECKS[0].name, State.BROKEN, error.problem, error.advice)
        return
    yield from examine(examination)


def _show(console: Console, finding: Finding, options: str) -> None:
    sign, plain, style = SIGNS[finding.state]
    width = max(len(check.name) for check in CHECKS)
    first, *details = pasteable(finding.found, options).splitlines() or [""]
    line = Text.assemble((sign if _can_show(sign) else plain, style), "  ", (f"{finding.check:{width}}", "bold"), "  ")
    console.print(line.append_text(shown(first)))
    for detail in [*details, *pasteable(finding.mend, options).splitlines()]:
        console.print(Text(" " * (width + 5)).append_text(shown(detail)))


def _can_show(sign: str) -> bool:
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _sum_up(console: Console, findings: Sequence[Finding]) -> None:
    counts = Counter(each.state for each in findings)
    parts = [f"{counts[state]} {state}" for state in State if counts[state]]
    waiting = Counter(each.waits_for for each in findings if each.waits_for)
    for check, count in waiting.items():
        console.print(shown(f"{count} further checks need {check!r} first."))
    console.print(shown(f"{', '.join(parts)}.", "bold"))


def _as_json(finding: Finding, options: str) -> dict[str, str]:
    return {
        "check": finding.check,
        "state": str(finding.state),
        "found": pasteable(finding.found, options),
        "mend": pasteable(finding.mend, options),
    }
