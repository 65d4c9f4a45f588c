"""What the template tells the functions, read from the environment and checked once, at the cold start."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from imagescribe.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Settings:
    """The parameters of the stack and the names of what it made.

    Attributes
    ----------
    retry_base_seconds
        The longest wait before the first retry, doubled for each later one.
    max_image_bytes
        A larger image is skipped.
    prompt_tag_key
        The object tag that takes the prompt.
    """

    describe_url: str
    api_key_secret_arn: str
    upload_queue_url: str
    dead_letter_queue_url: str
    ledger_table: str
    catalog_table: str
    key_prefix: str
    max_attempts: int
    retry_base_seconds: float
    max_image_bytes: int
    prompt_tag_key: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the settings from ``IMAGESCRIBE_…`` variables.

        Raises
        ------
        SettingsError
            A variable is missing, or is no number where a number is due.
        """

        def text(name: str) -> str:
            variable = f"IMAGESCRIBE_{name}"
            try:
                return environment[variable]
            except KeyError:
                raise SettingsError(f"{variable} is not set: the template sets it on the function") from None

        def positive(name: str) -> float:
            try:
                number = float(text(name))
            except ValueError:
                number = 0
            if not number > 0:
                raise SettingsError(f"IMAGESCRIBE_{name} must be a number above 0, not {text(name)!r}")
            return number

        return cls(
            describe_url=text("DESCRIBE_URL"),
            api_key_secret_arn=text("API_KEY_SECRET_ARN"),
            upload_queue_url=text("UPLOAD_QUEUE_URL"),
            dead_letter_queue_url=text("DEAD_LETTER_QUEUE_URL"),
            ledger_table=text("LEDGER_TABLE"),
            catalog_table=text("CATALOG_TABLE"),
            key_prefix=text("KEY_PREFIX"),
            max_attempts=int(positive("MAX_ATTEMPTS")),
            retry_base_seconds=positive("RETRY_BASE_SECONDS"),
            max_image_bytes=int(positive("MAX_IMAGE_BYTES")),
            prompt_tag_key=text("PROMPT_TAG_KEY"),
        )
