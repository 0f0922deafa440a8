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
    return json.dumps({"user": caller.user, "scopes": sorted(caller.scopes)})


def _read(written: bytes) -> Caller:
    fields = json.loads(written)
    scopes = frozenset(Scope(scope) for scope in fields["scopes"])
    return Caller(user=UserId(fields["user"]), scopes=scopes)


def _away(error: redis.RedisError) -> Unavailable:
    return Unavailable("events", f"Redis does not answer ({type(error).__name__})")
