"""A picture is fetched from the address that was checked, and a redirect is checked like any other URL."""

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from ssl import PROTOCOL_TLS_SERVER, SSLContext
from threading import Thread

import pytest
import trustme

from imagescribe_ops.contract.addresses import Reach, Resolve
from imagescribe_ops.contract.fetch import Fetcher, FetchError, UnreachableError
from tests.factories import make_picture
from tests.raw_server import RawServer, answer, raw_server

PICTURE = make_picture()
SIGNATURE = "X-Amz-Signature=5ec7e7"


def fetcher(*allowed: str, resolve: Resolve | None = None, redirects: int = 2) -> Fetcher:
    more = {"resolve": resolve} if resolve else {}
    return Fetcher(Reach(frozenset(allowed)), redirects=redirects, user_agent="test", **more)


def moved(location: str, status: int = 307) -> bytes:
    return answer(head=f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nConnection: close")


def place_of(server: RawServer) -> str:
    return server.url.removeprefix("http://").partition("/")[0]


def test_the_connection_goes_to_the_address_that_was_checked_whatever_the_name_leads_to_later() -> None:
    """A name that answers differently each time (DNS rebinding) is asked once for each fetch."""
    answers = iter([["127.0.0.1"], ["192.0.2.1"]])
    asked: list[str] = []

    def rebinding(host: str, _port: int) -> list[str]:
        asked.append(host)
        return next(answers)

    with raw_server(answer(PICTURE)) as server:
        port = int(place_of(server).partition(":")[2])
        pictures = fetcher("pictures.lan", resolve=rebinding)
        fetched = pictures.fetch(f"http://pictures.lan:{port}/b/k.png?{SIGNATURE}")
        request = server.requests[0]
    assert fetched.content == PICTURE
    assert asked == ["pictures.lan"]
    assert f"Host: pictures.lan:{port}" in request
    assert request.startswith(f"GET /b/k.png?{SIGNATURE} HTTP/1.1")


def test_a_name_that_rebinds_to_this_machine_is_refused_without_a_connection() -> None:
    with raw_server(answer(PICTURE)) as server:
        port = int(place_of(server).partition(":")[2])
        with pytest.raises(UnreachableError, match="not a public host"):
            fetcher(resolve=lambda _host, _port: ["127.0.0.1"]).fetch(f"https://rebound.example:{port}/a.png")
        assert server.connections == 0


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://127.0.0.1:1/",
        "https://[::ffff:127.0.0.1]/",
        "//10.0.0.1/a.png",
        "http://localhost/",
    ],
)
def test_a_redirect_into_the_network_is_refused(location: str) -> None:
    with raw_server(moved(location)) as server, pytest.raises(UnreachableError, match="not fetched from"):
        fetcher(place_of(server)).fetch(f"http://{place_of(server)}/a.png?{SIGNATURE}")


@pytest.mark.parametrize("location", ["file:///etc/passwd", "gopher://127.0.0.1/"])
def test_a_redirect_to_no_url_of_the_web_is_refused(location: str) -> None:
    with raw_server(moved(location)) as server, pytest.raises(FetchError, match="must be an http"):
        fetcher(place_of(server)).fetch(f"http://{place_of(server)}/a.png")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_where_pictures_may_be_is_followed(status: int) -> None:
    with raw_server(answer(PICTURE)) as there, raw_server(moved(f"http://{place_of(there)}/k", status)) as here:
        assert fetcher(place_of(here), place_of(there)).fetch(f"http://{place_of(here)}/k").content == PICTURE


def test_redirects_end_and_their_status_is_told() -> None:
    with raw_server(moved("/round")) as server, pytest.raises(FetchError, match="status 307"):
        fetcher(place_of(server)).fetch(f"http://{place_of(server)}/a.png")


def test_the_next_address_of_a_host_is_taken_where_the_first_takes_no_connection() -> None:
    with raw_server(answer(PICTURE)) as server:
        port = int(place_of(server).partition(":")[2])
        both = fetcher("two.lan", resolve=lambda _host, _port: ["127.0.0.2", "127.0.0.1"])
        assert both.fetch(f"http://two.lan:{port}/a.png").content == PICTURE


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (answer(b"<Error/>", "HTTP/1.1 403 Forbidden"), "status 403"),
        (answer(head="HTTP/1.1 302 Found"), "status 302"),
        (answer(PICTURE, length=len(PICTURE) + 1), "could not fetch image_file: "),
        (b"garbage\r\n\r\n", "could not fetch image_file: "),
    ],
)
def test_what_goes_wrong_is_told_without_the_url(said: bytes, words: str) -> None:
    with raw_server(said) as server, pytest.raises(FetchError, match=words) as error:
        fetcher(place_of(server)).fetch(f"http://{place_of(server)}/a.png?{SIGNATURE}")
    assert "5ec7e7" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_host_that_is_not_there_is_told_without_the_url() -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(FetchError, match="gaierror"):
        fetcher(resolve=unknown).fetch(f"https://nowhere.example/a.png?{SIGNATURE}")


@pytest.fixture
def tls_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server on 127.0.0.1 with a certificate for pictures.example."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = SSLContext(PROTOCOL_TLS_SERVER)
    authority.issue_cert("pictures.example").configure_cert(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                raw, _ = listener.accept()
                with context.wrap_socket(raw, server_side=True) as connection:
                    connection.recv(65_536)
                    connection.sendall(answer(PICTURE, "HTTP/1.1 200 OK\r\nConnection: close"))
            except OSError:
                if listener.fileno() < 0:
                    return

    thread = Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.close()


def test_a_certificate_has_to_be_for_the_name_though_the_address_is_connected_to(tls_port: int) -> None:
    here = partial(fetcher, resolve=lambda _host, _port: ["127.0.0.1"])
    right, wrong = f"pictures.example:{tls_port}", f"another.example:{tls_port}"
    assert here(right).fetch(f"https://{right}/a.png").content == PICTURE
    with pytest.raises(FetchError, match="SSLError"):
        here(wrong).fetch(f"https://{wrong}/a.png")
