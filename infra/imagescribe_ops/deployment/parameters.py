"""The template's parameters as a user gives them: checked before anything is built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from imagescribe_ops.errors import OperationError
from imagescribe_ops.template import constraint_broken

type Definitions = Mapping[str, Mapping[str, Any]]


class ParameterError(Exception):
    """A parameter that the template does not take; the text says why."""


def read_pairs(pairs: Sequence[str], definitions: Definitions) -> dict[str, str]:
    """Read ``NAME=VALUE`` pairs.

    Raises
    ------
    ParameterError
        One is no pair, the template has no such parameter, or the value breaks its constraints.
    """
    parameters = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ParameterError(f"{pair!r} is not NAME=VALUE")
        if definitions and name not in definitions:
            raise ParameterError(f"the template has no {name!r}; it has {', '.join(definitions)}")
        check(name, value, definitions)
        parameters[name] = value
    return parameters


def check(name: str, value: str, definitions: Definitions) -> None:
    """Refuse what the deployment would refuse; see `read_pairs`."""
    definition = definitions.get(name)
    if definition and (broken := constraint_broken(definition, value)):
        raise ParameterError(f"{name} {broken}; it is {value!r}")


def check_all(values: Mapping[str, str], definitions: Definitions) -> None:
    """Refuse a value that a stack has from an earlier version, and that this template takes no more.

    Raises
    ------
    OperationError
        There is one.
    """
    for name, value in values.items():
        try:
            check(name, value, definitions)
        except ParameterError as error:
            raise OperationError(f"{error}.", f"Give it another by --parameter {name}=VALUE.") from None


def defaults(definitions: Definitions) -> dict[str, str]:
    """Return the values that a new stack has where none is given."""
    return {name: str(each["Default"]) for name, each in definitions.items() if "Default" in each}
