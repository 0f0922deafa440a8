"""An issuer's public keys: fetched when they are needed, kept while they are good.

They are fetched anew after LIFETIME, and sooner for a key id that nobody knows, as after a
rotation; but never more often than once in PAUSE, whatever tokens come. While the issuer is away
the old ones count for STALE.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import jwt
import urllib3

from adapters.safe_url import is_safe_url
from jobs.errors import LonghaulError, Misconfigured, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobs.outage import Outage
    from jobs.ports import Clock

LIFETIME = timedelta(minutes=10)
PAUSE = timedelta(seconds=10)
STALE = timedelta(hours=24)
MOST_BYTES = 256 * 1024
MOST_KEYS = 100
_SECONDS = 3.0  # for each step of a fetch
_ALL_SECONDS = 5.0
_LEAST_RSA_BITS = 2048
_RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_OF_CURVE = {"P-256": "ES256", "P-384": "ES384", "Ed25519": "EdDSA"}
_PART = "issuer"


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuerKey:
    """A public key and the algorithms that it may be used with: never a symmetric one."""

    key: Any  # cryptography's, which has a type for each kind
    algorithms: frozenset[str]


Jwks = dict[str | None, IssuerKey]


class IssuerKeys:
    """The keys of one issuer by their id, shared by the process's threads.

    `fetch` brings the document; one thread at a time does, and those with old keys do not wait.
    """

    def __init__(self, fetch: Callable[[], Jwks], *, clock: Clock, outage: Outage) -> None:
        self._fetch = fetch
        self._clock = clock
        self._outage = outage
        self._turn = threading.Lock()
        self._keys: Jwks = {}
        self._fetched_at: timedelta | None = None
        self._tried_at: timedelta | None = None
        self._has_failed = False

    def get(self, key_id: str | None) -> IssuerKey:
        """Give a key; without an id, the only one. Raises Unauthenticated, Unavailable."""
        age = self._age()
        if age is None or age >= LIFETIME or self._find(key_id) is None:
            self._refresh(must_wait=self._find(key_id) is None)
        age, found = self._age(), self._find(key_id)
        if found is not None and age is not None and age < STALE:
            return found
        if self._has_failed:
            raise Unavailable(_PART, "its keys cannot be read now")
        raise Unauthenticated("no key of the issuer has signed this token")

    def _find(self, key_id: str | None) -> IssuerKey | None:
        keys = self._keys
        if key_id is None:
            return next(iter(keys.values())) if len(keys) == 1 else None
        return keys.get(key_id)

    def _age(self) -> timedelta | None:
        return None if self._fetched_at is None else self._clock.elapsed() - self._fetched_at

    def _refresh(self, *, must_wait: bool) -> None:
        """Fetch once for all who ask at this moment; those who ask too soon get what there is."""
        if not self._turn.acquire(blocking=must_wait):
            return
        try:
            now = self._clock.elapsed()
            if self._tried_at is not None and now - self._tried_at < PAUSE:
                return
            self._tried_at, self._has_failed = now, True
            with self._outage.watched():
                self._keys = self._fetch()
            self._fetched_at, self._has_failed = self._clock.elapsed(), False
        except LonghaulError:
            return  # `get` goes on with what there is; the outage was told
        finally:
            self._turn.release()


def fetch_jwks(*, issuer: str, jwks_url: str | None) -> Jwks:
    """Fetch an issuer's keys, from where its discovery document says. Raises Unavailable."""
    if jwks_url is None:
        found = _fetch_json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if found.get("issuer") != issuer:  # OpenID Connect Discovery, 4.3
            raise Misconfigured("issuer: its discovery document names another issuer")
        jwks_url = found.get("jwks_uri")
        if not isinstance(jwks_url, str) or not is_safe_url(jwks_url):
            raise Misconfigured("issuer: its discovery document has no jwks_uri with https")
    return read_jwks(_fetch_json(jwks_url))


def read_jwks(document: Mapping[str, Any]) -> Jwks:
    """Read a JWK set (RFC 7517); keys that are not for signatures, or too weak, are left out."""
    listed = document.get("keys")
    if not isinstance(listed, list):
        raise Unavailable(_PART, "its JWKS has no keys")
    keys: Jwks = {}
    for jwk in listed[:MOST_KEYS]:
        if isinstance(jwk, dict) and (key := _read_key(jwk)) is not None:
            key_id = jwk.get("kid")
            keys[key_id if isinstance(key_id, str) else None] = key
    return keys


def _read_key(jwk: dict[str, Any]) -> IssuerKey | None:
    if jwk.get("use", "sig") != "sig" or jwk.get("kty") not in ("RSA", "EC", "OKP"):
        return None
    fitting = _RSA if jwk["kty"] == "RSA" else frozenset({_OF_CURVE.get(str(jwk.get("crv")), "")})
    algorithms = fitting & {jwk["alg"]} if isinstance(jwk.get("alg"), str) else fitting
    algorithms -= {""}
    if not algorithms:
        return None
    try:
        key = jwt.PyJWK(jwk, algorithm=min(algorithms)).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    is_weak = jwk["kty"] == "RSA" and key.key_size < _LEAST_RSA_BITS
    return None if is_weak else IssuerKey(key=key, algorithms=algorithms)


def _fetch_json(url: str) -> dict[str, Any]:
    """Read a JSON object, in bounded time and size; a redirect is not followed."""
    timeout = urllib3.Timeout(connect=_SECONDS, read=_SECONDS)
    try:
        with urllib3.PoolManager(timeout=timeout, retries=False) as pool:
            answer = pool.request("GET", url, preload_content=False, redirect=False)
            data = _read(answer)
            answer.close()
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
        raise Unavailable(_PART, f"cannot be reached ({type(error).__name__})") from error
    if answer.status != 200 or len(data) > MOST_BYTES:  # noqa: PLR2004 - HTTP's OK
        raise Unavailable(_PART, f"answered {answer.status} with {len(data)} bytes")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Unavailable(_PART, "answered what is no JSON") from error
    if not isinstance(document, dict):
        raise Unavailable(_PART, "answered what is no JSON object")
    return document


def _read(answer: urllib3.BaseHTTPResponse) -> bytes:
    """Read a body as it comes, until it is whole, or has taken too long or too much."""
    data, until = b"", time.monotonic() + _ALL_SECONDS
    while len(data) <= MOST_BYTES and (part := answer.read1(MOST_BYTES)):
        data += part
        if time.monotonic() > until:
            raise TimeoutError("the answer takes too long")
    return data
