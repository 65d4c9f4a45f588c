"""Fetch the picture behind a presigned URL, bounded, as the endpoint does; and read what the URL names."""

import hashlib
import ipaddress
import re
import time
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import urllib3

MAX_BYTES = 25 * 1024 * 1024
_TOTAL_S = 20.0
_CHUNK = 256 * 1024
# Virtual-host addressing: the bucket stands before ".s3." or ".s3-", in every region and partition.
_VIRTUAL_HOST = re.compile(r"(?P<bucket>.+)\.s3[.-](?:.+\.)?amazonaws\.com(?:\.cn)?", re.IGNORECASE)


class FetchError(Exception):
    """The picture could not be fetched. The message never holds the URL, since its query string is a credential."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes behind a URL, and their digests in hexadecimal."""

    content: bytes
    sha256: str
    md5: str


@dataclass(frozen=True, slots=True)
class Target:
    """What a presigned URL names: ``bucket/key`` decoded, and the version where the query has one."""

    object_path: str
    version_id: str | None


def target_of(url: str) -> Target:
    """Read bucket, key and version out of a URL; what is no URL names the empty path."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        versions = parse_qs(parts.query).get("versionId")
    except ValueError:
        return Target(object_path="", version_id=None)
    path = unquote(parts.path.removeprefix("/"))
    virtual = _VIRTUAL_HOST.fullmatch(host)
    return Target(
        object_path=f"{virtual['bucket']}/{path}" if virtual else path,
        version_id=versions[0] if versions else None,
    )


class Fetcher:
    """Fetches pictures over kept connections; safe for threads."""

    def __init__(self) -> None:
        self._pool = urllib3.PoolManager(num_pools=8, maxsize=64, block=False)

    def fetch(self, url: str) -> Fetched:
        """Fetch a URL without following redirects: a presigned URL must lead straight to the object.

        Raises
        ------
        FetchError
            The URL is none, is not allowed (plain http beyond loopback), answers with another status than 200,
            gives more than 25 MB, or takes more than 20 seconds.
        """
        _check(url)
        deadline = time.monotonic() + _TOTAL_S
        try:
            response = self._pool.request(
                "GET",
                url,
                preload_content=False,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=3.0, read=10.0),
                headers={"Accept-Encoding": "identity", "User-Agent": "imagescribe-simulator"},
            )
        except (urllib3.exceptions.HTTPError, UnicodeError, ValueError) as error:
            # The class alone: urllib3 puts the URL, signature and all, into its messages.
            raise FetchError(f"could not fetch image_file: {type(error).__name__}") from None
        try:
            if response.status != 200:
                raise FetchError(f"could not fetch image_file: status {response.status}")
            content = _read(response, deadline)
            response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise FetchError(f"could not fetch image_file: {type(error).__name__}") from None
        finally:
            # Closes the connection unless it went back to the pool just now.
            response.close()
        return Fetched(
            content=content,
            sha256=hashlib.sha256(content).hexdigest(),
            md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        )

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.clear()


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        allowed = bool(parts.hostname) and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts)))
    except ValueError:
        allowed = False
    if not allowed:
        raise FetchError("image_file must be an https URL, or an http URL of this machine")


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    content = bytearray()
    # Piece by piece as they arrive, so that a trickle meets the deadline; undecoded, as the object is stored.
    while chunk := response.read1(_CHUNK, decode_content=False):
        content += chunk
        if len(content) > MAX_BYTES:
            raise FetchError("could not fetch image_file: more than 25 MB")
        if time.monotonic() > deadline:
            raise FetchError(f"could not fetch image_file: took longer than {_TOTAL_S:.0f} s")
    return bytes(content)
