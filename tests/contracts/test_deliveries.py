"""jobs.delivery_ports.Deliveries and DueDeliveries, in memory and on DynamoDB."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

import pytest

from adapters.dynamodb_deliveries import DynamoDBDeliveries
from adapters.memory_deliveries import MemoryDeliveries
from adapters.schema import deliveries_table, deliveries_table_name
from jobs.delivery import HINT_GRACE, TRY_LEASE, Delivery, DeliveryId, DeliveryState, Try
from jobs.delivery_ports import ClaimedDelivery, Deliveries, DueDeliveries
from jobs.due import due_shard
from jobs.errors import DeliveryMoved, DeliveryNotFound, Misconfigured
from jobs.events import Event, EventType
from jobs.job import JobId, UserId
from jobs.receiver import DeliveryKind, Receiver
from jobs.times import written_time
from tests.contracts.stories import REFUSED, START, a_trace, after, new_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack import Clients

JOBS = "Contract_Announced"
MOMENT = timedelta(milliseconds=1)
CLAIMANTS = 8
URL = "https://receiver.example/hook?x=%20"
HOOK = Receiver(kind=DeliveryKind.WEBHOOK, address=URL)
RECEIVERS = (
    HOOK,
    Receiver(kind=DeliveryKind.APIGATEWAY, address="L0SM9cOFvHcCIhw="),
    Receiver(kind=DeliveryKind.EVENTBRIDGE),
    Receiver(kind=DeliveryKind.IOT),
)


class Table(Deliveries, DueDeliveries, Protocol):
    """Both views of the table."""


@pytest.fixture(params=["memory", "dynamodb"])
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    if request.param == "memory":
        yield MemoryDeliveries()
        return
    clients: Clients = request.getfixturevalue("clients")
    clients.dynamodb.create_table(**deliveries_table(JOBS))
    yield DynamoDBDeliveries(client=clients.dynamodb, jobs=JOBS, retention=timedelta(days=1))
    clients.dynamodb.delete_table(TableName=deliveries_table_name(JOBS))


def a_delivery(
    job_id: JobId | None = None, *, seq: int = 1_000_002, receiver: Receiver = HOOK
) -> Delivery:
    event = Event(
        job=job_id or new_id(),
        user=UserId("ann"),
        seq=seq,
        type=EventType.FAILED,
        at=START,
        trace=a_trace(),
        attempt=2,
        error=REFUSED,
    )
    return Delivery.of(event, receiver, now=START, by="feed@test:1")


def added(table: Table) -> Delivery:
    delivery = a_delivery()
    table.add(delivery)
    return delivery


def one_a_kind(table: Table, job_id: JobId) -> list[Delivery]:
    made = [a_delivery(job_id, receiver=receiver) for receiver in RECEIVERS]
    for delivery in made:
        table.add(delivery)
    return made


def claim(table: Table, delivery: Delivery, seconds: float = 0) -> ClaimedDelivery:
    claimed = table.claim(delivery.key, now=after(seconds), until=after(seconds) + TRY_LEASE)
    assert claimed is not None
    return claimed


def test_a_delivery_comes_back_as_it_was_added(table: Table) -> None:
    delivery = added(table)

    assert table.of_job(delivery.event.job) == [delivery]


def test_a_delivery_that_is_added_again_stays_as_it_is(table: Table) -> None:
    delivery = added(table)
    claimed = claim(table, delivery)

    table.add(delivery)

    assert table.of_job(delivery.event.job) == [claimed.delivery]


def test_a_jobs_deliveries_come_the_oldest_first_and_no_others(table: Table) -> None:
    job_id = new_id()
    later, sooner = (a_delivery(job_id, seq=seq) for seq in (10_000_001, 9_000_001))
    for delivery in (later, sooner, a_delivery()):
        table.add(delivery)

    assert table.of_job(job_id) == [sooner, later]
    assert table.of_job(new_id()) == []


def test_one_end_has_a_delivery_a_kind_and_each_comes_back_as_it_was_added(table: Table) -> None:
    made = one_a_kind(table, job_id := new_id())

    table.add(made[-1])

    assert table.of_job(job_id) == made
    assert {one.event_id for one in made} == {f"{job_id}.1000002"}


def test_each_kind_is_claimed_settled_and_replayed_by_itself(table: Table) -> None:
    hook, connection, bus, topic = one_a_kind(table, job_id := new_id())
    held = claim(table, bus)
    gone = claim(table, connection)
    disabled = replace(
        gone.delivery, state=DeliveryState.DISABLED, not_before=None, due_at=None, failures=1
    )

    table.settle(gone, disabled)
    again = table.replay(job_id, topic.id, after(5))

    assert table.of_job(job_id) == [hook, disabled, held.delivery, again]
    table.settle(held, held.delivery)  # nobody has fenced it out
    assert claim(table, hook).delivery.tries == 1


def test_each_kind_that_is_due_is_found_and_put_off_by_itself(table: Table) -> None:
    made = one_a_kind(table, new_id())
    found = table.find(START + HINT_GRACE, limit=10)
    until = START + 2 * HINT_GRACE

    assert table.put_off(found[0], until)

    left = [one.id for one in table.find(START + HINT_GRACE, limit=10)]
    assert sorted(left) == sorted({one.id for one in made} - {found[0].id})


def test_a_claim_counts_the_try_and_keeps_others_out_until_its_end(table: Table) -> None:
    delivery = added(table)

    claimed = claim(table, delivery)

    until = START + TRY_LEASE
    assert claimed.delivery == replace(delivery, tries=1, not_before=until, due_at=until)
    assert table.claim(delivery.key, now=until - MOMENT, until=until) is None
    assert claim(table, delivery, TRY_LEASE.total_seconds()).delivery.tries == 2


def test_a_delivery_cannot_be_claimed_before_its_time_or_where_there_is_none(table: Table) -> None:
    delivery = added(table)

    assert table.claim(delivery.key, now=START - MOMENT, until=after(60)) is None
    assert table.claim(a_delivery().key, now=START, until=after(60)) is None


def test_of_claimants_that_race_one_gets_it(table: Table) -> None:
    delivery = added(table)
    barrier = threading.Barrier(CLAIMANTS)

    def race(_: int) -> ClaimedDelivery | None:
        barrier.wait(timeout=30)
        return table.claim(delivery.key, now=START, until=after(60))

    with ThreadPoolExecutor(CLAIMANTS) as pool:
        won = [one for one in pool.map(race, range(CLAIMANTS)) if one is not None]

    assert len(won) == 1


@pytest.mark.parametrize(
    "state", [DeliveryState.DELIVERED, DeliveryState.DISABLED, DeliveryState.GIVEN_UP]
)
def test_what_is_settled_as_over_is_never_due_again(table: Table, state: DeliveryState) -> None:
    claimed = claim(table, added(table))
    noted = Try(number=1, at=START, took=timedelta(seconds=1.5), status=200, error=None, by="w@a:1")
    over = replace(claimed.delivery, state=state, not_before=None, due_at=None, log=(noted,))

    table.settle(claimed, over)

    assert table.of_job(over.event.job) == [over]
    assert table.claim(over.key, now=after(10**6), until=after(10**7)) is None
    assert table.find(after(10**7), limit=10) == []


def test_what_is_settled_as_due_can_be_claimed_at_its_time(table: Table) -> None:
    claimed = claim(table, added(table))
    noted = Try(number=1, at=START, took=timedelta(0), status=None, error="timeout")
    later = replace(
        claimed.delivery, failures=1, not_before=after(300), due_at=after(300), log=(noted,)
    )

    table.settle(claimed, later)

    assert table.claim(later.key, now=after(299.999), until=after(400)) is None
    assert table.find(after(299.999), limit=10) == []
    assert table.find(after(300), limit=10) == [later]
    assert claim(table, later, 300).delivery.log == (noted,)


def test_whoever_has_lost_a_claim_cannot_settle(table: Table) -> None:
    delivery = added(table)
    first = claim(table, delivery)
    second = claim(table, delivery, 60)

    with pytest.raises(DeliveryMoved):
        table.settle(first, replace(first.delivery, state=DeliveryState.DISABLED))

    assert table.of_job(delivery.event.job) == [second.delivery]


def test_a_replayed_delivery_is_due_at_once_and_fences_out_who_tries_it(table: Table) -> None:
    claimed = claim(table, added(table))

    replayed = table.replay(claimed.delivery.event.job, claimed.delivery.id, after(5))

    assert (replayed.state, replayed.failures) == (DeliveryState.DUE, 0)
    with pytest.raises(DeliveryMoved):
        table.settle(claimed, replace(claimed.delivery, state=DeliveryState.DISABLED))
    assert table.find(after(5), limit=10) == [replayed]
    assert claim(table, replayed, 5).delivery.tries == 2


def test_a_delivery_that_was_never_tried_or_is_over_can_be_replayed(table: Table) -> None:
    fresh = added(table)
    table.replay(fresh.event.job, fresh.id, START)
    claimed = claim(table, fresh)
    table.settle(
        claimed,
        replace(claimed.delivery, state=DeliveryState.GIVEN_UP, not_before=None, due_at=None),
    )

    table.replay(fresh.event.job, fresh.id, after(9))

    assert claim(table, fresh, 9).delivery.state is DeliveryState.DUE


def test_a_replay_of_what_is_not_there_says_so(table: Table) -> None:
    with pytest.raises(DeliveryNotFound):
        table.replay(new_id(), DeliveryId("job_1.7"), START)


def test_a_delivery_whose_task_was_lost_is_found_and_put_off_by_one(table: Table) -> None:
    delivery = added(table)
    assert table.find(START + HINT_GRACE - MOMENT, limit=10) == []
    [found] = table.find(START + HINT_GRACE, limit=10)

    until = START + 2 * HINT_GRACE
    assert [table.put_off(found, until), table.put_off(found, until)] == [True, False]

    assert table.find(until - MOMENT, limit=10) == []
    assert claim(table, delivery, 31).delivery.tries == 1  # put off for sweeps, not for tries


def test_no_more_than_the_limit_is_found(table: Table) -> None:
    for _ in range(7):
        added(table)

    assert len(table.find(START + HINT_GRACE, limit=3)) == 3
    assert len(table.find(START + HINT_GRACE, limit=100)) == 7


def test_on_dynamodb_a_delivery_outlives_its_tries(clients: Clients) -> None:
    clients.dynamodb.create_table(**deliveries_table("Contract_Kept"))
    table = DynamoDBDeliveries(
        client=clients.dynamodb, jobs="Contract_Kept", retention=timedelta(days=1)
    )
    table.add(a_delivery())

    [item] = clients.dynamodb.scan(TableName="Contract_Kept_Deliveries")["Items"]

    assert item["ExpiresAt"]["N"] == str(int((START + timedelta(days=8)).timestamp()))


def test_on_dynamodb_a_webhooks_row_from_before_there_were_other_kinds_stays_readable(
    clients: Clients,
) -> None:
    clients.dynamodb.create_table(**deliveries_table("Contract_Older"))
    table = DynamoDBDeliveries(
        client=clients.dynamodb, jobs="Contract_Older", retention=timedelta(days=1)
    )
    job_id = new_id()
    clients.dynamodb.put_item(
        TableName="Contract_Older_Deliveries",
        Item={
            "JobId": {"S": job_id},
            "EventId": {"S": f"{job_id}.1000002"},
            "Kind": {"S": "webhook"},
            "Url": {"S": URL},
            "UserId": {"S": "ann"},
            "EventType": {"S": "job.completed"},
            "Seq": {"N": "1000002"},
            "At": {"S": written_time(START)},
            "Attempt": {"N": "1"},
            "TraceId": {"S": a_trace().id},
            "State": {"S": "due"},
            "Tries": {"N": "0"},
            "Failures": {"N": "0"},
            "NotBefore": {"S": written_time(START)},
            "DueAt": {"S": written_time(START + HINT_GRACE)},
            "DueShard": {"S": due_shard(job_id)},
            "Log": {"L": []},
        },
    )

    [delivery] = table.of_job(job_id)

    assert (delivery.receiver, delivery.id) == (HOOK, f"{job_id}.1000002")
    assert claim(table, delivery).delivery.tries == 1
    assert table.replay(job_id, delivery.id, START).state is DeliveryState.DUE


def test_on_dynamodb_a_table_that_is_missing_is_misconfigured(clients: Clients) -> None:
    table = DynamoDBDeliveries(client=clients.dynamodb, jobs="Missing", retention=timedelta(days=1))

    with pytest.raises(Misconfigured):
        table.add(a_delivery())
