"""The connection to an account, and to an emulator of one."""

from __future__ import annotations

import pytest

from imagescribe_ops.aws.connection import Connection
from imagescribe_ops.errors import OperationError


def test_an_emulators_connection_needs_nothing_of_the_users_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nope")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/no/such/file")
    monkeypatch.setenv("AWS_REGION", "xx-north-9")
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    connection = Connection(
        region="us-east-1", endpoint_url="http://127.0.0.1:9", access_key_id="k", secret_access_key="s"
    )
    assert connection.region == "us-east-1"
    assert connection.s3().meta.endpoint_url == "http://127.0.0.1:9"


def test_a_missing_profile_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nope")
    with pytest.raises(OperationError, match="nope"):
        Connection(region="us-east-1")


@pytest.mark.parametrize("url", ["foo", "http://[::", "ftp://127.0.0.1", "http://"])
def test_an_address_of_aws_that_is_none_is_told_in_a_sentence(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(OperationError, match="is no address") as told:
        Connection(region="us-east-1")
    assert "http://127.0.0.1:4566" in told.value.advice
