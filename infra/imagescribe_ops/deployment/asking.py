"""`imagescribe deploy --guided`: asks for the parameters that a first deployment should think of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import typer

from imagescribe_ops.deployment.parameters import Definitions, ParameterError, check

ASKED: Final = {
    "ExistingBucketName": "A bucket that exists already (nothing: a new one is made)",
    "BucketKmsKeyArn": "The ARN of the KMS key that its objects are encrypted with (nothing: none of your own)",
    "KeyPrefix": "Describe only keys that begin with (nothing: all)",
    "DailyBudgetUsd": "At most so many USD are spent at the endpoint in a UTC day (0: no limit)",
    "MaxRequestsPerMinute": "Never more calls a minute than (0: the endpoint's limit is found)",
    "AlarmEmail": "Who is told by mail when something is wrong (nothing: nobody)",
}
"""The parameters that are asked for, and how."""

_ONLY_WITH: Final = {"BucketKmsKeyArn": "ExistingBucketName"}
NOTHING: Final = "-"
"""Typed to empty a value that is there."""


def ask(definitions: Definitions, now: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Ask for the parameters that are not given yet, and return those with another answer than they have now.

    Parameters
    ----------
    now
        The values that the parameters have if nothing is said: the stack's, or the template's.
    """
    answers: dict[str, str] = {}
    for name, question in ASKED.items():
        needed = _ONLY_WITH.get(name)
        if name in given or name not in definitions or (needed and not {**answers, **given}.get(needed, now[needed])):
            continue
        answers[name] = _answer(name, question, now[name], definitions)
    return {name: answer for name, answer in answers.items() if answer != now[name]}


def _answer(name: str, question: str, default: str, definitions: Definitions) -> str:
    hint = f"{question}; {NOTHING} for nothing" if default and str(definitions[name]["Default"]) == "" else question
    while True:
        answer = str(typer.prompt(hint, default=default, show_default=bool(default), err=True)).strip()
        answer = "" if answer == NOTHING else answer
        try:
            check(name, answer, definitions)
        except ParameterError as error:
            typer.echo(f"  {error}", err=True)
        else:
            return answer
