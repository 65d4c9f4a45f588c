"""What can be read from the template without deploying it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML was built without the C library, which is ten times as fast
    from yaml import SafeLoader  # type: ignore[assignment]


class _TemplateLoader(SafeLoader):
    """Reads CloudFormation's YAML: its short functions (`!Ref`, `!Sub`) are tags that plain YAML does not know."""


def _ignore(_loader: SafeLoader, _suffix: str, _node: yaml.Node) -> None:
    return None


_TemplateLoader.add_multi_constructor("!", _ignore)


def parameter_definitions(template: Path) -> dict[str, dict[str, Any]]:
    """Return a template's parameters by name, in its order."""
    return dict(read_template(template.read_text(encoding="utf-8")).get("Parameters") or {})


def read_template(text: str) -> dict[str, Any]:
    """Return the plain values of a template; what a function of CloudFormation's gives is None."""
    content: Any = yaml.load(text, Loader=_TemplateLoader)  # noqa: S506 - a SafeLoader: plain values only
    return dict(content)


def parameter_names(template: Path) -> list[str]:
    """Return the names of a template's parameters, in its order."""
    return list(parameter_definitions(template))


def constraint_broken(definition: Mapping[str, Any], value: str) -> str | None:
    """Say what a parameter's value must be and is not; None where CloudFormation would take it."""
    allowed = [str(each) for each in definition.get("AllowedValues", [])]
    if allowed and value not in allowed:
        return f"must be one of {', '.join(allowed)}"
    if definition["Type"] == "Number":
        least, most = float(definition.get("MinValue", "-inf")), float(definition.get("MaxValue", "inf"))
        try:
            fits = least <= float(value) <= most
        except ValueError:
            fits = False
        bounds = f"of at least {least:g}" if most == float("inf") else f"from {least:g} to {most:g}"
        return None if fits else f"must be a number {bounds}"
    if not re.fullmatch(str(definition.get("AllowedPattern", "(?s).*")), value):
        return str(definition.get("ConstraintDescription", f"must match {definition['AllowedPattern']}")).strip()
    if len(value) > int(definition.get("MaxLength", len(value))):
        return f"must have at most {definition['MaxLength']} characters"
    return None
