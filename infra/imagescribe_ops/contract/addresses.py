"""Where a picture may be fetched from: a caller's URL must not lead into the network that the server stands in.

A host is looked up once; all its addresses are checked, and the connection goes to one that was checked: whoever
answers the look-up differently the next time (DNS rebinding) gains nothing.
"""

import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

type Resolve = Callable[[str, int], Sequence[str]]
"""Gives a host's addresses; raises OSError or UnicodeError where it has none."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All of IPv6 that is given out: https://www.iana.org/assignments/ipv6-address-space/"""


class ForbiddenHostError(Exception):
    """Pictures are not fetched from there. The message names the host and nothing else of the URL."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a URL leads.

    Attributes
    ----------
    addresses
        One of them, and nothing else, is to be connected to.
    target
        Path and query, as the request line has them.
    """

    scheme: str
    host: str
    port: int
    addresses: Sequence[str]
    target: str

    @property
    def host_header(self) -> str:
        """What the request's Host header says: the port only where it is not the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == {"http": 80, "https": 443}[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Reach:
    """Where pictures may be fetched from.

    Attributes
    ----------
    allowed
        Hosts as ``HOST`` or ``HOST:PORT``, in lower case: whatever their addresses, and over plain HTTP too.
    public
        Whether every other host is allowed besides that has public addresses, over HTTPS.
    """

    allowed: frozenset[str] = frozenset()
    public: bool = True

    def place(self, url: str, resolve: Resolve) -> Place:
        """Look a URL's host up.

        Raises
        ------
        ForbiddenHostError
            The host, one of its addresses, or the scheme is not allowed.
        ValueError
            It is no URL.
        OSError, UnicodeError
            The host has no address.
        """
        parts = urlsplit(url)
        host, scheme = (parts.hostname or "").rstrip("."), parts.scheme
        if scheme not in ("http", "https") or not host:
            raise ValueError("no URL of the web")
        port = parts.port or {"http": 80, "https": 443}[scheme]
        bracketed = f"[{host}]" if ":" in host else host
        is_allowed = bool(self.allowed & {host, bracketed, f"{bracketed}:{port}"})
        if not is_allowed and not self.public:
            raise ForbiddenHostError(f"pictures are not fetched from {bracketed}:{port}")
        if not is_allowed and scheme != "https":
            raise ForbiddenHostError(f"pictures are not fetched from {bracketed} over plain HTTP")
        addresses = list(dict.fromkeys(resolve(host, port)))
        if not addresses:
            raise OSError("no address")
        if not is_allowed and not all(is_public(address) for address in addresses):
            raise ForbiddenHostError(f"pictures are not fetched from {bracketed}, which is not a public host")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Place(scheme, host, port, addresses, target)


def look_up(host: str, port: int) -> list[str]:
    """Ask the system's resolver, which also reads every way to write an address, such as ``0x7f.1``."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_public(text: str) -> bool:
    """Whether an address is one of the open Internet's, also where it carries an IPv4 address that counts in its place.

    Private, loopback, link-local (the cloud's metadata), shared (RFC 6598), reserved and multicast ones are not:
    https://www.iana.org/assignments/iana-ipv4-special-registry/
    """
    address = ipaddress.ip_address(text.partition("%")[0])  # without the zone of a link-local address
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner:
            return is_public(str(inner))
        if address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not address.is_multicast


def is_loopback(url: str) -> bool:
    """Tell whether a URL is one of this machine's own, which alone reaches what is local."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
