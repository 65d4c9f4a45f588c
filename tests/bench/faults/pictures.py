"""Tiny pictures that tell themselves apart: each has a size of its own, which the simulator's prompt ends with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import md5
from io import BytesIO
from random import Random

from PIL import Image

from imagescribe_ops.simulator.picture import describe

SIDES = 100
SMALLEST = 8
MOST = SIDES * SIDES
"""How many there are for one seed."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture, and what the simulator says of it.

    Attributes
    ----------
    etag
        What S3 calls it.
    """

    content: bytes
    etag: str
    prompt: str


def picture(seed: int, number: int) -> Picture:
    """Return one of the pictures of a seed."""
    if not 0 <= number < MOST:
        raise ValueError(f"there are only {MOST} pictures")
    random = Random(f"{seed}/{number}")
    width, height = SMALLEST + number % SIDES, SMALLEST + number // SIDES
    image = Image.new("RGB", (width, height), _colour(random))
    for _ in range(8):
        image.putpixel((random.randrange(width), random.randrange(height)), _colour(random))
    file = BytesIO()
    image.save(file, "PNG")
    content = file.getvalue()
    return Picture(content, md5(content, usedforsecurity=False).hexdigest(), describe(content))


def pictures(seed: int) -> Iterator[Picture]:
    """Give the pictures of a seed one after the other."""
    return (picture(seed, number) for number in range(MOST))


def _colour(random: Random) -> tuple[int, int, int]:
    return random.randrange(256), random.randrange(256), random.randrange(256)
