"""A simulator in this process, a bucket that it fetches from, and calls of it."""

import io
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from PIL import Image, ImageDraw

from imagescribe_ops.simulator import (
    Simulator,
    SimulatorClient,
    SimulatorSettings,
)

KEY = "sim-key-4711"
SIGNATURE = "X-Amz-Signature=5ec7e7"


def picture(
    colour: str = "navy", size: tuple[int, int] = (320, 200), form: str = "PNG", spot: tuple[int, int] | None = None
) -> bytes:
    image = Image.new("RGB", size, colour)
    if spot:
        brush = ImageDraw.Draw(image)
        for radius in range(4, 28, 4):
            brush.ellipse([spot[0] - radius, spot[1] - radius, spot[0] + radius, spot[1] + radius], outline="white")
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


class Objects(BaseHTTPRequestHandler):
    """A bucket's worth of objects; every other path is 403, as S3 says it to strangers."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        content = self.objects.get(path)
        self.send_response(307 if path == "/photos/moved.png" else 403 if content is None else 200)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        try:
            self.wfile.write(content or b"")
        except ConnectionError:
            self.close_connection = True  # The simulator has read enough.

    def log_request(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    Objects.objects = {
        "/photos/a.png": picture(),
        "/photos/copy%20of%20a%2B%C3%A9.png": picture(),
        "/photos/b.jpg": picture("orange", form="JPEG"),
        "/photos/text.jpg": b"no picture at all",
        "/photos/huge.png": bytes(26 * 1024 * 1024),
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), Objects)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/photos"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def running() -> Iterator[Simulator]:
    with Simulator(SimulatorSettings(api_key=KEY, latency_s=0, refusal_s=0)) as simulator:
        yield simulator


@pytest.fixture
def simulator(running: Simulator) -> SimulatorClient:
    client = SimulatorClient(running.url)
    client.reset()
    return client


Call = Callable[..., requests.Response]


@pytest.fixture
def call(simulator: SimulatorClient, bucket: str) -> Iterator[Call]:
    session = requests.Session()
    session.trust_env = False

    def describe_it(name: str = "a.png", key: str = KEY, timeout: float = 10, **more: Any) -> requests.Response:
        body = {"image_file": f"{bucket}/{name}?versionId=v7&{SIGNATURE}"}
        headers = {"x-api-key": key}
        return session.post(
            simulator.describe_url, json=body, headers=headers, timeout=timeout, allow_redirects=False, **more
        )

    yield describe_it
    session.close()


def eventually[T](look: Callable[[], T], good: Callable[[T], bool]) -> T:
    """Look again until it is good; calls without an answer end when the simulator notices it."""
    for _ in range(400):
        if good(seen := look()):
            return seen
        time.sleep(0.02)
    raise AssertionError(f"never came: {seen}")


def journal(simulator: SimulatorClient, calls: int) -> Any:
    return eventually(simulator.journal, lambda entries: len(entries) >= calls)
