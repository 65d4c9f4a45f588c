"""What a line of AWS's own command does, done by boto3: which parameters an operation takes is known to both."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

import boto3
from botocore import xform_name

_RENAMED = {("sns", "endpoint"): "notification-endpoint"}
"""Parameters that the command calls otherwise: `awscli.customizations.arguments` and its neighbours."""

_LINE = re.compile(r"`(aws [^`]+)`")


def aws_lines(text: str) -> list[str]:
    """Return the lines between backticks."""
    return _LINE.findall(text)


def run_aws(session: boto3.Session, line: str, endpoint_url: str | None = None) -> Any:
    """Do what a line says; an operation or a parameter that does not exist is an error."""
    program, service, operation, *words = shlex.split(line)
    assert program == "aws"
    options: dict[str, list[str]] = {}
    for word in words:
        if word.startswith("--"):
            options[word.removeprefix("--")] = []
        else:
            options[list(options)[-1]].append(word)
    assert options.pop("region") == [session.region_name]
    assert options.pop("endpoint-url", [endpoint_url]) == [endpoint_url]
    any_session: Any = session
    client = any_session.client({"s3api": "s3"}.get(service, service), endpoint_url=endpoint_url)
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation.replace("-", "_")])
    members = {}
    for name, shape in model.input_shape.members.items():
        option = xform_name(name, "-")
        members[_RENAMED.get((service, option), option)] = (name, shape)
    given = {}
    for option, values in options.items():
        name, shape = members[option]
        given[name] = _value(shape, values)
    return getattr(client, operation.replace("-", "_"))(**given)


def _value(shape: Any, values: list[str]) -> Any:
    """Read a value as AWS's command does: JSON, or its shorthand ``Name=value``, or plain."""
    if shape.type_name == "list" and not values[0].startswith("["):
        return values
    (value,) = values
    if shape.type_name in ("structure", "map", "list"):
        if value[0] in "{[":
            return json.loads(value)
        read = dict(pair.split("=", 1) for pair in value.split(","))
        members = getattr(shape, "members", {})
        return {
            name: int(text) if name in members and members[name].type_name == "integer" else text
            for name, text in read.items()
        }
    return int(value) if shape.type_name == "integer" else value
