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
    return to_text(json.dumps(position, ensure_ascii=False, separators=(",", ":")))


def decode(cursor: str, *kinds: type) -> Position:
    """Return the position of a cursor, whose parts have these types.

    Raises
    ------
    QueryError
        No page ended with this cursor.
    """
    try:
        position: Any = json.loads(of_text(cursor, MAX_LENGTH))
        # Half of a surrogate pair, which JSON can hold, has no encoding.
        is_ours = isinstance(position, list) and encode(tuple(position)) == cursor
    except (ValueError, RecursionError) as error:
        raise foreign_cursor() from error
    if not is_ours or [type(part) for part in position] != list(kinds):
        raise foreign_cursor()
    return tuple(position)


def foreign_cursor() -> QueryError:
    """Return what to say of a cursor that is none, or another question's."""
    return QueryError(
        "The cursor is none of this question's.",
        "Give `after` of the page before exactly as it was, with the same question, or leave it out.",
    )


def to_text(text: str) -> str:
    """Return a text in URL-safe Base64 without padding."""
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def of_text(encoded: str, max_length: int) -> str:
    """Return the text of `to_text`.

    Raises
    ------
    ValueError
        There is none: it is too long, no Base64, no UTF-8, or not as `to_text` writes it.
    """
    text = urlsafe_b64decode(encoded[:max_length] + "=" * (-len(encoded) % 4)).decode()
    if to_text(text) != encoded:
        raise ValueError("this is not how the text is encoded")
    return text
