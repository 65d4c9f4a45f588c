"""The gallery's page: static files without secrets. The HTTP API serves them to everyone, the command on 127.0.0.1."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

INDEX: Final = "index.html"
SIGN_IN: Final = "sign_in.json"
"""How one signs in, of the hosted page alone."""

_SCRIPT: Final = "text/javascript; charset=utf-8"
FILES: Final = {
    INDEX: "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    **dict.fromkeys(("api.js", "app.js", "grid.js", "pictures.js", "sign_in.js", "viewer.js"), _SCRIPT),
}
"""Each file of the page, and its media type."""


_DIRECTORY: Final = Path(__file__).parents[1] / "page"


def content(name: str) -> str:
    """Return one of `FILES`."""
    return (_DIRECTORY / name).read_text(encoding="utf-8")


def security(image_sources: Iterable[str] = (), issuers: Iterable[str] = ()) -> dict[str, str]:
    """Return the headers that forbid what the page does not need.

    Parameters
    ----------
    image_sources
        Where pictures come from besides the page's own server.
    issuers
        Where it asks for tokens.
    """
    return {
        "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
        f"connect-src {' '.join(["'self'", *issuers])}; "
        f"img-src {' '.join(["'self'", *image_sources])}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
