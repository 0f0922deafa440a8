"""The caller: which user is calling, and what they may do here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from jobs.errors import Forbidden

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.job import UserId


class Scope(StrEnum):
    """A right of a credential; the words stand in keys, JWTs and problems alike."""

    WRITE = "jobs:write"
    READ = "jobs:read"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who is calling, by their credential; never by what they send.

    A scope never opens another user's jobs: whoever may do everything may do it with their own.
    `expires_at` is when the credential is over, and `key` the prefix of the key that it is, by
    which jobs.ports.Authenticator can look again.
    """

    user: UserId
    scopes: frozenset[Scope] = ALL_SCOPES
    expires_at: datetime | None = None
    key: str | None = None

    def may(self, scope: Scope) -> bool:
        """Tell whether the credential has this right; `admin` has all."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def check(self, scope: Scope) -> None:
        """Go on only with this right. Raises Forbidden."""
        if not self.may(scope):
            raise Forbidden(f"this credential has no scope {scope}", scope=scope)
