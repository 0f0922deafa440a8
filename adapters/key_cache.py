"""The callers with keys of ours: each key is read from its store twice a minute at most.

What was read counts for FRESH, so a revoked key opens nothing after that. While the store is away,
keys that were read in the last STALE go on, and others are Unavailable: nobody is told that a key
is unknown by someone who could not look.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.errors import LonghaulError, Unauthenticated, Unavailable
from jobs.keys import KeyPrefix, prefix_of

if TYPE_CHECKING:
    from jobs.caller import Caller
    from jobs.keys import ApiKey, ApiKeys
    from jobs.outage import Outage
    from jobs.ports import Clock

FRESH = timedelta(seconds=30)
FRESH_NOTHING = timedelta(seconds=5)  # for a prefix without a key: one may be made any moment
STALE = timedelta(minutes=15)
MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class _Read:
    """What the store said of a prefix, and when by the steady clock."""

    key: ApiKey | None
    at: timedelta


class KeyCallers:
    """Says who comes with a key; its cache is shared by the process's threads."""

    def __init__(self, keys: ApiKeys, *, clock: Clock, outage: Outage) -> None:
        self._keys = keys
        self._clock = clock
        self._outage = outage
        self._lock = threading.Lock()
        # Apart, so that whoever makes prefixes up drives no real key out.
        self._known: OrderedDict[KeyPrefix, _Read] = OrderedDict()
        self._unknown: OrderedDict[KeyPrefix, _Read] = OrderedDict()

    def identify(self, token: str) -> Caller:
        """Say whose key this is. Raises Unauthenticated, Unavailable."""
        prefix = prefix_of(token)
        key = None if prefix is None else self._find(prefix)
        if key is None or not key.is_of(token):
            raise Unauthenticated("nobody knows this key")
        if not key.is_valid(self._clock.now()):
            raise Unauthenticated("this key is revoked or over")
        return key.caller

    def still_holds(self, prefix: str) -> bool:
        """Tell whether the key of this prefix still opens anything."""
        try:
            key = self._find(KeyPrefix(prefix))
        except LonghaulError:
            return True
        return key is not None and key.is_valid(self._clock.now())

    def _find(self, prefix: KeyPrefix) -> ApiKey | None:
        now = self._clock.elapsed()
        with self._lock:
            read = self._known.get(prefix) or self._unknown.get(prefix)
        if read is not None and now - read.at < (FRESH if read.key else FRESH_NOTHING):
            return read.key
        try:
            return self._read(prefix, now)
        except LonghaulError:  # away, or a right to the table is gone
            if read is not None and read.key is not None and now - read.at < STALE:
                return read.key
            raise

    def _read(self, prefix: KeyPrefix, now: timedelta) -> ApiKey | None:
        if self._outage.is_on():  # each try would take seconds
            raise Unavailable("store", "the keys could not be read a moment ago")
        with self._outage.watched():
            key = self._keys.get(prefix)
        with self._lock:
            self._known.pop(prefix, None)
            self._unknown.pop(prefix, None)
            kept = self._unknown if key is None else self._known
            kept[prefix] = _Read(key, now)
            if len(kept) > MOST_KEPT:
                kept.popitem(last=False)
        return key
