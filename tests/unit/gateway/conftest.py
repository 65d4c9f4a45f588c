"""A model's server, a bucket that pictures are fetched from, a gateway between them, and calls of it."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import requests
from PIL import Image

from imagescribe_ops.contract.addresses import Reach
from imagescribe_ops.gateway.gateway import Call
from imagescribe_ops.gateway.server import RunningGateway
from imagescribe_ops.gateway.settings import GatewaySettings
from tests.factories import make_picture
from tests.model_server import MODEL, ModelServer
from tests.raw_server import answer, raw_server

KEY = "gateway-key-4711"
MODEL_KEY = "sk-model-key-0815"
SIGNATURE = "X-Amz-Signature=5ec7e75ec7e75ec7e75ec7e7"

type Ask = Callable[..., requests.Response]


def photograph(size: tuple[int, int] = (64, 48), orientation: int = 1) -> bytes:
    """A photograph that says where it was taken, and which side is up; its left half is red."""
    image = Image.new("RGB", size, "blue")
    image.paste("red", (0, 0, size[0] // 2, size[1]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "Maker of cameras"
    exif.get_ifd(0x8825)[2] = (48.0, 51.0, 29.9)  # GPSLatitude
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif, comment=b"at home")
    return file.getvalue()


@pytest.fixture(scope="module")
def model_server() -> Iterator[ModelServer]:
    with ModelServer().running() as server:
        yield server


@pytest.fixture
def model(model_server: ModelServer) -> ModelServer:
    model_server.forget()
    return model_server


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Where a picture is: any path leads to it."""
    with raw_server(answer(make_picture(), "HTTP/1.1 200 OK\r\nConnection: close")) as server:
        yield server.url.removesuffix("/v1/ideogram-describe")


@pytest.fixture(scope="module")
def settings(model_server: ModelServer, bucket: str) -> GatewaySettings:
    reach = Reach(frozenset({bucket.removeprefix("http://")}), public=False)
    return GatewaySettings(model_server.url, MODEL, KEY, model_key=MODEL_KEY, reach=reach, timeout_s=30)


@pytest.fixture(scope="module")
def reported() -> list[Call]:
    return []


@pytest.fixture
def calls(reported: list[Call]) -> list[Call]:
    """What the gateway reported."""
    reported.clear()
    return reported


@pytest.fixture
def started(
    settings: GatewaySettings, model: ModelServer, calls: list[Call]
) -> Iterator[Callable[..., RunningGateway]]:
    """Start a gateway with some settings of its own."""
    running: list[RunningGateway] = []

    def start(**changes: Any) -> RunningGateway:
        running.append(RunningGateway(replace(settings, **changes), report=calls.append))
        return running[-1].__enter__()

    yield start
    for gateway in running:
        gateway.__exit__(None, None, None)


@pytest.fixture(scope="module")
def running_gateway(settings: GatewaySettings, reported: list[Call]) -> Iterator[RunningGateway]:
    with RunningGateway(settings, report=reported.append) as gateway:
        yield gateway


@pytest.fixture
def gateway(running_gateway: RunningGateway, model: ModelServer) -> RunningGateway:
    """One for all tests that need no settings of their own: stopping takes longer than they do."""
    return running_gateway


@pytest.fixture
def ask(gateway: RunningGateway, bucket: str) -> Ask:
    return partial(ask_for, gateway, bucket)


def ask_for(
    gateway: RunningGateway,
    bucket: str,
    *,
    key: str | bytes | None = KEY,
    timeout: float = 10,
    url: str = "",
    **more: Any,
) -> requests.Response:
    usual: dict[str, Any] = {
        "json": {"image_file": url or f"{bucket}/photos/cat%20%2B.png?versionId=7&{SIGNATURE}"},
        "headers": {"x-api-key": key} if key is not None else {},
        "timeout": timeout,
    }
    with requests.Session() as session:
        session.trust_env = False
        return session.post(gateway.describe_url, **usual | more)
