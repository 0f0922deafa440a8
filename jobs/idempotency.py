"""Idempotency: equal requests under one key make one job, however often they are sent."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType, Protocol, Self

if TYPE_CHECKING:
    from jobs.job import Job, JobId, UserId

KeyId = NewType("KeyId", str)

LONGEST_KEY = 255  # characters


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestKey:
    """A request's key within its user and route, and what tells its body from another's.

    Both are hashes, so that neither a table nor a log shows what a caller has put there.
    """

    id: KeyId
    fingerprint: str

    @classmethod
    def of(cls, *, user: UserId, route: str, key: str, body: object) -> Self:
        """Name a request by its caller's key; the body's spaces and order of members are free."""
        written = json.dumps(body, sort_keys=True, separators=(",", ":"))
        scope = json.dumps([user, route, key])
        return cls(id=KeyId(_digest(scope)), fingerprint=_digest(written))


class KeyedJobs(Protocol):
    """The jobs that were made under a key; a key holds as long as its job is there."""

    def find(self, key: RequestKey) -> JobId | None:
        """Give the job that this request has made, or None. Raises KeyReused for another body."""

    def add(self, job: Job, key: RequestKey) -> JobId:
        """Write a new job and its key, both or neither, and give the job's id.

        Of requests that race under one key one writes, and all are given its job. Raises KeyReused.
        """


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
