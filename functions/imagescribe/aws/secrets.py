"""The endpoint's API key: in Secrets Manager, and cached for as long as it works."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from imagescribe.aws.s3 import error_code
from imagescribe.errors import NoApiKeyError

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


class ApiKey:
    """The key, read once and again after it was refused."""

    def __init__(self, client: SecretsManagerClient, secret_arn: str) -> None:
        self._client = client
        self._secret_arn = secret_arn
        self._lock = Lock()
        self._key: str | None = None

    def get(self, refused: str | None = None) -> str:
        """Return the key.

        Parameters
        ----------
        refused
            A key that the endpoint refused: if it is the cached one, the secret is read again.

        Raises
        ------
        NoApiKeyError
            The secret has no key in it.
        """
        with self._lock:
            if self._key is None or self._key == refused:
                self._key = self._read()
            return self._key

    def _read(self) -> str:
        try:
            key = self._client.get_secret_value(SecretId=self._secret_arn).get("SecretString", "").strip()
        except ClientError as error:
            if error_code(error) != "ResourceNotFoundException":
                raise
            key = ""
        if not key:
            raise NoApiKeyError("no API key is set: run `imagescribe key set`")
        if not (key.isascii() and key.isprintable()):  # such as what a page's typography makes of a copied key
            raise NoApiKeyError("the API key has characters that no key has: run `imagescribe key set` again")
        return key
