import os
import socket
from datetime import UTC, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.clock import SystemChance, SystemClock
from adapters.keys import ANONYMOUS, SettingsAuthenticator
from adapters.process import process_name
from jobs.caller import Caller
from jobs.errors import Unauthenticated
from jobs.job import UserId
from jobs.times import read_time, written_time

KEY = "0123456789abcdef"
ADA = Caller(user=UserId("ada"))
KEYS = SettingsAuthenticator(users={KEY: "ada", "clé-of-sixteen-ch": "bob"}, allow_anonymous=False)
OPEN = SettingsAuthenticator(users={KEY: "ada"}, allow_anonymous=True)


def test_a_key_names_its_user() -> None:
    assert KEYS.identify(KEY) == ADA
    assert KEYS.identify("clé-of-sixteen-ch") == Caller(user=UserId("bob"))
    assert OPEN.identify(KEY) == ADA


def test_whoever_sends_nothing_is_refused() -> None:
    with pytest.raises(Unauthenticated):
        KEYS.identify(None)


def test_whoever_sends_nothing_is_anonymous_where_that_is_allowed() -> None:
    assert OPEN.identify(None) == Caller(user=ANONYMOUS)


@pytest.mark.parametrize("token", ["", KEY[:-1], KEY + "0", KEY.upper(), " " + KEY, "ada"])
def test_a_wrong_key_is_refused_even_where_anonymous_is_allowed(token: str) -> None:
    with pytest.raises(Unauthenticated):
        OPEN.identify(token)


@settings(deadline=None)
@given(token=st.text() | st.text(st.characters(categories=["Cs"]), min_size=1))
def test_no_token_whatsoever_raises_anything_else(token: str) -> None:
    if token == KEY:
        return
    with pytest.raises(Unauthenticated):
        OPEN.identify(token)


def test_keys_do_not_show_in_a_traceback_or_a_log() -> None:
    assert KEY not in repr(KEYS)


def test_a_refusal_does_not_repeat_the_key() -> None:
    with pytest.raises(Unauthenticated) as raised:
        KEYS.identify("a-mistyped-secret")

    assert "a-mistyped-secret" not in str(raised.value)


def test_a_process_is_named_by_role_machine_and_number() -> None:
    assert process_name("worker") == f"worker@{socket.gethostname()}:{os.getpid()}"


def test_the_clock_gives_utc_to_the_millisecond() -> None:
    now = SystemClock().now()

    assert now.tzinfo is UTC
    assert read_time(written_time(now)) == now


def test_the_clock_does_not_wait_for_less_than_nothing() -> None:
    SystemClock().sleep(timedelta(seconds=-1))


def test_chance_gives_bytes_that_no_earlier_call_gave() -> None:
    chance = SystemChance()

    assert len({chance.entropy(16) for _ in range(100)}) == 100
    assert {len(chance.entropy(10)) for _ in range(10)} == {10}


def test_jitter_stays_below_one() -> None:
    assert all(0 <= SystemChance().jitter() < 1 for _ in range(1000))
