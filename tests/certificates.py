"""Certificates for endpoints of this machine that are called over TLS."""

from __future__ import annotations

import atexit
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import trustme


class Certificates:
    """An authority that nobody trusts unasked, and a certificate for 127.0.0.1; their files go with this process.

    Attributes
    ----------
    authority
        The authority's certificate, a PEM file.
    server
        The server's certificate, its chain and its key, a PEM file.
    """

    def __init__(self) -> None:
        directory = TemporaryDirectory(prefix="certificates-")
        atexit.register(directory.cleanup)
        self.authority, self.server = (Path(directory.name) / name for name in ("authority.pem", "server.pem"))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(self.server)


CERTIFICATES: Final = Certificates()
"""Those of this process."""
