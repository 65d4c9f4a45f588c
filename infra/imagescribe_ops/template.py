"""What can be read from the template without deploying it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class _TemplateLoader(yaml.SafeLoader):
    """Reads CloudFormation's YAML: its short functions (`!Ref`, `!Sub`) are tags that plain YAML does not know."""


def _ignore(_loader: yaml.SafeLoader, _suffix: str, _node: yaml.Node) -> None:
    return None


_TemplateLoader.add_multi_constructor("!", _ignore)


def parameter_names(template: Path) -> list[str]:
    """Return the names of a template's parameters, in its order."""
    content: Any = yaml.load(template.read_text(encoding="utf-8"), Loader=_TemplateLoader)  # noqa: S506 - a SafeLoader: plain values only
    return list(content.get("Parameters") or {})
