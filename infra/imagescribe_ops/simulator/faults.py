"""What can go wrong on purpose: faults by chance, and answers that a test wrote beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """A fault that strikes by chance.

    ``BEFORE`` means before the work: nothing is fetched and nothing is billed. ``AFTER`` means that the picture was
    described and billed, and the answer is lost: the caller can't tell the two apart, which is the point.
    """

    LIMITED = "429"
    INTERNAL_ERROR = "500"
    BAD_GATEWAY = "502"
    UNAVAILABLE = "503"
    GATEWAY_TIMEOUT = "504"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    HANG_BEFORE = "hang_before"
    HANG_AFTER = "hang_after"


class Ending(StrEnum):
    """How a call ends: with an answer, with a closed connection, or with silence and then a closed connection."""

    ANSWER = "answer"
    DROP = "drop"
    HANG = "hang"


class BodyKind(StrEnum):
    """The body of a 200. No page documents it, so every shape seen at the endpoint and its like is here.

    The last ones are the broken bodies that a reader of answers must survive.
    """

    DESCRIPTIONS = "descriptions"
    STRINGS = "strings"
    PROMPT = "prompt"
    TEXT = "text"
    HTML = "html"
    HALF_JSON = "half_json"
    ENDLESS = "endless"
    NULL_TEXT = "null_text"
    EMPTY = "empty"
    LONG_PROMPT = "long_prompt"
    PUNCTUATION = "punctuation"


class Drip(StrEnum):
    """Which part of an answer goes out one byte at a time."""

    NONE = "none"
    HEADERS = "headers"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class Manner:
    """How an answer goes out.

    Attributes
    ----------
    ending
        `DROP` and `HANG` send nothing of the answer.
    endless_bytes
        Where not zero, the body is followed by so many bytes more, in chunks, without a length told beforehand.
    """

    ending: Ending = Ending.ANSWER
    drip: Drip = Drip.NONE
    drip_interval_s: float = 0.0
    endless_bytes: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether it goes out in one piece, as answers usually do."""
        return self.ending is Ending.ANSWER and self.drip is Drip.NONE and not self.endless_bytes


@dataclass(frozen=True, slots=True)
class ScriptedAnswer:
    """An answer decided beforehand, for the next calls that match. It comes before key, limit and credits.

    Attributes
    ----------
    status
        The HTTP status. A scripted 200 fetches and describes the picture, and is billed, as any 200 is.
    times
        For how many calls; None for all that follow.
    contains
        Only calls whose object path (``bucket/key``, decoded) contains this text; empty for all.
    headers
        Added to the usual ones, or in their place where the name is the same (`Location` for a redirect).
    body
        The raw body; None for the status' usual body. Sent even if the picture can't be fetched.
    content_type
        Of the raw body.
    body_kind
        The shape of a 200; None for the settings' one.
    drip, drip_interval_s
        Send this part byte by byte, so many seconds apart.
    ending
        `DROP` and `HANG` give no answer; with ``billed`` they do and bill the work first.
    billed
        For `DROP` and `HANG` only.
    latency_s
        Seconds until the answer; None for the settings' one.
    """

    status: int = 200
    times: int | None = 1
    contains: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    content_type: str = "application/json"
    body_kind: BodyKind | None = None
    drip: Drip = Drip.NONE
    drip_interval_s: float = 0.01
    ending: Ending = Ending.ANSWER
    billed: bool = False
    latency_s: float | None = None

    def __post_init__(self) -> None:
        if not 200 <= self.status <= 599:
            raise ValueError("status is between 200 and 599")
        if self.times is not None and self.times < 1:
            raise ValueError("times is at least 1, or null for every call")
        if self.billed and self.ending is Ending.ANSWER:
            raise ValueError("billed is for the endings drop and hang; an answer is billed if it is a 200")
        if any(character in part for pair in self.headers.items() for part in pair for character in "\r\n"):
            raise ValueError("headers hold no line breaks")

    @property
    def works(self) -> bool:
        """Whether the picture is fetched, described and billed for this answer."""
        return self.billed if self.ending is not Ending.ANSWER else self.status == 200


class Script:
    """The answers that tests have put down, in order; not safe for threads by itself."""

    def __init__(self) -> None:
        self._left: list[tuple[ScriptedAnswer, int | None]] = []

    def add(self, answer: ScriptedAnswer) -> None:
        """Put an answer behind those already there."""
        self._left.append((answer, answer.times))

    def take(self, object_path: str) -> ScriptedAnswer | None:
        """Take the first answer that is meant for this object path, and count it as used once."""
        for place, (answer, times) in enumerate(self._left):
            if answer.contains not in object_path:
                continue
            if times == 1:
                del self._left[place]
            elif times is not None:
                self._left[place] = (answer, times - 1)
            return answer
        return None

    def __len__(self) -> int:
        return len(self._left)


def draw(odds: Mapping[Fault, float], random: Random) -> Fault | None:
    """Draw at most one fault for a call: exactly one number is drawn, so that a seed gives the same run again.

    ``odds`` are probabilities; `check_odds` has seen that their sum is at most one.
    """
    point = random.random()
    for fault in Fault:
        point -= odds.get(fault, 0.0)
        if point < 0:
            return fault
    return None


def check_odds(odds: Mapping[Fault, float]) -> None:
    """Raise ValueError unless the probabilities can stand beside each other."""
    if any(not 0 <= chance <= 1 for chance in odds.values()) or sum(odds.values()) > 1 + 1e-9:
        raise ValueError("each fault's probability is between 0 and 1, and their sum at most 1")
