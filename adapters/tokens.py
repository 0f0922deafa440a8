"""The callers with tokens of an OIDC issuer: JWTs, by its public keys (RFC 7519, RFC 8725)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import jwt

from jobs.caller import Caller, Scope
from jobs.errors import Unauthenticated
from jobs.job import UserId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.jwks import IssuerKeys
    from jobs.ports import Clock

LEEWAY = timedelta(seconds=30)
# What an issuer may call a user: it stands in keys, topics and logs, so no spaces and no controls.
_SUBJECT = re.compile(r"[A-Za-z0-9._@:|+=-]{1,128}")
_UNREADABLE = (jwt.PyJWTError, ValueError, TypeError, RecursionError)
_LATEST = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenTerms:
    """What a token must say, and which of its claims name the user and the scopes.

    `prefix` leads every user of the issuer, so that none has the name of a key's user.
    """

    issuer: str
    audience: str
    user_claim: str = "sub"
    scope_claim: str = "scope"
    prefix: str = "oidc:"


@dataclass(frozen=True, kw_only=True)
class TokenCallers:
    """Says who comes with a token; nothing of the token is ever repeated or logged."""

    terms: TokenTerms
    keys: IssuerKeys
    clock: Clock

    def identify(self, token: str) -> Caller:
        """Check a token whole. Raises Unauthenticated, Unavailable."""
        claims = self._verified(token)
        expires_at = self._check_times(claims)
        subject = claims.get(self.terms.user_claim)
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            raise Unauthenticated(f"the token's {self.terms.user_claim} names no user")
        return Caller(
            user=UserId(f"{self.terms.prefix}{subject}"),
            scopes=_scopes(claims.get(self.terms.scope_claim)),
            expires_at=expires_at,
        )

    def _verified(self, token: str) -> Mapping[str, Any]:
        """Give the claims of a token that the issuer has signed for us."""
        try:
            header = jwt.get_unverified_header(token)
        except _UNREADABLE as error:
            raise Unauthenticated("the token is no JWT") from error
        key_id, algorithm = header.get("kid"), header.get("alg")
        key = self.keys.get(key_id if isinstance(key_id, str) else None)
        if not isinstance(algorithm, str) or algorithm not in key.algorithms:
            raise Unauthenticated("the token is not signed as the issuer's key signs")
        try:
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                issuer=self.terms.issuer,
                audience=self.terms.audience,
                # Times are looked at by our own clock, below.
                options={
                    "require": ["exp", "iss", "aud"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.InvalidAudienceError as error:
            raise Unauthenticated("the token is for another audience") from error
        except jwt.InvalidIssuerError as error:
            raise Unauthenticated("the token is of another issuer") from error
        except _UNREADABLE as error:
            raise Unauthenticated("the token's signature or claims do not hold") from error
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> datetime:
        """Give when the token is over. Raises Unauthenticated where it is, or is not yet."""
        now = self.clock.now()
        expires_at = _time(claims, "exp")
        if expires_at is None or expires_at + LEEWAY <= now:
            raise Unauthenticated("the token is over")
        for name in ("nbf", "iat"):
            begins_at = _time(claims, name)
            if begins_at is not None and begins_at - LEEWAY > now:
                raise Unauthenticated("the token does not count yet")
        return expires_at + LEEWAY


def _time(claims: Mapping[str, Any], name: str) -> datetime | None:
    """Read a NumericDate, which may be a fraction; None for a claim that is not there."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unauthenticated(f"the token's {name} is no time")
    if not 0 <= value < _LATEST.timestamp():
        raise Unauthenticated(f"the token's {name} is no time")
    return datetime.fromtimestamp(value, UTC)


def _scopes(value: object) -> frozenset[Scope]:
    """Read our scopes out of a list, or of words with spaces between them; others are not ours."""
    words = value.split() if isinstance(value, str) else value if isinstance(value, list) else ()
    return frozenset(scope for scope in Scope if scope in words)
