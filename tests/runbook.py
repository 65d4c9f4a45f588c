"""The runbook as tests read it: its sections, and the commands in each."""

from __future__ import annotations

import re
import shlex

from tests.factories import ROOT

RUNBOOK = ROOT / "infra/RUNBOOK.md"


def sections() -> dict[str, str]:
    """The text of each section, by its title."""
    _, *parts = re.split(r"^## (.+)$", RUNBOOK.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def opening() -> str:
    """What stands before all sections."""
    return RUNBOOK.read_text(encoding="utf-8").partition("\n## ")[0]


def commands(title: str) -> list[list[str]]:
    """The commands of a section, in their order, each as its words."""
    return commands_in(sections()[title])


def commands_in(text: str) -> list[list[str]]:
    """The commands of a text, in the same way."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]


def section_of(alarm_description: str) -> str:
    """The section that an alarm's description names."""
    found = re.search(r"Runbook: (.+)\.$", alarm_description)
    assert found, alarm_description
    return found[1]
