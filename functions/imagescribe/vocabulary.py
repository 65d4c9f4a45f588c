"""The vocabulary of labels as a function has it: read when it is first asked for, and a file again in five minutes."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from threading import Lock
from typing import TYPE_CHECKING, Final

from botocore.exceptions import BotoCoreError, ClientError

from imagescribe.log import logger
from imagescribe.model.labels import Vocabulary, VocabularyError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from imagescribe.aws.vocabulary import Source

LIFE_SECONDS: Final = 300.0


class CachedVocabulary:
    """A vocabulary that never stands in the way of an image.

    What can't be read is logged as an error, and the vocabulary stays what it was: images are described without their
    labels, which `imagescribe relabel` gives them afterwards.
    """

    def __init__(self, source: Source, client: S3Client, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._client = client
        self._clock = clock
        self._lock = Lock()
        self._vocabulary = Vocabulary()
        self._read_at = -inf

    def __call__(self) -> Vocabulary:
        """Return the vocabulary."""
        if not (self._source.text or self._source.key):
            return self._vocabulary
        with self._lock:  # whoever comes first reads it for all
            life = LIFE_SECONDS if self._source.key else inf
            if self._read_at == -inf or self._clock() - self._read_at > life:
                self._read_at = self._clock()
                try:
                    self._vocabulary = self._source.read(self._client)
                except (ClientError, BotoCoreError, VocabularyError) as error:
                    logger.error("the vocabulary of labels could not be read", extra={"error": str(error)})  # noqa: TRY400
            return self._vocabulary
