"""Callers with keys: what is read when, and what holds while the store is away."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters import key_cache
from adapters.key_cache import FRESH, FRESH_NOTHING, STALE, KeyCallers
from adapters.keys import Authenticators, SettingsAuthenticator
from adapters.memory import ManualClock
from adapters.memory_keys import MemoryApiKeys
from jobs.errors import Unauthenticated, Unavailable
from jobs.outage import Outage
from tests.builders import RecordingLog
from tests.unit.test_jobs_keys import a_new_key

if TYPE_CHECKING:
    from jobs.keys import ApiKey, KeyPrefix, NewKey


class ShakyKeys(MemoryApiKeys):
    """jobs.keys.ApiKeys that counts how often it is read, and can be away."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.is_away = False

    def get(self, prefix: KeyPrefix) -> ApiKey | None:
        self.reads += 1
        if self.is_away:
            raise Unavailable("store", "away (test)")
        return super().get(prefix)


@dataclass
class Door:
    """A process's callers, with a clock and a store that the test owns."""

    keys: ShakyKeys = field(default_factory=ShakyKeys)
    clock: ManualClock = field(default_factory=ManualClock)
    log: RecordingLog = field(default_factory=RecordingLog)

    def __post_init__(self) -> None:
        outage = Outage("keys", clock=self.clock, log=self.log)
        self.callers = KeyCallers(self.keys, clock=self.clock, outage=outage)

    def make(self, lifetime: timedelta | None = None) -> NewKey:
        made = a_new_key(lifetime=lifetime)
        self.keys.add(made.key)
        return made


@pytest.fixture
def door() -> Door:
    return Door()


def test_a_key_is_read_once_while_it_is_fresh(door: Door) -> None:
    made = door.make()

    assert [door.callers.identify(made.token).user for _ in range(3)] == ["ada"] * 3
    assert door.keys.reads == 1
    door.clock.advance(FRESH)
    door.callers.identify(made.token)
    assert door.keys.reads == 2


def test_a_revoked_key_opens_nothing_once_what_was_read_is_no_longer_fresh(door: Door) -> None:
    made = door.make()
    door.callers.identify(made.token)
    assert door.callers.still_holds(made.key.prefix)
    door.keys.revoke(made.key.prefix, door.clock.now())
    door.clock.advance(FRESH)

    with pytest.raises(Unauthenticated):
        door.callers.identify(made.token)
    assert not door.callers.still_holds(made.key.prefix)


def test_a_key_is_over_at_its_end_whatever_is_fresh(door: Door) -> None:
    made = door.make(lifetime=timedelta(seconds=1))
    door.callers.identify(made.token)
    door.clock.advance(timedelta(seconds=1))

    with pytest.raises(Unauthenticated):
        door.callers.identify(made.token)


def test_a_secret_that_is_not_the_keys_is_refused_without_a_read(door: Door) -> None:
    made = door.make()
    door.callers.identify(made.token)

    with pytest.raises(Unauthenticated) as refused:
        door.callers.identify(f"{made.key.prefix}_{'a' * 32}")
    assert door.keys.reads == 1
    assert "aaaa" not in str(refused.value)


def test_what_nobody_has_is_asked_for_once_in_a_while_and_known_soon_after_it_is_made(
    door: Door,
) -> None:
    made = a_new_key()
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            door.callers.identify(made.token)
    assert door.keys.reads == 1

    door.keys.add(made.key)
    door.clock.advance(FRESH_NOTHING)

    assert door.callers.identify(made.token).user == "ada"


def test_while_the_store_is_away_known_keys_go_on_and_unknown_ones_are_not_refused(
    door: Door,
) -> None:
    known, unknown = door.make(), door.make()
    door.callers.identify(known.token)
    door.keys.is_away = True
    door.clock.advance(FRESH)

    for _ in range(3):
        assert door.callers.identify(known.token).user == "ada"
        with pytest.raises(Unavailable):
            door.callers.identify(unknown.token)
    assert door.keys.reads == 2  # the outage is asked about sparingly
    assert [line.event for line in door.log.lines] == ["part_away"]

    door.clock.advance(STALE)
    with pytest.raises(Unavailable):
        door.callers.identify(known.token)
    assert door.callers.still_holds(known.key.prefix)  # what is open goes on

    door.keys.is_away = False
    door.clock.advance(timedelta(seconds=2))
    door.callers.identify(unknown.token)
    assert [line.event for line in door.log.lines] == ["part_away", "part_back"]


def test_made_up_prefixes_drive_no_real_key_out(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_cache, "MOST_KEPT", 3)
    made = door.make()
    door.callers.identify(made.token)
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            door.callers.identify(a_new_key().token)
    reads = door.keys.reads

    door.callers.identify(made.token)

    assert door.keys.reads == reads
    assert len(door.callers._unknown) == 3  # noqa: SLF001 - that it is bounded is the promise


def test_the_form_of_a_token_says_who_is_asked(door: Door) -> None:
    made = door.make()
    odd = "lh_aaaaaaaa_" + "a" * 32
    settings = SettingsAuthenticator(users={odd: "bob"}, allow_anonymous=True)
    all_of_them = Authenticators(
        settings=settings, keys=door.callers, tokens=None, clock=door.clock
    )

    assert all_of_them.identify(made.token).user == "ada"
    assert all_of_them.identify(odd).user == "bob"
    assert all_of_them.identify(None).user == "local"
    for token in ("a.b.c", "x", a_new_key().token):
        with pytest.raises(Unauthenticated):
            all_of_them.identify(token)


def test_what_is_open_holds_until_its_credential_is_over(door: Door) -> None:
    made = door.make(lifetime=timedelta(hours=1))
    settings = SettingsAuthenticator(users={}, allow_anonymous=True)
    all_of_them = Authenticators(
        settings=settings, keys=door.callers, tokens=None, clock=door.clock
    )
    caller = all_of_them.identify(made.token)

    assert all_of_them.still_knows(caller)
    assert all_of_them.still_knows(all_of_them.identify(None))
    door.clock.advance(timedelta(hours=1))
    assert not all_of_them.still_knows(caller)
