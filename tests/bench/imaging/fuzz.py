"""Files bent at random: bits flipped, bytes replaced, pieces cut out, doubled or taken from another file."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from renditions import pictures, sandbox
from renditions.pictures import UnfitError
from tests.factories import ROOT

SAMPLES = ROOT / "tests/unit/imaging/samples"
MAX_BYTES = 10_000_000
EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\1\0")


class Verdict(StrEnum):
    """What became of a file."""

    PICTURE = "a picture was made"
    UNFIT = "unfit, with a reason"
    CRASHED = "the decoder crashed, in its child"
    FAILED = "the function failed"


@dataclass
class Tally:
    """What became of the files.

    Attributes
    ----------
    reasons
        Of those that were unfit, without what differs from file to file.
    worst
        The slowest file's bytes.
    """

    count: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    slowest_seconds: float = 0.0
    slowest: str = ""


def fuzz(count: int, seed: int, progress: Callable[[Tally], None] = lambda _tally: None) -> Tally:
    """Bend so many files, each in its turn, and have a rendition made of each, as the function does."""
    random, tally = Random(seed), Tally()
    names = sorted(path.name for path in SAMPLES.iterdir() if path.suffix not in (".sh", ".md"))
    files = {name: (SAMPLES / name).read_bytes() for name in names}
    with TemporaryDirectory(prefix="imagescribe-fuzz-") as place:
        path = Path(place) / "file"
        for number in range(count):
            name = names[number % len(names)]
            path.write_bytes(bent(files[name], files[random.choice(names)], random))
            begin = time.perf_counter()
            verdict, reason = _verdict(path)
            seconds = time.perf_counter() - begin
            tally.count += 1
            tally.verdicts[verdict] += 1
            tally.reasons[reason] += bool(reason)
            if seconds > tally.slowest_seconds:
                tally.slowest_seconds, tally.slowest = seconds, name
            progress(tally)
    tally.reasons = +tally.reasons
    return tally


def bent(content: bytes, other: bytes, random: Random) -> bytes:
    """Return a file's bytes with up to eight changes, most of them where the headers are."""
    changed = bytearray(content)
    for _ in range(random.randint(1, 8)):
        reach = len(changed) if random.random() < 0.4 else min(len(changed), 512)
        at = random.randrange(max(1, reach))
        length = random.randint(1, 64)
        match random.randrange(6):
            case 0:
                changed[at] ^= 1 << random.randrange(8)
            case 1:
                changed[at : at + 4] = random.choice(EXTREMES)
            case 2:
                changed[at : at + length] = random.randbytes(length)
            case 3 if len(changed) > length + 16:
                del changed[at : at + length]
            case 4:
                changed[at:at] = changed[at : at + length]
            case _:
                start = random.randrange(len(other))
                changed[at : at + length] = other[start : start + length]
    return bytes(changed[: random.randrange(len(changed))] if random.random() < 0.1 else changed)


def _verdict(path: Path) -> tuple[Verdict, str]:
    try:
        sandbox.run(partial(pictures.rendition, path, MAX_BYTES))
    except UnfitError as unfit:
        reason = str(unfit)
        return Verdict.CRASHED if "crashed" in reason else Verdict.UNFIT, reason.split("0x", maxsplit=1)[0][:60]
    except RuntimeError as error:
        return Verdict.FAILED, str(error)
    return Verdict.PICTURE, ""
