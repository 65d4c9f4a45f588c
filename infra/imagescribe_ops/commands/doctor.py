"""The command `imagescribe doctor`: every link of the chain, and what mends one that is broken."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from imagescribe_ops.commands.base import OPERATE, StackOptions, app, on_stack
from imagescribe_ops.commands.hints import pasteable
from imagescribe_ops.display import Steps, print_json, shown
from imagescribe_ops.doctor.doctor import CHECKS, ON_THE_WAY, examine, look
from imagescribe_ops.doctor.examination import Examination
from imagescribe_ops.doctor.findings import Finding, NotCheckedError, State, Verdict
from imagescribe_ops.doctor.trial import Trial
from imagescribe_ops.errors import OperationError
from imagescribe_ops.standing import pause_sentence

SIGNS = {
    State.WELL: ("✓", "+", "green"),
    State.WARNING: ("!", "!", "yellow"),
    State.BROKEN: ("✗", "x", "bold red"),
    State.NOT_CHECKED: ("?", "?", "cyan"),
}
"""Of each state its sign, the one for a terminal without that character, and its colour."""

TRIAL = "trial"
AWS_LINE = "`aws "


@app.command(rich_help_panel=OPERATE)
@on_stack
def doctor(
    options: StackOptions,
    *,
    trying: Annotated[
        bool, typer.Option("--try", help="Upload a small picture too, wait for its prompt, take it away. Costs a call.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Try it without asking.")] = False,
) -> None:
    """Check every link from an upload to its prompt, and say what mends what is broken.

    ✓ well, ✗ broken, ! works or stands still on purpose, ? not checked (a permission is missing, or another link). Ends
    with 1 if anything is broken. Without `--try` it only looks, and costs nothing.

    Examples: `imagescribe doctor` · `imagescribe doctor --try` ·
    `imagescribe doctor --json | jq '.[] | select(.state == "broken")'`
    """
    if trying and not yes and (options.as_json or not _is_terminal()):
        raise OperationError("A trial pays for one call of the endpoint.", "Add --yes to try.")
    findings: list[Finding] = []
    console = Console(highlight=False, soft_wrap=True)
    for finding in _findings(options, trying=trying, yes=yes):
        findings.append(finding)
        if not options.as_json and not finding.waits_for:
            _show(console, finding, str(options))
    if options.as_json:
        print_json([_as_json(each, str(options)) for each in findings])
    else:
        _sum_up(console, findings)
        if options.local and any(AWS_LINE in each.mend for each in findings):
            console.print("AWS's own command needs the credentials that `imagescribe local` has printed.", markup=False)
    if any(each.state is State.BROKEN for each in findings):
        raise typer.Exit(1)


def _findings(options: StackOptions, *, trying: bool, yes: bool) -> Iterator[Finding]:
    try:
        examination = Examination(options.connection(), options.stack)
    except OperationError as error:  # a profile that is not there, say
        yield Finding(CHECKS[0].name, State.BROKEN, error.problem, error.advice)
        return
    in_the_way = ""
    for finding in examine(examination):
        if finding.state is State.BROKEN and finding.check in ON_THE_WAY:
            in_the_way = in_the_way or finding.check
        yield finding
    if trying:
        yield look(TRIAL, lambda: _trial(examination, in_the_way, yes=yes))


def _trial(examination: Examination, in_the_way: str, *, yes: bool) -> Verdict:
    if in_the_way:
        raise NotCheckedError(f"Not tried: the check {in_the_way!r} says why it would fail.", "Mend that first.")
    if paused := pause_sentence(examination.intake):
        raise NotCheckedError(f"Not tried. {paused}.", "End the pause with `imagescribe resume`.")
    cost = f"costs one call, ${examination.operations.price_usd:g}"
    if not yes and not typer.confirm(f"Upload a small picture and wait for its prompt? It {cost}."):
        raise NotCheckedError("Not tried, as you said.")
    with Steps() as steps:
        steps.say(f"The trial {cost}.")
        return Trial(examination, steps).run()


def _show(console: Console, finding: Finding, options: str) -> None:
    sign, plain, style = SIGNS[finding.state]
    width = max(len(check.name) for check in CHECKS)
    first, *details = pasteable(finding.found, options).splitlines() or [""]
    line = Text.assemble((sign if _can_show(sign) else plain, style), "  ", (f"{finding.check:{width}}", "bold"), "  ")
    console.print(line.append_text(shown(first)))
    for detail in [*details, *pasteable(finding.mend, options).splitlines()]:
        console.print(Text(" " * (width + 5)).append_text(shown(detail)))


def _is_terminal() -> bool:
    return sys.stdin.isatty()


def _can_show(sign: str) -> bool:
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _sum_up(console: Console, findings: Sequence[Finding]) -> None:
    counts = Counter(each.state for each in findings)
    parts = [f"{counts[state]} {state}" for state in State if counts[state]]
    if counts[State.WARNING] > 1:
        parts = [f"{part}s" if part.endswith(State.WARNING) else part for part in parts]
    waiting = Counter(each.waits_for for each in findings if each.waits_for)
    for check, count in waiting.items():
        others = "1 further check needs" if count == 1 else f"{count} further checks need"
        console.print(shown(f"{others} {check!r} first."))
    console.print(shown(f"{', '.join(parts)}.", "bold"))


def _as_json(finding: Finding, options: str) -> dict[str, str]:
    return {
        "check": finding.check,
        "state": str(finding.state),
        "found": pasteable(finding.found, options),
        "mend": pasteable(finding.mend, options),
    }
