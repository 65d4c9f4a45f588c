"""What the tests of the command share: a stack in moto that it finds, and a plain environment."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest

from tests.unit.conftest import REGION
from tests.unit.stack_in_moto import Clients, StackInMoto, described, make_stack


@pytest.fixture(autouse=True)
def _aws_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)  # hints say how the command is run


@pytest.fixture(scope="module")
def lent_clients(aws: boto3.Session) -> Iterator[None]:
    """Let the command use clients that are made already."""
    with pytest.MonkeyPatch.context() as patch:
        Clients.of_session(aws).lend(patch)
        yield


@pytest.fixture
def deployed(aws: boto3.Session, lent_clients: None, monkeypatch: pytest.MonkeyPatch) -> StackInMoto:
    """A stack that the command finds."""
    return described(make_stack(aws), monkeypatch)
