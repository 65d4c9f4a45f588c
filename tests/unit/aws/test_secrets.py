"""The key is read from its secret once, and again only after the endpoint refused it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError

from imagescribe.aws.secrets import ApiKey
from imagescribe.errors import NoApiKeyError
from tests.factories import API_KEY, unique

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


def make_secret(client: SecretsManagerClient, value: str) -> str:
    return client.create_secret(Name=unique("api-key"), SecretString=value)["ARN"]


def test_the_key_is_read_once(secrets: SecretsManagerClient) -> None:
    key = ApiKey(secrets, make_secret(secrets, API_KEY))
    assert key.get() == API_KEY
    with patch.object(secrets, "get_secret_value") as read:
        assert key.get() == API_KEY
        assert key.get(refused="another") == API_KEY
    assert not read.called


def test_white_space_around_a_key_is_not_part_of_it(secrets: SecretsManagerClient) -> None:
    assert ApiKey(secrets, make_secret(secrets, f" {API_KEY}\r\n")).get() == API_KEY


def test_a_key_that_was_rotated_is_read_afresh_after_the_old_one_was_refused(secrets: SecretsManagerClient) -> None:
    arn = make_secret(secrets, "old")
    key = ApiKey(secrets, arn)
    assert key.get() == "old"
    secrets.put_secret_value(SecretId=arn, SecretString="new")
    assert key.get() == "old"
    assert key.get(refused="old") == "new"
    assert key.get(refused="old") == "new"  # another thread, whose call with the old one was refused later


def test_many_threads_read_the_key_once(secrets: SecretsManagerClient) -> None:
    key = ApiKey(secrets, make_secret(secrets, API_KEY))
    with (
        patch.object(secrets, "get_secret_value", wraps=secrets.get_secret_value) as read,
        ThreadPoolExecutor(10) as pool,
    ):
        assert set(pool.map(lambda _: key.get(), range(50))) == {API_KEY}
    assert read.call_count == 1


def test_a_secret_of_bytes_holds_no_key(secrets: SecretsManagerClient) -> None:
    arn = secrets.create_secret(Name=unique("api-key"), SecretBinary=API_KEY.encode())["ARN"]
    with pytest.raises(NoApiKeyError, match="imagescribe key set"):
        ApiKey(secrets, arn).get()


@pytest.mark.parametrize("value", [" ", "\n"])
def test_an_empty_secret_says_what_to_do(value: str, secrets: SecretsManagerClient) -> None:
    with pytest.raises(NoApiKeyError, match="imagescribe key set"):
        ApiKey(secrets, make_secret(secrets, value)).get()


def test_a_secret_without_a_value_says_what_to_do(secrets: SecretsManagerClient) -> None:
    arn = secrets.create_secret(Name=unique("api-key"))["ARN"]  # as the template makes it
    key = ApiKey(secrets, arn)
    with pytest.raises(NoApiKeyError, match="imagescribe key set"):
        key.get()
    secrets.put_secret_value(SecretId=arn, SecretString=API_KEY)
    assert key.get() == API_KEY


@pytest.mark.parametrize("value", ["key\nX-Other: header", "key\u200b", "schlüssel", "“key”", "key\x00"])
def test_a_key_that_no_header_can_carry_is_as_good_as_none(value: str, secrets: SecretsManagerClient) -> None:
    with pytest.raises(NoApiKeyError, match="imagescribe key set") as raised:
        ApiKey(secrets, make_secret(secrets, value)).get()
    assert value not in str(raised.value)


def test_a_refused_read_is_not_taken_for_an_empty_secret(secrets: SecretsManagerClient) -> None:
    denied = ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")
    with (
        patch.object(secrets, "get_secret_value", side_effect=denied),
        pytest.raises(ClientError, match="AccessDeniedException"),
    ):
        ApiKey(secrets, "arn").get()
