"""jobs.keys.ApiKeys, in memory and on DynamoDB: each promise of its docstrings."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from adapters.dynamodb_keys import DynamoDBApiKeys
from adapters.memory_keys import MemoryApiKeys
from adapters.schema import keys_table, keys_table_name
from jobs.caller import Scope
from jobs.errors import Misconfigured
from jobs.job import UserId
from jobs.keys import ENTROPY_BYTES, KEPT_AFTER_END, ApiKey, KeyPrefix, make_key
from tests.contracts.stories import START, after

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobs.keys import ApiKeys
    from tests.stack import Clients

JOBS = "Contract_ApiKeys"


@pytest.fixture(params=["memory", "dynamodb"])
def keys(request: pytest.FixtureRequest) -> Iterator[ApiKeys]:
    if request.param == "memory":
        yield MemoryApiKeys()
        return
    clients: Clients = request.getfixturevalue("clients")
    clients.dynamodb.create_table(**keys_table(JOBS))
    yield DynamoDBApiKeys(client=clients.dynamodb, jobs=JOBS)
    clients.dynamodb.delete_table(TableName=keys_table_name(JOBS))


def a_key(number: int = 0, *, user: str = "ada", lifetime: timedelta | None = None) -> ApiKey:
    """Make a key, `number` seconds after the start."""
    return make_key(
        user=user,
        scopes=frozenset({Scope.READ, Scope.WRITE}),
        label="☕ for CI",
        lifetime=lifetime,
        entropy=os.urandom(ENTROPY_BYTES),
        now=after(number),
    ).key


@pytest.mark.parametrize("lifetime", [None, timedelta(days=90)])
def test_a_key_comes_back_as_it_was_added(keys: ApiKeys, lifetime: timedelta | None) -> None:
    key = a_key(lifetime=lifetime)

    keys.add(key)

    assert keys.get(key.prefix) == key


def test_a_prefix_that_nobody_has_is_none(keys: ApiKeys) -> None:
    assert keys.get(KeyPrefix("lh_aaaaaaaa")) is None
    assert keys.revoke(KeyPrefix("lh_aaaaaaaa"), START) is None
    assert keys.get(KeyPrefix("lh_aaaaaaaa")) is None


def test_a_key_replaces_no_other_of_its_prefix(keys: ApiKeys) -> None:
    key = a_key()
    keys.add(key)

    with pytest.raises(Misconfigured):
        keys.add(replace(a_key(user="bob"), prefix=key.prefix))

    assert keys.get(key.prefix) == key


def test_keys_are_found_by_user_the_newest_first(keys: ApiKeys) -> None:
    made = [a_key(1), a_key(3), a_key(2, user="bob")]
    for key in made:
        keys.add(key)

    assert list(keys.find(UserId("ada"))) == [made[1], made[0]]
    assert list(keys.find(None)) == [made[1], made[2], made[0]]
    assert list(keys.find(UserId("eve"))) == []


def test_a_revoked_key_stays_revoked_since_the_first_time(keys: ApiKeys) -> None:
    key = a_key()
    keys.add(key)

    revoked = keys.revoke(key.prefix, after(5))
    again = keys.revoke(key.prefix, after(9))

    assert revoked == again == keys.get(key.prefix) == replace(key, revoked_at=after(5))
    assert not again.is_valid(after(10))


def test_on_dynamodb_only_what_opens_nothing_any_more_expires(clients: Clients) -> None:
    clients.dynamodb.create_table(**keys_table("Contract_KeysExpire"))
    keys = DynamoDBApiKeys(client=clients.dynamodb, jobs="Contract_KeysExpire")
    for_ever, revoked, timed = a_key(), a_key(), a_key(lifetime=timedelta(days=1))
    for key in (for_ever, revoked, timed):
        keys.add(key)
    keys.revoke(revoked.prefix, after(60))

    items = clients.dynamodb.scan(TableName="Contract_KeysExpire_Keys")["Items"]

    expiring = {
        item["KeyPrefix"]["S"]: int(item["ExpiresAt"]["N"])
        for item in items[:]
        if "ExpiresAt" in item
    }
    assert expiring == {
        revoked.prefix: int((after(60) + KEPT_AFTER_END).timestamp()),
        timed.prefix: int((START + timedelta(days=1) + KEPT_AFTER_END).timestamp()),
    }


def test_on_dynamodb_no_item_has_the_key_itself(clients: Clients) -> None:
    clients.dynamodb.create_table(**keys_table("Contract_KeysSecret"))
    made = make_key(
        user="ada",
        scopes=frozenset({Scope.READ}),
        label="",
        lifetime=None,
        entropy=os.urandom(ENTROPY_BYTES),
        now=START,
    )

    DynamoDBApiKeys(client=clients.dynamodb, jobs="Contract_KeysSecret").add(made.key)

    [item] = clients.dynamodb.scan(TableName="Contract_KeysSecret_Keys")["Items"]
    assert made.token.removeprefix(f"{made.key.prefix}_") not in repr(item)


def test_on_dynamodb_a_table_that_is_missing_is_misconfigured(clients: Clients) -> None:
    with pytest.raises(Misconfigured):
        DynamoDBApiKeys(client=clients.dynamodb, jobs="Missing").get(KeyPrefix("lh_aaaaaaaa"))
