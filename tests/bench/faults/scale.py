"""How large a row is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.bench.faults.pictures import Picture, picture


@dataclass(frozen=True, slots=True)
class Scale:
    """Images and chance of a row.

    Attributes
    ----------
    images
        How many are uploaded.
    seed
        Of pictures, faults and orders.
    is_small
        Whether faults last no longer than a test may take.
    """

    images: int = 200
    seed: int = 1
    is_small: bool = False

    def objects(self, prefix: str = "image") -> Mapping[str, Picture]:
        """Return a distinct picture for each key."""
        return {f"{prefix}-{number:05}.png": picture(self.seed, number) for number in range(self.images)}
