import os
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.caller import Caller, Scope
from jobs.errors import InvalidRequest
from jobs.job import UserId
from jobs.keys import ENTROPY_BYTES, NewKey, make_key, parse_prefix, prefix_of
from tests.builders import NOW

DAY = timedelta(days=1)


def a_new_key(
    *,
    user: str = "ada",
    scopes: frozenset[Scope] = frozenset({Scope.READ}),
    label: str = "",
    lifetime: timedelta | None = None,
    entropy: bytes | None = None,
) -> NewKey:
    return make_key(
        user=user,
        scopes=scopes,
        label=label,
        lifetime=lifetime,
        entropy=entropy or os.urandom(ENTROPY_BYTES),
        now=NOW,
    )


def test_a_key_is_found_by_its_prefix_and_known_by_its_secret() -> None:
    made, other = a_new_key(), a_new_key()

    assert prefix_of(made.token) == made.key.prefix
    assert made.key.is_of(made.token)
    assert not made.key.is_of(other.token)
    assert not made.key.is_of(made.token[:-1] + ("a" if made.token[-1] != "a" else "b"))
    assert made.token.endswith(made.key.last_four)


def test_equal_secrets_have_other_hashes_under_another_salt() -> None:
    one = a_new_key(entropy=bytes(ENTROPY_BYTES))
    two = a_new_key(entropy=bytes(25) + b"\x01" * 16)

    assert one.token == two.token
    assert one.key.digest != two.key.digest


def test_neither_secret_nor_hash_shows_in_a_traceback_or_a_log() -> None:
    made = a_new_key()

    assert made.token not in repr(made)
    assert made.key.digest.hex() not in repr(made)
    assert repr(made.key.digest) not in repr(made)


def test_a_key_says_who_comes_with_it() -> None:
    key = a_new_key(user="ada@example.com", lifetime=DAY).key

    assert key.caller == Caller(
        user=UserId("ada@example.com"),
        scopes=frozenset({Scope.READ}),
        expires_at=NOW + DAY,
        key=key.prefix,
    )


def test_a_key_is_over_at_its_end() -> None:
    key = a_new_key(lifetime=DAY).key

    assert key.is_valid(NOW + DAY - timedelta(milliseconds=1))
    assert not key.is_valid(NOW + DAY)
    assert a_new_key().key.is_valid(NOW + 10_000 * DAY)


@pytest.mark.parametrize("user", ["", "a b", "a\n", "ü", "x" * 161, "a/b"])
def test_a_user_that_fits_nowhere_is_refused(user: str) -> None:
    with pytest.raises(InvalidRequest, match="user"):
        a_new_key(user=user)


def test_a_key_for_nothing_and_a_label_that_cannot_be_shown_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="scope"):
        a_new_key(scopes=frozenset())
    for label in ("x" * 101, "a\x1b[2J"):
        with pytest.raises(InvalidRequest, match="label"):
            a_new_key(label=label)


@given(token=st.text())
def test_what_has_not_a_keys_form_has_no_prefix(token: str) -> None:
    assert prefix_of(token) is None
    assert parse_prefix(token) is None


def test_a_prefix_is_read_from_a_whole_key_too() -> None:
    made = a_new_key()

    assert parse_prefix(made.token) == parse_prefix(made.key.prefix) == made.key.prefix
    assert prefix_of(f"{made.token}\n") is None
    assert prefix_of(made.key.prefix) is None
