"""The vocabulary of labels as a function has it: read when it is first asked for, and a file again in five minutes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.aws.vocabulary import Source
from imagescribe.log import logger
from imagescribe.model.labels import Vocabulary, VocabularyError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

__all__ = ["LIFE_SECONDS", "CachedVocabulary", "Source"]

LIFE_SECONDS: Final = 300.0
RETRY_SECONDS: Final = 30.0
"""How soon a file is read again that could not be read."""


class CachedVocabulary:
    """A vocabulary that never stands in the way of an image.

    A file that can't be read is logged as an error, and the vocabulary stays what it was, at first what the parameter
    alone says: images are described without its labels, which `imagescribe relabel` gives them afterwards.
    """

    def __init__(self, source: Source, client: S3Client, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._client = client
        self._clock = clock
        self._lock = Lock()
        self._vocabulary: Vocabulary | None = None
        self._stale_at = -inf

    def __call__(self) -> Vocabulary:
        """Return the vocabulary."""
        with self._lock:  # whoever comes first reads it for all
            if self._clock() > self._stale_at:
                self._vocabulary = self._read()
            return self._vocabulary or Vocabulary()

    def _read(self) -> Vocabulary | None:
        self._stale_at = self._clock() + LIFE_SECONDS if self._source.key else inf
        try:
            return self._source.read(self._client)
        except (ClientError, BotoCoreError, VocabularyError) as error:
            logger.error("the vocabulary of labels could not be read", extra={"error": str(error)})  # noqa: TRY400 - it says it all
        if self._source.key:
            self._stale_at = self._clock() + RETRY_SECONDS
        return self._vocabulary or self._of_the_parameter()

    def _of_the_parameter(self) -> Vocabulary | None:
        with suppress(VocabularyError):
            return Vocabulary.parse(self._source.text)
        return None
