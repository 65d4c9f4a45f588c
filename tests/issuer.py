"""An issuer of tokens on this machine, as OpenID Connect describes one; whoever asks it is somebody it knows."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256


@dataclass
class Issuer:
    """Signs tokens, serves the key that they are checked with, and gives a token for a code.

    Attributes
    ----------
    client_id
        The only client that it knows.
    denial
        Why it lets nobody in; empty where it does.
    issued
        The tokens that were given for a code.
    """

    url: str
    key: rsa.RSAPrivateKey
    client_id: str = "gallery"
    denial: str = ""
    issued: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def token(self, **changes: Any) -> str:
        """Return a token with other claims than it usually has."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": self.client_id, "sub": "somebody", "exp": now + 600, "jti": uuid4().hex}
        signed = f"{_encoded({'alg': 'RS256', 'kid': 'one'})}.{_encoded(claims | changes)}"
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), SHA256())
        return f"{signed}.{_base64(signature)}"

    def documents(self) -> dict[str, Any]:
        """Return what is served, by path."""
        numbers = self.key.public_key().public_numbers()
        n, e = _number(numbers.n), _number(numbers.e)
        discovery = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/authorize?tenant=one",
            "token_endpoint": f"{self.url}/token",
        }
        jwk = {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "one", "n": n, "e": e}
        return {"/.well-known/openid-configuration": discovery, "/keys": {"keys": [jwk]}}

    def authorize(self, asked: dict[str, str]) -> str:
        """Return where a visitor is led to, by the authorization code flow: RFC 6749, section 4.1, and RFC 7636."""
        assert (asked["client_id"], asked["response_type"], asked["tenant"]) == (self.client_id, "code", "one")
        assert (asked["scope"], asked["code_challenge_method"]) == ("openid", "S256")
        answer = {"error": "access_denied", "error_description": self.denial}
        if not self.denial:
            answer = {"code": uuid4().hex}
            self.codes[answer["code"]] = asked
        return f"{asked['redirect_uri']}?{urlencode(answer | {'state': asked['state']})}"

    def exchange(self, asked: dict[str, str]) -> dict[str, str]:
        """Return a token for a code, which is good for one."""
        begun = self.codes.pop(asked["code"], {})
        challenge = _base64(sha256(asked["code_verifier"].encode()).digest())
        is_same = all(begun.get(name) == asked[name] for name in ("client_id", "redirect_uri"))
        if asked["grant_type"] != "authorization_code" or begun.get("code_challenge") != challenge or not is_same:
            return {"error": "invalid_grant"}
        self.issued.append(self.token())
        return {"id_token": self.issued[-1], "access_token": "opaque", "token_type": "Bearer"}


def _encoded(part: dict[str, Any]) -> str:
    return _base64(json.dumps(part).encode())


def _base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


@contextmanager
def issuing() -> Iterator[Issuer]:
    """Let there be one."""

    class Requests(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", issuer.authorize(dict(parse_qsl(parts.query))))
                self.end_headers()
            else:
                self._answer(issuer.documents()[parts.path])

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(issuer.exchange(dict(parse_qsl(asked))))

        def _answer(self, said: dict[str, Any]) -> None:
            self.send_response(400 if "error" in said else 200)
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(json.dumps(said).encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
    issuer = Issuer(f"http://127.0.0.1:{server.server_port}", rsa.generate_private_key(65_537, 2_048))
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
