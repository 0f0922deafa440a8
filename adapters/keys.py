"""Who is calling: the keys that the settings name, and the anonymous user where that is allowed."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs.caller import Caller
from jobs.errors import Unauthenticated
from jobs.job import UserId

if TYPE_CHECKING:
    from collections.abc import Mapping

ANONYMOUS = UserId("local")


@dataclass(frozen=True, kw_only=True)
class SettingsAuthenticator:
    """jobs.ports.Authenticator over `LONGHAUL_API_KEYS` (user by key)."""

    users: Mapping[str, str] = field(repr=False)
    allow_anonymous: bool

    def identify(self, token: str | None) -> Caller:
        """Say who calls; every key is compared in constant time. These keys may do everything."""
        if token is None:
            if self.allow_anonymous:
                return Caller(user=ANONYMOUS)
            raise Unauthenticated("send `Authorization: Bearer <key>`")
        sent = token.encode(errors="surrogatepass")
        found = [
            user for key, user in self.users.items() if hmac.compare_digest(key.encode(), sent)
        ]
        if not found:
            raise Unauthenticated("nobody knows this key")
        return Caller(user=UserId(found[0]))
