"""Tickets in Redis, by their hash: who reads Redis cannot use them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis

from jobs.errors import Unavailable
from jobs.job import UserId
from jobs.tickets import LIFETIME

if TYPE_CHECKING:
    from jobs.tickets import Ticket


@dataclass(frozen=True, slots=True)
class RedisTickets:
    """jobs.tickets.Tickets."""

    client: redis.Redis

    def give(self, ticket: Ticket, user: UserId) -> None:
        """Keep a ticket for its lifetime."""
        try:
            self.client.set(_key(ticket), user, ex=LIFETIME)
        except redis.RedisError as error:
            raise _away(error) from error

    def take(self, ticket: Ticket) -> UserId | None:
        """Use a ticket up."""
        try:
            user = self.client.getdel(_key(ticket))
        except redis.RedisError as error:
            raise _away(error) from error
        return UserId(user.decode()) if isinstance(user, bytes) else None


def _key(ticket: Ticket) -> str:
    return f"longhaul:ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"


def _away(error: redis.RedisError) -> Unavailable:
    return Unavailable("events", f"Redis does not answer ({type(error).__name__})")
