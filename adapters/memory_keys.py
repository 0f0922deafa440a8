"""API keys in memory; they pass the contract suite of the real ones."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from jobs.errors import Misconfigured

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.job import UserId
    from jobs.keys import ApiKey, KeyPrefix


class MemoryApiKeys:
    """jobs.keys.ApiKeys in a dict, under one lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[KeyPrefix, ApiKey] = {}

    def add(self, key: ApiKey) -> None:
        """Keep a new key."""
        with self._lock:
            if key.prefix in self._keys:
                raise Misconfigured(f"there is a key {key.prefix} already")
            self._keys[key.prefix] = key

    def get(self, prefix: KeyPrefix) -> ApiKey | None:
        """Give a key."""
        with self._lock:
            return self._keys.get(prefix)

    def find(self, user: UserId | None) -> list[ApiKey]:
        """Give keys, the newest first."""
        with self._lock:
            found = [key for key in self._keys.values() if user in {None, key.user}]
        return sorted(found, key=lambda key: (key.created_at, key.prefix), reverse=True)

    def revoke(self, prefix: KeyPrefix, at: datetime) -> ApiKey | None:
        """End a key."""
        with self._lock:
            key = self._keys.get(prefix)
            if key is not None and key.revoked_at is None:
                key = self._keys[prefix] = replace(key, revoked_at=at)
            return key
