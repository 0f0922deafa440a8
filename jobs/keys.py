"""Keys: credentials that we make ourselves. Of each we keep what recognises it, never itself.

A key is `lh_<prefix>_<secret>`. The prefix finds it, in the store, in a list and in a leaked file;
the secret is 160 random bits. Such a secret cannot be guessed from its hash however fast the hash
is, so one salted SHA-256 is enough; bcrypt and its like are for words that people think up, and
would cost each request a tenth of a second.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, NewType, Protocol

from jobs.caller import Caller, Scope
from jobs.errors import InvalidRequest
from jobs.job import UserId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

KeyPrefix = NewType("KeyPrefix", str)

ENTROPY_BYTES = 5 + 20 + 16  # prefix, secret, salt
KEPT_AFTER_END = timedelta(days=90)  # a key that is over can still be found that long
LONGEST_LABEL = 100
_PREFIX_BYTES, _SECRET_BYTES = 5, 20
_KEY = re.compile(r"(lh_[a-z2-7]{8})_[a-z2-7]{32}")
_PREFIX = re.compile(r"lh_[a-z2-7]{8}")
_USER = re.compile(r"[A-Za-z0-9._@:|+=-]{1,160}")
_LAST = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiKey:
    """What is kept of a key; `last_four` are its last letters, for people who look for it."""

    prefix: KeyPrefix
    user: UserId
    scopes: frozenset[Scope]
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)
    last_four: str
    label: str
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_of(self, token: str) -> bool:
        """Tell in constant time whether this is what is kept of `token`."""
        return hmac.compare_digest(_digest(token, self.salt), self.digest)

    def is_valid(self, now: datetime) -> bool:
        """Whether it is neither revoked nor over."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    @property
    def ended_at(self) -> datetime | None:
        """When it was revoked, or else when it is over; None for one that stays."""
        return self.revoked_at or self.expires_at

    @property
    def caller(self) -> Caller:
        """Say who comes with it."""
        return Caller(
            user=self.user, scopes=self.scopes, expires_at=self.expires_at, key=self.prefix
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class NewKey:
    """A key that was just made; `token` is told once and to be forgotten then."""

    token: str = field(repr=False)
    key: ApiKey


class ApiKeys(Protocol):
    """The keys that were made. Every method may raise Unavailable or Misconfigured."""

    def add(self, key: ApiKey) -> None:
        """Keep a new key; it is known to every process from then on."""

    def get(self, prefix: KeyPrefix) -> ApiKey | None:
        """Give the key of this prefix as it is now, valid or not; None where there is none."""

    def find(self, user: UserId | None) -> Sequence[ApiKey]:
        """Give all keys, or one user's, the newest first."""

    def revoke(self, prefix: KeyPrefix, at: datetime) -> ApiKey | None:
        """End a key for good and give it; one that was revoked stays as it is; None for none."""


def make_key(  # noqa: PLR0913 - what is said of a key, read by name
    *,
    user: str,
    scopes: frozenset[Scope],
    label: str,
    lifetime: timedelta | None,
    entropy: bytes,
    now: datetime,
) -> NewKey:
    """Make a key out of ENTROPY_BYTES of chance. Raises InvalidRequest."""
    if not _USER.fullmatch(user):
        raise InvalidRequest("a user is 1 to 160 letters, digits and . _ @ : | + = -")
    if not scopes:
        raise InvalidRequest("a key without a scope opens nothing")
    if len(label) > LONGEST_LABEL or not label.isprintable():
        raise InvalidRequest(f"a label is {LONGEST_LABEL} printable characters at most")
    name, rest = entropy[:_PREFIX_BYTES], entropy[_PREFIX_BYTES:]
    secret, salt = rest[:_SECRET_BYTES], rest[_SECRET_BYTES:]
    prefix = KeyPrefix(f"lh_{_letters(name)}")
    token = f"{prefix}_{_letters(secret)}"
    key = ApiKey(
        prefix=prefix,
        user=UserId(user),
        scopes=scopes,
        salt=salt,
        digest=_digest(token, salt),
        last_four=token[-_LAST:],
        label=label,
        created_at=now,
        expires_at=None if lifetime is None else now + lifetime,
    )
    return NewKey(token=token, key=key)


def prefix_of(token: str) -> KeyPrefix | None:
    """Give the prefix of what may be a key; None for what cannot be one."""
    found = _KEY.fullmatch(token)
    return None if found is None else KeyPrefix(found[1])


def parse_prefix(text: str) -> KeyPrefix | None:
    """Read a prefix, or that of a whole key; None for what is neither."""
    return KeyPrefix(text) if _PREFIX.fullmatch(text) else prefix_of(text)


def _letters(data: bytes) -> str:
    return base64.b32encode(data).decode().lower()


def _digest(token: str, salt: bytes) -> bytes:
    return hashlib.sha256(salt + token.encode(errors="surrogatepass")).digest()
