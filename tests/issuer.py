"""An OIDC issuer for tests: real keys, real signatures, and over HTTP on loopback if wanted."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from tests.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AUDIENCE = "longhaul"


@dataclass(kw_only=True)
class SigningKey:
    """A key pair of an issuer, with the id and the algorithm that it is used with."""

    kid: str
    algorithm: str
    private: Any

    @classmethod
    def rsa(cls, kid: str, algorithm: str = "RS256", bits: int = 2048) -> SigningKey:
        private = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        return cls(kid=kid, algorithm=algorithm, private=private)

    @classmethod
    def ec(cls, kid: str) -> SigningKey:
        return cls(kid=kid, algorithm="ES256", private=ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def ed(cls, kid: str) -> SigningKey:
        return cls(kid=kid, algorithm="EdDSA", private=ed25519.Ed25519PrivateKey.generate())

    @property
    def jwk(self) -> dict[str, Any]:
        kinds: dict[str, Callable[..., Any]] = {
            "ES256": ECAlgorithm.to_jwk,
            "EdDSA": OKPAlgorithm.to_jwk,
        }
        to_jwk = kinds.get(self.algorithm, RSAAlgorithm.to_jwk)
        jwk: dict[str, Any] = to_jwk(self.private.public_key(), as_dict=True)
        return {**jwk, "kid": self.kid, "use": "sig"}

    @property
    def public_pem(self) -> bytes:
        pem: bytes = self.private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return pem


@dataclass(kw_only=True)
class Issuer:
    """An issuer; what it serves and signs is the test's to change. `asked` are paths, in order."""

    url: str = "https://issuer.example"
    keys: list[SigningKey] = field(default_factory=list)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    status: int = 200
    body: bytes | None = None
    pause_seconds: float = 0  # after each byte of the body
    asked: list[str] = field(default_factory=list)

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [key.jwk for key in self.keys]}

    def token(self, sub: str = "ada", **claims: Any) -> str:  # noqa: ANN401 - JSON
        """Sign a token with the newest key; a claim of None is left out."""
        now = self.now()
        said = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": sub,
            "scope": "openid jobs:read jobs:write",
            "iat": int(now.timestamp()),
            "exp": int((now + timedelta(hours=1)).timestamp()),
        } | claims
        key = self.keys[-1]
        return jwt.encode(
            {name: value for name, value in said.items() if value is not None},
            key.private,
            algorithm=key.algorithm,
            headers={"kid": key.kid},
        )

    def answer(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"}
        return self.jwks


@contextmanager
def serving_issuer() -> Iterator[Issuer]:
    """Serve an issuer on loopback."""
    issuer = Issuer(keys=[SigningKey.rsa("first")])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = issuer.body or json.dumps(issuer.answer(self.path)).encode()
            self.send_response(issuer.status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            if not issuer.pause_seconds:
                self.wfile.write(body)
                return
            with suppress(OSError):
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(issuer.pause_seconds)  # the issuer is slow

        def log_message(self, *_: object) -> None:
            """Keep silent."""

    with serving(Handler) as url:
        issuer.url = url
        yield issuer
