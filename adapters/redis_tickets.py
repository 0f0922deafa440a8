"""Tickets in Redis, by their hash: who reads Redis cannot use them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from jobs.caller import Caller, Scope
from jobs.errors import Unavailable
from jobs.job import UserId
from jobs.tickets import LIFETIME
from jobs.times import read_time, written_time

if TYPE_CHECKING:
    from jobs.tickets import Ticket


@dataclass(frozen=True, slots=True)
class RedisTickets:
    """jobs.tickets.Tickets."""

    client: redis.Redis

    def give(self, ticket: Ticket, caller: Caller) -> None:
        """Keep a ticket for its lifetime."""
        try:
            self.client.set(_key(ticket), _write(caller), ex=LIFETIME)
        except redis.RedisError as error:
            raise _away(error) from error

    def take(self, ticket: Ticket) -> Caller | None:
        """Use a ticket up."""
        try:
            written = self.client.getdel(_key(ticket))
        except redis.RedisError as error:
            raise _away(error) from error
        return _read(written) if isinstance(written, bytes) else None


def _key(ticket: Ticket) -> str:
    return f"longhaul:ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"


def _write(caller: Caller) -> str:
    expires_at = None if caller.expires_at is None else written_time(caller.expires_at)
    return json.dumps(
        {
            "user": caller.user,
            "scopes": sorted(caller.scopes),
            "expires_at": expires_at,
            "key": caller.key,
        }
    )


def _read(written: bytes) -> Caller:
    fields = json.loads(written)
    scopes = frozenset(Scope(scope) for scope in fields["scopes"])
    until = fields.get("expires_at")  # an older process of ours gives tickets without
    return Caller(
        user=UserId(fields["user"]),
        scopes=scopes,
        expires_at=read_time(until) if until else None,
        key=fields.get("key"),
    )


def _away(error: redis.RedisError) -> Unavailable:
    return Unavailable("events", f"Redis does not answer ({type(error).__name__})")
