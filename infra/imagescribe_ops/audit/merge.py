"""The merge join of two streams that are sorted by key: what stands in both, and what in one alone.

S3 lists a bucket in the order of its keys' UTF-8 bytes, and DynamoDB sorts a range key of text by the same:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/ListingKeysUsingAPIs.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.CoreComponents.html.
Python compares text by code point, and UTF-8 keeps that order, so keys are compared as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from imagescribe_ops.display import safe
from imagescribe_ops.errors import OperationError


class Keyed(Protocol):
    """What has a key."""

    @property
    def key(self) -> str:
        """Text that it is sorted by."""
        ...


class UnsortedError(OperationError):
    """A stream is not in the order of its keys, so that nothing can be said of what is missing in it."""

    def __init__(self, what: str, before: str, key: str) -> None:
        super().__init__(
            f"The {what} is not in the order of its keys: {safe(key)} comes after {safe(before)}.",
            "General purpose buckets are listed in order, directory buckets (S3 Express One Zone) are not.",
        )


def merge_join[L: Keyed, R: Keyed](
    left: Iterable[L], right: Iterable[R], names: tuple[str, str] = ("listing", "catalog")
) -> Iterator[tuple[L, R] | tuple[L, None] | tuple[None, R]]:
    """Yield each key's items of both streams, in order, with None where a stream has none.

    Parameters
    ----------
    left, right
        Each strictly ascending by key.
    names
        What they are called in an error.

    Raises
    ------
    UnsortedError
        One is not ascending.
    """
    lefts, rights = _ascending(left, names[0]), _ascending(right, names[1])
    one, other = next(lefts, None), next(rights, None)
    while one is not None and other is not None:
        if one.key < other.key:
            yield one, None
            one = next(lefts, None)
        elif other.key < one.key:
            yield None, other
            other = next(rights, None)
        else:
            yield one, other
            one, other = next(lefts, None), next(rights, None)
    while one is not None:
        yield one, None
        one = next(lefts, None)
    while other is not None:
        yield None, other
        other = next(rights, None)


def _ascending[T: Keyed](items: Iterable[T], name: str) -> Iterator[T]:
    before: str | None = None
    for item in items:
        if before is not None and item.key <= before:
            raise UnsortedError(name, before, item.key)
        before = item.key
        yield item
