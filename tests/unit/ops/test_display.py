"""What is shown on a terminal: results stand by themselves, and not beside a spinner or a bar."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from imagescribe_ops.display import Steps

LINE_IS_GONE = "\x1b[1A\x1b[2K"
"""The cursor goes up to the line of the spinner, and the line is erased."""


@pytest.fixture
def terminal() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def steps(terminal: io.StringIO) -> Steps:
    return Steps(Console(file=terminal, force_terminal=True, force_interactive=True, width=80))


def test_a_result_takes_the_place_of_the_bar_and_the_bar_comes_after_it(steps: Steps, terminal: io.StringIO) -> None:
    with steps.counting("Describing images", 2) as counter:
        with steps.aside():
            terminal.write("cat.png\n")
        counter.advance()
    before, after = terminal.getvalue().split("cat.png\n")
    assert before.endswith(LINE_IS_GONE)
    assert "Describing images" in after
    assert after.endswith(LINE_IS_GONE)


def test_a_result_takes_the_place_of_the_spinner_and_the_spinner_comes_after_it(
    steps: Steps, terminal: io.StringIO
) -> None:
    steps.begin("Waiting")
    with steps.aside():
        terminal.write("cat.png\n")
    steps.show("Waiting: 1 of 2")
    steps.end()
    before, after = terminal.getvalue().split("cat.png\n")
    assert before.endswith(LINE_IS_GONE)
    assert "Waiting: 1 of 2" in after


def test_nothing_turns_after_the_last_step(steps: Steps, terminal: io.StringIO) -> None:
    steps.begin("Waiting")
    steps.end()
    shown = terminal.getvalue()
    with steps.aside():
        pass
    assert terminal.getvalue() == shown
