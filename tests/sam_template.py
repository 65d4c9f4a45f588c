"""The template as the tests read it: whole, with each short function as the long one that it stands for."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.factories import ROOT

TEMPLATE = ROOT / "template.yaml"
OBSERVABILITY = ROOT / "infra/observability.yaml"

_TABLE_PROPERTIES = ("AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes", "BillingMode")


class _Loader(yaml.CSafeLoader):
    """Reads `!Ref x` as `{"Ref": "x"}` and `!GetAtt a.b` as `{"Fn::GetAtt": "a.b"}`."""


def _short_function(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    match node:
        case yaml.ScalarNode():
            return {name: loader.construct_scalar(node)}
        case yaml.SequenceNode():
            return {name: loader.construct_sequence(node, deep=True)}
        case yaml.MappingNode():
            return {name: loader.construct_mapping(node, deep=True)}
        case _:
            raise ValueError(f"what is !{suffix}?")


_Loader.add_multi_constructor("!", _short_function)


@cache
def load(path: Path = TEMPLATE) -> dict[str, Any]:
    with path.open(encoding="utf-8") as file:
        template: dict[str, Any] = yaml.load(file, Loader=_Loader)
    return template


def resources(kind: str, path: Path = TEMPLATE) -> dict[str, dict[str, Any]]:
    """The properties of all resources of one type, by logical id."""
    found: dict[str, Any] = load(path)["Resources"]
    return {name: each.get("Properties", {}) for name, each in found.items() if each["Type"] == kind}


def table_definition(logical_id: str) -> dict[str, Any]:
    """What of a table's properties CreateTable takes as it stands."""
    properties = resources("AWS::DynamoDB::Table")[logical_id]
    return {name: properties[name] for name in _TABLE_PROPERTIES if name in properties}
