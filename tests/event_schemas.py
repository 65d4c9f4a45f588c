"""The schemas of the events that the stack sends, as `events/sent/` gives them to whoever builds on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from imagescribe.model.announcements import DetailType
from tests.factories import EVENTS

SENT = EVENTS / "sent"


def schema(detail_type: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(_file(detail_type, ".schema.json"))
    Draft202012Validator.check_schema(loaded)
    return loaded


def sample(detail_type: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(_file(detail_type, ".json"))
    return loaded


def check(event: Mapping[str, Any]) -> None:
    """Hold an event against its schema, which must know each of its fields."""
    expected = schema(event["detail-type"])
    Draft202012Validator(expected).validate(event)
    assert set(event["detail"]) == set(expected["properties"]["detail"]["properties"])


def _file(detail_type: str, suffix: str) -> str:
    name = DetailType(detail_type).lower().replace(" ", "-")
    return (SENT / f"{name}{suffix}").read_text(encoding="utf-8")
