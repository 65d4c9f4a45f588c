"""Prompts of words that occur as often as words do: the first of the list in nearly every prompt, the last in few."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import accumulate
from random import Random
from typing import Final

from imagescribe.query.index_file import Document

WORDS_OF_A_PROMPT: Final = 120
_OF_PROMPTS: Final = """
a the of and in with on light red boat blue soft warm detailed style background dark sky water portrait wooden sunset
ship dusk evening morning city street woman man child dog cat horse tree forest mountain river lake sea beach cloud rain
snow window door house castle bridge lamp candle table chair book flower rose garden field road car train tower stone
glass metal gold silver green yellow orange purple pink white black grey brown bright pale vivid muted photograph
painting watercolor oil sketch digital illustration cinematic dramatic lighting shadow reflection texture depth close
wide angle aerial landscape minimalist vintage modern abstract realistic surreal lighthouse cliff harbour
"""
_ONSETS: Final = ("b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "br", "tr", "gl")
_VOWELS: Final = ("a", "e", "i", "o", "u", "ai", "ea", "ou")
_ENDINGS: Final = ("", "", "", "s", "ed", "ing", "ly", "ness")
_VOCABULARY: Final = 40_000


def vocabulary(seed: int = 1) -> list[str]:
    """Return words, the commonest first: some that prompts have, and made-up ones."""
    random = Random(seed)

    def made_up() -> str:
        syllables = (random.choice(_ONSETS) + random.choice(_VOWELS) for _ in range(random.choice([2, 2, 3, 3])))
        return "".join(syllables) + random.choice(_ENDINGS)

    return list(dict.fromkeys([*_OF_PROMPTS.split(), *(made_up() for _ in range(_VOCABULARY))]))


def documents(images: int, seed: int = 1) -> Iterator[Document]:
    """Yield so many images, a second apart."""
    random, words = Random(seed), vocabulary()
    weights = list(accumulate(1 / (rank + 2.7) for rank in range(len(words))))
    for number in range(images):
        prompt = " ".join(random.choices(words, cum_weights=weights, k=WORDS_OF_A_PROMPT))
        yield Document(1_700_000_000_000 + 1_000 * number, f"s3://pictures/{number % 37:02}/{number:08}.jpg", prompt)


def queries(seed: int = 1, of_each: int = 25) -> dict[str, list[str]]:
    """Return queries of several kinds."""
    random, words = Random(seed), vocabulary()

    def some(count: int, first: int, last: int) -> list[str]:
        return random.sample(words[first:last], count)

    kinds: dict[str, Callable[[], str]] = {
        "a common word": lambda: some(1, 0, 50)[0],
        "a rare word": lambda: some(1, 5_000, len(words))[0],
        "two common words": lambda: " ".join(some(2, 0, 100)),
        "five words": lambda: " ".join(some(5, 0, 200)),
        "common and rare": lambda: " ".join([*some(1, 0, 20), *some(2, 200, 2_000)]),
        "a phrase": lambda: f'"{" ".join(some(2, 0, 60))}"',
        "a beginning of 2": lambda: f"{some(1, 0, 2_000)[0][:2]}*",
        "a beginning of 4": lambda: f"{some(1, 0, 2_000)[0][:4]}*",
        "either, and not": lambda: "{} OR {} -{}".format(*some(3, 20, 500)),
    }
    return {kind: [make() for _ in range(of_each)] for kind, make in kinds.items()}
