"""What may be asked with each route: the types are the validation, and what the OpenAPI document says of it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

from imagescribe.model.record import Status
from imagescribe.query.cursors import MAX_LENGTH
from imagescribe.query.errors import QueryError
from imagescribe.query.grammar import MAX_QUERY_CHARACTERS

MAX_LIMIT: Final = 100

type Cursor = Annotated[str, Meta(max_length=MAX_LENGTH, description="`after` of the page before.")]
type Limit = Annotated[int, Meta(ge=1, le=MAX_LIMIT, description="Images on a page, at most.")]
type Prefix = Annotated[str, Meta(max_length=1024, description="Only keys that begin with this.")]
type Label = Annotated[str, Meta(max_length=64, description="Only images that have this label.")]
type Moment = Annotated[
    str,
    Meta(
        max_length=40, description="A day (2026-11-26) or a time (2026-11-26T09:30:00Z); UTC unless it says otherwise."
    ),
]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing may be asked."""


class SearchParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a search."""

    q: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=MAX_QUERY_CHARACTERS,
            description='Words, "phrases", beginnings*, -without, this OR that.',
            examples=['"red boat" dusk OR evening -people'],
        ),
    ]
    best: Annotated[bool, Meta(description="The best of the newest ten thousand matches first, not the newest.")] = (
        False
    )
    prefix: Prefix = ""
    label: Label = ""
    since: Moment = ""
    until: Moment = ""
    limit: Limit = 20
    after: Cursor = ""


class ListParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a list of images."""

    prefix: Prefix = ""
    status: Annotated[Status | None, Meta(description="Only images with this status, newest first.")] = None
    day: Annotated[date | None, Meta(description="Only images uploaded on this day (UTC), newest first.")] = None
    described_since: Annotated[
        Moment, Meta(description="Only what was described since; oldest first. A day or a time.")
    ] = ""
    label: Label = ""
    limit: Limit = 20
    after: Cursor = ""


class PictureSize(StrEnum):
    """How large a picture is wanted."""

    ORIGINAL = "original"
    THUMBNAIL = "thumbnail"


class PictureParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a picture."""

    size: Annotated[
        PictureSize,
        Meta(description="The object as it is, or a WebP of 512 pixels at most, made when it is first asked for."),
    ] = PictureSize.ORIGINAL
    redirect: Annotated[bool, Meta(description="Answer with a redirect to the picture, not with its URL as JSON.")] = (
        True
    )


def read[T](kind: type[T], query_string: str) -> T:
    """Read the parameters of a request.

    Raises
    ------
    QueryError
        One is missing, unknown, given twice, or not what it must be; the error says which.
    """
    given: dict[str, str] = {}
    for name, value in parse_qsl(query_string, keep_blank_values=True):
        if name in given:
            raise QueryError(f"{name} is given twice.", "Give it once.")
        given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise QueryError(
            f"A parameter is wrong: {_readable(str(error))}.", "GET /openapi.json tells what each may be."
        ) from error


def moment(text: str, name: str) -> int | None:
    """Return a day or a time in milliseconds since 1970; None for an empty text.

    Raises
    ------
    QueryError
        It is neither.
    """
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0, int(at.astimezone(UTC).timestamp() * 1000))  # an OverflowError where UTC has no such day
    except (ValueError, OverflowError):
        raise QueryError(
            f"{name} is no day and no time.", f"Write {name}=2026-11-26 or {name}=2026-11-26T09:30:00Z."
        ) from None


def _readable(said: str) -> str:
    """Turn msgspec's ``Expected `int` <= 100 - at `$.limit` `` into ``limit: expected `int` <= 100``."""
    what, at, name = said.partition(" - at `$.")
    return f"{name.rstrip('`')}: {what[0].lower()}{what[1:]}" if at else what[0].lower() + what[1:]


def schema(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema of parameters, its definitions resolved into it."""
    whole = msgspec.json.schema(kind)
    definitions = whole.get("$defs", {})

    def resolved(part: Any) -> Any:
        match part:
            case {"$ref": str(reference), **rest}:
                return resolved(definitions[reference.rpartition("/")[2]]) | resolved(rest)
            case dict():
                return {name: resolved(value) for name, value in part.items()}
            case list():
                return [resolved(each) for each in part]
            case _:
                return part

    found: dict[str, Any] = resolved({name: value for name, value in whole.items() if name != "$defs"})
    return found
