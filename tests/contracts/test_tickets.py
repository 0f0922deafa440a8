"""jobs.tickets.Tickets, in memory and on Redis: each promise of their docstrings."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import redis

from adapters.memory import ManualClock, MemoryTickets
from adapters.redis_events import connect_redis
from adapters.redis_tickets import RedisTickets
from jobs.caller import Caller, Scope
from jobs.errors import Unavailable
from jobs.job import UserId
from jobs.tickets import LIFETIME, Ticket, Tickets
from tests.stack import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack import LocalStack

ADA = Caller(user=UserId("ada@example.com"), scopes=frozenset({Scope.READ}))


@pytest.fixture(params=["memory", "redis"])
def tickets(request: pytest.FixtureRequest) -> Iterator[Tickets]:
    if request.param == "memory":
        yield MemoryTickets(ManualClock())
        return
    stand_ins: LocalStack = request.getfixturevalue("stand_ins")
    with connect_redis(stand_ins.redis_url, connections=20) as client:
        yield RedisTickets(client)


def a_ticket() -> Ticket:
    return Ticket(secrets.token_urlsafe())


def test_a_ticket_names_its_caller_once(tickets: Tickets) -> None:
    ticket = a_ticket()
    tickets.give(ticket, ADA)

    assert [tickets.take(ticket), tickets.take(ticket)] == [ADA, None]


@pytest.mark.parametrize("ticket", ["", "x", "☃", "longhaul:ticket:", "a" * 10_000])
def test_a_ticket_that_nobody_gave_names_nobody(tickets: Tickets, ticket: str) -> None:
    assert tickets.take(Ticket(ticket)) is None


def test_of_those_who_race_with_a_ticket_one_is_named(tickets: Tickets) -> None:
    ticket = a_ticket()
    tickets.give(ticket, ADA)

    with ThreadPoolExecutor(16) as pool:
        named = list(pool.map(lambda _: tickets.take(ticket), range(16)))

    assert named.count(ADA) == 1
    assert named.count(None) == 15


def test_a_ticket_is_over_after_its_lifetime(stand_ins: LocalStack) -> None:
    clock = ManualClock()
    in_memory, ticket = MemoryTickets(clock), a_ticket()
    in_memory.give(ticket, ADA)
    clock.advance(LIFETIME)
    assert in_memory.take(ticket) is None

    with redis.Redis.from_url(stand_ins.redis_url) as client:
        before = set(client.keys("longhaul:ticket:*"))
        RedisTickets(client).give(ticket, ADA)
        [key] = set(client.keys("longhaul:ticket:*")) - before
        assert 0 < client.ttl(key) <= LIFETIME.total_seconds()
        assert ticket.encode() not in key


def test_without_redis_tickets_are_unavailable(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    with connect_redis(server.url, connections=1) as client:
        tickets = RedisTickets(client)
        with pytest.raises(Unavailable):
            tickets.give(a_ticket(), ADA)
        with pytest.raises(Unavailable):
            tickets.take(a_ticket())
