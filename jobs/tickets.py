"""Tickets: a caller's right to open one WebSocket, for browsers, which cannot set its headers."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NewType, Protocol

if TYPE_CHECKING:
    from jobs.caller import Caller

Ticket = NewType("Ticket", str)

LIFETIME = timedelta(seconds=60)
ENTROPY_BYTES = 24


class Tickets(Protocol):
    """Tickets that were given and not used yet; shared by all web processes."""

    def give(self, ticket: Ticket, caller: Caller) -> None:
        """Keep a ticket for LIFETIME. Raises Unavailable."""

    def take(self, ticket: Ticket) -> Caller | None:
        """Use a ticket up, and say whose it is; None for one that is used, over or nobody's.

        Of those who race with one ticket, one is named. Raises Unavailable.
        """
