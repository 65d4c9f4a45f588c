"""How many different things there are in a stream, and a sample of it, both in memory that is bounded."""

from __future__ import annotations

from hashlib import blake2b
from heapq import heappush, heapreplace
from random import Random

_SPACE = 2**64


class DistinctCounter:
    """Counts distinct texts: exactly up to a size, and within about ``1 / sqrt(size)`` beyond.

    It keeps the smallest hashes, and where these lie tells how many there are:
    Bar-Yossef et al., "Counting distinct elements in a data stream" (2002).
    """

    def __init__(self, size: int = 65_536) -> None:
        self._size = size
        self._largest_first: list[int] = []
        self._kept: set[int] = set()

    def add(self, text: str) -> None:
        """Count a text."""
        number = int.from_bytes(blake2b(text.encode(), digest_size=8).digest())
        if number in self._kept:
            return
        if len(self._kept) < self._size:
            heappush(self._largest_first, -number)
            self._kept.add(number)
        elif number < -self._largest_first[0]:
            self._kept.discard(-heapreplace(self._largest_first, -number))
            self._kept.add(number)

    @property
    def is_exact(self) -> bool:
        """Whether the count is no estimate."""
        return len(self._kept) < self._size

    def count(self) -> int:
        """Return how many distinct texts were counted."""
        if self.is_exact:
            return len(self._kept)
        return round((self._size - 1) * _SPACE / -self._largest_first[0])


class Sample[T]:
    """A sample of a stream in which each has the same chance."""

    def __init__(self, size: int, random: Random) -> None:
        self._size = size
        self._random = random
        self.taken: list[T] = []
        self.offered = 0

    def offer(self, item: T) -> None:
        """Take it perhaps."""
        self.offered += 1
        if len(self.taken) < self._size:
            self.taken.append(item)
        elif (place := self._random.randrange(self.offered)) < self._size:
            self.taken[place] = item

    @property
    def is_all(self) -> bool:
        """Whether nothing was left out."""
        return self.offered == len(self.taken)
