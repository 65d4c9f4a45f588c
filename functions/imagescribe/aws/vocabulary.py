"""Where a vocabulary of labels is written: in the stack's parameter, and in a file in the bucket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from imagescribe.model.labels import Vocabulary, VocabularyError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_BYTES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Source:
    """Where a stack's vocabulary is written.

    Attributes
    ----------
    text
        The parameter ``Labels``.
    bucket, key
        Of the file that has more of them; no key where there is none.
    """

    text: str
    bucket: str = ""
    key: str = ""

    def read(self, client: S3Client) -> Vocabulary:
        """Read it as it is now.

        Raises
        ------
        VocabularyError
            It is not written as a vocabulary is.
        botocore.exceptions.ClientError
            The file can't be read.
        """
        if not self.key:
            return Vocabulary.parse(self.text)
        with client.get_object(Bucket=self.bucket, Key=self.key)["Body"] as body:
            content = body.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise VocabularyError(f"s3://{self.bucket}/{self.key} has more than {MAX_BYTES:,} bytes")
        try:
            return Vocabulary.parse(f"{self.text}\n{content.decode('utf-8-sig')}")
        except UnicodeDecodeError:
            raise VocabularyError(f"s3://{self.bucket}/{self.key} is not UTF-8") from None
