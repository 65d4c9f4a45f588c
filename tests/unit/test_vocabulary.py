"""The vocabulary is read when it is asked for, and what can not be read leaves images without labels, not undone."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from botocore.response import StreamingBody

from imagescribe.aws.vocabulary import MAX_BYTES, Source
from imagescribe.log import logger
from imagescribe.model.labels import VocabularyError
from imagescribe.vocabulary import LIFE_SECONDS, RETRY_SECONDS, CachedVocabulary
from tests.factories import Clock, stand_in
from tests.unit.stage import aws_error

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "settings/labels.txt"


class Bucket:
    """S3 with one file, which counts how often it is read."""

    def __init__(self, content: bytes | None = b"person=man|woman") -> None:
        self.content = content
        self.reads = 0

    def get_object(self, **address: str) -> dict[str, Any]:
        assert address == {"Bucket": "pictures", "Key": KEY}
        self.reads += 1
        if self.content is None:
            raise aws_error("NoSuchKey", "GetObject")
        return {"Body": StreamingBody(BytesIO(self.content), len(self.content))}


def cached(bucket: Bucket, clock: Clock, text: str = "boat=ship", key: str = KEY) -> Callable[[], Any]:
    return CachedVocabulary(Source(text, "pictures", key), stand_in(bucket), clock)


def test_without_labels_nothing_is_read(clock: Clock) -> None:
    bucket = Bucket()
    assert not cached(bucket, clock, text="", key="")()
    assert bucket.reads == 0


def test_a_parameter_alone_is_read_once_and_asks_for_no_file(clock: Clock) -> None:
    bucket = Bucket()
    vocabulary = cached(bucket, clock, key="")
    assert vocabulary().names == {"boat"}
    assert vocabulary() is vocabulary()
    assert bucket.reads == 0


def test_a_file_adds_to_the_parameter_and_is_read_again_after_five_minutes(clock: Clock) -> None:
    bucket = Bucket()
    vocabulary = cached(bucket, clock)
    assert bucket.reads == 0  # not at the cold start
    assert vocabulary().names == {"boat", "person"}
    bucket.content = "\ufeffcafé\r\n#dog=hound\r\n".encode()
    clock.sleep(LIFE_SECONDS)
    assert vocabulary().names == {"boat", "person"}
    assert bucket.reads == 1
    clock.sleep(1)
    assert vocabulary().names == {"boat", "café", "dog"}
    assert bucket.reads == 2


@pytest.mark.parametrize("content", [None, b"two words", b"\xff\xfe", b"a" * (MAX_BYTES + 1)])
def test_a_file_that_can_not_be_read_is_told_and_the_labels_stay_what_they_were(
    content: bytes | None, clock: Clock
) -> None:
    bucket = Bucket()
    vocabulary = cached(bucket, clock)
    before = vocabulary()
    bucket.content = content
    clock.sleep(LIFE_SECONDS + 1)
    with patch.object(logger, "error") as told:
        assert vocabulary() is before
        assert vocabulary() is before
    assert bucket.reads == 2  # and not for each image again
    told.assert_called_once()
    bucket.content = b"dog"
    clock.sleep(RETRY_SECONDS + 1)
    assert vocabulary().names == {"boat", "dog"}


def test_until_a_file_can_be_read_the_parameters_labels_count(clock: Clock) -> None:
    bucket = Bucket(None)
    vocabulary = cached(bucket, clock)
    assert vocabulary().names == {"boat"}
    bucket.content = b"person"
    assert vocabulary().names == {"boat"}
    clock.sleep(RETRY_SECONDS + 1)
    assert vocabulary().names == {"boat", "person"}


def test_a_parameter_that_is_no_vocabulary_is_told_once_and_gives_no_labels(clock: Clock) -> None:
    vocabulary = cached(Bucket(), clock, text="two words", key="")
    with patch.object(logger, "error") as told:
        assert not vocabulary()
        clock.sleep(LIFE_SECONDS + 1)
        assert not vocabulary()
    told.assert_called_once()


def test_what_is_wrong_with_a_file_is_said_with_its_address() -> None:
    for content in (b"\xff\xfe", b"a" * (MAX_BYTES + 1)):
        with pytest.raises(VocabularyError, match=f"s3://pictures/{KEY}"):
            Source("", "pictures", KEY).read(stand_in(Bucket(content)))
