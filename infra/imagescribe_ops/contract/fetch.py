"""Fetch the picture behind a presigned URL, bounded, as the endpoint does; and read what the URL names."""

import hashlib
import re
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from imagescribe_ops.contract.addresses import ForbiddenHostError, Place, Reach, Resolve, look_up

MAX_BYTES = 25 * 1024 * 1024
_TOTAL_S = 20.0
_CHUNK = 256 * 1024
_REDIRECTS = (301, 302, 303, 307, 308)
# Virtual-host addressing: the bucket stands before ".s3." or ".s3-", in every region and partition.
_VIRTUAL_HOST = re.compile(r"(?P<bucket>.+)\.s3[.-](?:.+\.)?amazonaws\.com(?:\.cn)?", re.IGNORECASE)


class FetchError(Exception):
    """The picture could not be fetched. The message never holds the URL, since its query string is a credential."""


class UnreachableError(FetchError):
    """The picture may not be fetched from where its URL leads."""


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
    """Fetches pictures over kept connections; safe for threads.

    Parameters
    ----------
    reach
        Where they may be.
    redirects
        How many are followed at most, each to where pictures may be. A presigned URL leads straight to its object, but
        for a young bucket in another region.
    user_agent
        Who it says that it is.
    resolve
        Looks hosts up.
    """

    def __init__(self, reach: Reach, *, redirects: int, user_agent: str, resolve: Resolve = look_up) -> None:
        self._reach = reach
        self._redirects = redirects
        self._resolve = resolve
        self._pool = urllib3.PoolManager(
            num_pools=8,
            maxsize=64,
            block=False,
            headers={"Accept-Encoding": "identity", "User-Agent": user_agent},
            retries=False,
            timeout=urllib3.Timeout(connect=3.0, read=10.0),
        )

    def fetch(self, url: str) -> Fetched:
        """Fetch a picture.

        Raises
        ------
        UnreachableError
            The URL leads where pictures may not be fetched from.
        FetchError
            It is no URL, answers with another status than 200, gives more than 25 MB, or takes more than 20 seconds.
        """
        deadline = time.monotonic() + _TOTAL_S
        try:
            for _ in range(self._redirects + 1):
                with closing(self._get(self._place(url))) as response:
                    location = response.headers.get("Location", "")
                    if response.status == 200:
                        content = _read(response, deadline)
                        response.release_conn()  # so that closing it does not end the connection
                        return _fetched(content)
                    if response.status not in _REDIRECTS or not location:
                        break
                    url = urljoin(url, location)
        except (HTTPError, OSError, UnicodeError, ValueError) as error:
            # The class alone: urllib3 puts the URL, signature and all, into its messages.
            raise FetchError(f"could not fetch image_file: {type(error).__name__}") from None
        raise FetchError(f"could not fetch image_file: status {response.status}")

    def close(self) -> None:
        """Close the kept connections."""
        self._pool.clear()

    def _place(self, url: str) -> Place:
        try:
            return self._reach.place(url, self._resolve)
        except ForbiddenHostError as error:
            raise UnreachableError(str(error)) from None
        except (ValueError, UnicodeError):
            raise FetchError("image_file must be an http or https URL") from None

    def _get(self, place: Place) -> urllib3.BaseHTTPResponse:
        """Ask for a picture at the first of its host's addresses that takes the connection."""
        # By its address, whatever the name leads to by now; the name still is what a certificate has to be for.
        tls: Mapping[str, str] = {"server_hostname": place.host, "assert_hostname": place.host}
        for address in place.addresses:
            pool = self._pool.connection_from_host(
                address, place.port, place.scheme, pool_kwargs=dict(tls) if place.scheme == "https" else None
            )
            try:
                return pool.urlopen(
                    "GET",
                    place.target,
                    headers={**self._pool.headers, "Host": place.host_header},
                    redirect=False,
                    preload_content=False,
                )
            except (NewConnectionError, ConnectTimeoutError) as error:
                failure = error
        raise failure


def _fetched(content: bytes) -> Fetched:
    return Fetched(
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
    )


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
