"""What `deploy` and `destroy` share: how an error and an interruption are told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from imagescribe_ops.aws.errors import readable_errors
from imagescribe_ops.commands.base import StackOptions
from imagescribe_ops.commands.hints import complain
from imagescribe_ops.display import Steps
from imagescribe_ops.errors import OperationError
from imagescribe_ops.local.processes import Interrupted, interruptible

_OF_LOCAL = re.compile(r"[;,] (?:with --local|for a stack (?:that|on this)).*", re.DOTALL)
"""Advice on the stack of `imagescribe local`, which is none of AWS's."""


@contextmanager
def told(options: StackOptions) -> Iterator[Steps]:
    """Tell an error with the options that lead to the stack, and an interruption in a sentence."""
    steps = Steps()
    try:
        with readable_errors(), steps, interruptible():
            yield steps
    except OperationError as error:
        complain(OperationError(error.problem, _OF_LOCAL.sub(".", error.advice)), str(options))
        raise typer.Exit(1) from error
    except Interrupted as interrupted:
        steps.say("Stopped; nothing was changed.")
        raise typer.Exit(128 + interrupted.signal_number) from None
