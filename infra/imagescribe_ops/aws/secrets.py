"""The secret that holds the describe endpoint's key."""

from __future__ import annotations

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.aws.errors import readable_errors


def set_api_key(connection: Connection, secret_arn: str, key: str) -> str:
    """Store the describe endpoint's key, as a plain string, and return the new version's id."""
    with readable_errors():
        answer = connection.secretsmanager().put_secret_value(SecretId=secret_arn, SecretString=key)
    return answer["VersionId"]
