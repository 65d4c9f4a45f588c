"""What the template tells the functions, read from the environment and checked once, at the cold start."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from imagescribe.errors import SettingsError

SECONDS_AROUND_AN_ANSWER = 20.0  # 5 to connect, 15 to save what was paid for


class Renditions(StrEnum):
    """Of which images the endpoint gets a JPEG that is made of them, without metadata."""

    NEEDED = "needed"  # of those that it would not take as they are
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Settings:
    """The parameters of the stack and the names of what it made.

    Attributes
    ----------
    answer_timeout_seconds
        How long a call is waited for.
    retry_base_seconds
        The longest wait before the first retry, doubled for each later one.
    max_image_bytes
        The endpoint gets nothing larger.
    renditions
        Whether it gets the images themselves, where it takes them.
    prompt_tag_key
        The object tag that takes the prompt; empty where none is written.
    max_requests_per_minute, daily_budget_usd
        0 where there is no such limit.
    price_per_call_usd
        What a call is known to cost by the endpoint's price list; 0 of a model of one's own.
    """

    describe_url: str
    api_key_secret_arn: str
    upload_queue_url: str
    dead_letter_queue_url: str
    ledger_table: str
    catalog_table: str
    answer_timeout_seconds: float
    max_attempts: int
    retry_base_seconds: float
    max_image_bytes: int
    renditions: Renditions
    prompt_tag_key: str
    max_requests_per_minute: float
    daily_budget_usd: float
    price_per_call_usd: float

    @property
    def call_seconds(self) -> float:
        """How long a call may take at the most: to connect, to answer, and for its answer to be saved."""
        return self.answer_timeout_seconds + SECONDS_AROUND_AN_ANSWER

    @property
    def max_bytes_as_they_are(self) -> int:
        """Up to which size an image of a kind that the endpoint takes is not converted: 0 where all are."""
        return 0 if self.renditions is Renditions.ALWAYS else self.max_image_bytes

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings from ``IMAGESCRIBE_…`` variables.

        Raises
        ------
        SettingsError
            A variable is missing, or is not what it may be.
        """

        def text(name: str) -> str:
            variable = f"IMAGESCRIBE_{name}"
            try:
                return environment[variable]
            except KeyError:
                raise SettingsError(f"{variable} is not set: the template sets it on the function") from None

        def number(name: str, least: float) -> float:
            try:
                value = float(text(name))
            except ValueError:
                value = math.nan
            if not least <= value < math.inf:
                raise SettingsError(f"IMAGESCRIBE_{name} must be a number of at least {least:g}, not {text(name)!r}")
            return value

        def renditions() -> Renditions:
            try:
                return Renditions(text("RENDITIONS"))
            except ValueError:
                words = " or ".join(Renditions)
                raise SettingsError(f"IMAGESCRIBE_RENDITIONS must be {words}, not {text('RENDITIONS')!r}") from None

        return cls(
            describe_url=text("DESCRIBE_URL"),
            api_key_secret_arn=text("API_KEY_SECRET_ARN"),
            upload_queue_url=text("UPLOAD_QUEUE_URL"),
            dead_letter_queue_url=text("DEAD_LETTER_QUEUE_URL"),
            ledger_table=text("LEDGER_TABLE"),
            catalog_table=text("CATALOG_TABLE"),
            answer_timeout_seconds=number("ANSWER_TIMEOUT_SECONDS", 0.001),
            max_attempts=int(number("MAX_ATTEMPTS", 1)),
            retry_base_seconds=number("RETRY_BASE_SECONDS", 0.001),
            max_image_bytes=int(number("MAX_IMAGE_BYTES", 1)),
            renditions=renditions(),
            prompt_tag_key=text("PROMPT_TAG_KEY"),
            max_requests_per_minute=number("MAX_REQUESTS_PER_MINUTE", 0),
            daily_budget_usd=number("DAILY_BUDGET_USD", 0),
            price_per_call_usd=number("PRICE_PER_CALL_USD", 0),
        )
