"""Who is calling: keys of the settings, keys that we made, tokens of an issuer, or nobody."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs.caller import Caller
from jobs.errors import Unauthenticated
from jobs.job import UserId
from jobs.keys import prefix_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.key_cache import KeyCallers
    from adapters.tokens import TokenCallers
    from jobs.ports import Clock

ANONYMOUS = UserId("local")
_DOTS = 2  # in a JWT


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
        found = self._users_of(token)
        if not found:
            raise Unauthenticated("nobody knows this key")
        return Caller(user=UserId(found[0]))

    def knows(self, token: str) -> bool:
        """Tell whether this is one of these keys."""
        return bool(self._users_of(token))

    def still_knows(self, caller: Caller) -> bool:  # noqa: ARG002 - the port's
        """Say yes: settings change with a restart, which ends what is open."""
        return True

    def _users_of(self, token: str) -> list[str]:
        sent = token.encode(errors="surrogatepass")
        return [user for key, user in self.users.items() if hmac.compare_digest(key.encode(), sent)]


@dataclass(frozen=True, kw_only=True)
class Authenticators:
    """jobs.ports.Authenticator over all that there is; the token's form says who is asked.

    First the settings' keys, which may have any form; then `lh_..._...` is a key of ours, and three
    parts with dots between them a token of the issuer, where one is named. Nobody is asked twice.
    """

    settings: SettingsAuthenticator
    keys: KeyCallers
    tokens: TokenCallers | None
    clock: Clock

    def identify(self, token: str | None) -> Caller:
        """Say who calls."""
        asked = None if token is None else self._who_knows(token)
        if token is None or asked is None or self.settings.knows(token):
            return self.settings.identify(token)
        return asked.identify(token)

    def still_knows(self, caller: Caller) -> bool:
        """Look at its end, and at its key once more."""
        if caller.expires_at is not None and caller.expires_at <= self.clock.now():
            return False
        return caller.key is None or self.keys.still_holds(caller.key)

    def _who_knows(self, token: str) -> KeyCallers | TokenCallers | None:
        if prefix_of(token) is not None:
            return self.keys
        return self.tokens if token.count(".") == _DOTS else None
