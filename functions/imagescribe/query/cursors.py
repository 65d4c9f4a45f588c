"""Cursors: where a page ended, as a text for whoever asks for the next one.

A cursor says no more than a position in the answer to a question, and the question itself is asked anew with it. One
that was tampered with is another position, or none at all; it opens nothing that its holder may not ask for anyway. So
it needs no signature and no secret, and never expires.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

from imagescribe.query.errors import QueryError

MAX_LENGTH: Final = 4_096  # a key has 1,024 bytes at most, which JSON's escapes and Base64 make up to three of each

type Position = tuple[str | int, ...]


def encode(position: Position) -> str:
    """Return the cursor of a position."""
    text = json.dumps(position, ensure_ascii=False, separators=(",", ":"))
    return urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode("ascii").rstrip("=")


def decode(cursor: str, *kinds: type) -> Position:
    """Return the position of a cursor, whose parts have these types.

    Raises
    ------
    QueryError
        No page ended with this cursor.
    """
    try:
        if len(cursor) > MAX_LENGTH:
            raise ValueError("too long")
        padded = cursor + "=" * (-len(cursor) % 4)
        position: Any = json.loads(urlsafe_b64decode(padded.encode("ascii")).decode("utf-8"))
        if not isinstance(position, list) or [type(part) for part in position] != list(kinds):
            raise ValueError("another position")
        # What is not the one text of its position was not made here.
        if encode(tuple(position)) != cursor:
            raise ValueError("another text")
    except (ValueError, RecursionError) as error:
        raise QueryError(
            "The cursor is none of this question's.",
            "Give `after` of the page before exactly as it was, with the same question, or leave it out.",
        ) from error
    return tuple(position)
