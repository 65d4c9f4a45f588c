"""Certificates for endpoints of this machine that are called over TLS."""

from __future__ import annotations

import atexit
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp
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
        directory = Path(mkdtemp(prefix="certificates-"))
        atexit.register(_remove, directory, os.getpid())
        self.authority, self.server = directory / "authority.pem", directory / "server.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.authority)
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(self.server)


def _remove(directory: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not a fork of it, which ends sooner
        shutil.rmtree(directory, ignore_errors=True)


CERTIFICATES: Final = Certificates()
"""Those of this process."""
