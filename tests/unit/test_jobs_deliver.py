"""Announcements: made for certain, tried by the schedule, told in under 64 KiB."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from adapters.memory import ManualClock, MemoryJobStore, MemoryObjectStore
from adapters.memory_deliveries import MemoryDeliveries, MemoryDeliveryQueue
from jobs import seq
from jobs.announce import announce, announcement_of
from jobs.cancel import cancel_job
from jobs.claim import Claim
from jobs.deliver import DeliverParts, deliver
from jobs.delivery import SCHEDULE, TRY_LEASE, Answered, Delivery, DeliveryState
from jobs.due import ANNOUNCE_GRACE
from jobs.errors import Unavailable
from jobs.job import Inline, Job, JobError, JobStatus, ObjectKey, Result, Stored, Usage
from jobs.outcome import Completed, Failed
from jobs.receiver import DeliveryKind, Receiver
from jobs.redrive import redrive_job
from jobs.sweep import sweep
from jobs.sweep_deliveries import SweepDeliveriesParts, sweep_deliveries
from tests.asyncapi import Contract
from tests.builders import (
    JOB_ID,
    NOW,
    RecordingLog,
    a_job,
    announce_parts,
    cancel_parts,
    claim_terms,
    deliver_parts,
    redrive_parts,
    sweep_parts,
)
from web.asyncapi import describe_events

if TYPE_CHECKING:
    from jobs.job import Payload

CONTRACT = Contract(describe_events(host="longhaul.example", is_secure=True))
URL = "https://receiver.example/hook"
BUS = Receiver(kind=DeliveryKind.EVENTBRIDGE)
SECOND = timedelta(seconds=1)


@dataclass
class ScriptedAnnouncer:
    """jobs.delivery_ports.Announcer that answers from a script; after its end with 200."""

    answers: list[Answered] = field(default_factory=list)
    told: list[tuple[Delivery, str]] = field(default_factory=list)

    def tell(self, delivery: Delivery, body: str) -> Answered:
        """Answer with the script's next entry."""
        self.told.append((delivery, body))
        CONTRACT.take_body(json.loads(body))
        return self.answers.pop(0) if self.answers else Answered(status=200)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.told]


class Post:
    """A store, its deliveries, and one receiver."""

    def __init__(self, *answers: Answered, **changes: Any) -> None:  # noqa: ANN401 - DeliverParts' own
        self.clock = ManualClock()
        self.store = MemoryJobStore()
        self.objects = MemoryObjectStore()
        self.deliveries = MemoryDeliveries()
        self.queue = MemoryDeliveryQueue()
        self.announcer = ScriptedAnnouncer(list(answers))
        self.log = RecordingLog()
        self.announcing = announce_parts(
            deliveries=self.deliveries, queue=self.queue, clock=self.clock, log=self.log
        )
        self.parts: DeliverParts = replace(
            deliver_parts(
                deliveries=self.deliveries,
                announcers={DeliveryKind.WEBHOOK: self.announcer},
                store=self.store,
                objects=self.objects,
                clock=self.clock,
                log=self.log,
            ),
            **changes,
        )

    def complete(self, payload: Payload | None = None, **changes: Any) -> Job:  # noqa: ANN401 - a Job's
        """Add a job with a webhook and let it end."""
        claim = self._claim(**changes)
        result = Result(
            payload=payload or Inline(text="Hello"),
            usage=Usage(input_tokens=7, output_tokens=3),
            stop_reason="end_turn",
        )
        number = seq.first_in(1) + 1
        return self.store.settle(claim, Completed(at=NOW, seq=number, result=result, steps=()))

    def fail(self) -> Job:
        claim = self._claim()
        error = JobError(code="model_rejected_request", message="No such field", retryable=False)
        number = seq.first_in(1) + 1
        return self.store.settle(claim, Failed(at=NOW, seq=number, error=error, steps=()))

    def announce(self, job: Job) -> Delivery:
        announcement = announcement_of(job)
        assert announcement is not None
        announce([announcement], self.announcing)
        return self.deliveries.of_job(job.id)[-1]

    def deliver(self, delivery: Delivery) -> Delivery:
        """Try once, and give the delivery as it is after that."""
        deliver(delivery.key, self.parts)
        return self.deliveries.of_job(delivery.event.job)[-1]

    def sweep(self) -> int:
        return sweep(
            sweep_parts(self.store, clock=self.clock, log=self.log, announcing=self.announcing)
        )

    def _claim(self, **changes: Any) -> Claim:  # noqa: ANN401 - a Job's own fields
        job = a_job(**({"webhook": URL} | changes))
        self.store.add(job)
        claim = self.store.claim(job.id, claim_terms())
        assert isinstance(claim, Claim)
        return claim


def test_an_end_is_announced_once_whoever_sees_it_how_often() -> None:
    post = Post()
    job = post.complete()

    post.announce(job)
    post.announce(job)

    [delivery] = post.deliveries.of_job(job.id)
    assert (delivery.id, delivery.receiver.address) == (f"{JOB_ID}.{job.seq}", URL)
    assert delivery.state is DeliveryState.DUE


def test_one_end_is_told_to_each_receiver_apart_under_one_id() -> None:
    bus = ScriptedAnnouncer([Answered(error="throttled")])
    post = Post()
    post.parts = replace(
        post.parts,
        announcers={DeliveryKind.WEBHOOK: post.announcer, DeliveryKind.EVENTBRIDGE: bus},
    )
    job = post.complete(also_tell=(BUS,))
    post.announce(job)

    for delivery in post.deliveries.of_job(job.id):
        post.deliver(delivery)
    hook, event = post.deliveries.of_job(job.id)

    assert (hook.state, event.state) == (DeliveryState.DELIVERED, DeliveryState.DUE)
    assert event.log[-1].error == "throttled"
    assert post.announcer.bodies[0]["id"] == bus.bodies[0]["id"] == f"{JOB_ID}.{job.seq}"
    assert post.queue.keys == [hook.key, event.key]


def test_a_job_without_a_webhook_stays_due_until_the_bus_is_certain_to_be_told() -> None:
    post = Post()
    job = post.complete(webhook=None, also_tell=(BUS,))
    assert job.due_at == NOW + ANNOUNCE_GRACE
    post.clock.advance(ANNOUNCE_GRACE)

    assert post.sweep() == 1

    [delivery] = post.deliveries.of_job(job.id)
    assert (delivery.kind, delivery.id) == (
        DeliveryKind.EVENTBRIDGE,
        f"{JOB_ID}.{job.seq}.eventbridge",
    )
    assert post.store.get(job.id).due_at is None


def test_a_redrive_forgets_no_receiver() -> None:
    post = Post()
    claim = post._claim(also_tell=(BUS,))  # noqa: SLF001 - the test's own
    error = JobError(code="model_rejected_request", message="No such field", retryable=False)
    job = post.store.settle(claim, Failed(at=NOW, seq=seq.first_in(1) + 1, error=error, steps=()))

    redriven = redrive_job(job, redrive_parts(post.store, announcing=post.announcing))

    assert [one.kind for one in post.deliveries.of_job(job.id)] == ["webhook", "eventbridge"]
    assert redriven.also_tell == (BUS,)


def test_a_worker_that_cannot_tell_a_kind_leaves_it_to_one_that_can() -> None:
    post = Post()
    job = post.complete(webhook=None, also_tell=(BUS,))
    delivery = post.deliver(post.announce(job))
    assert (delivery.state, delivery.failures) == (DeliveryState.DUE, 0)
    assert [line.event for line in post.log.lines][-1] == "delivery_without_announcer"
    post.clock.advance(TRY_LEASE)
    post.parts = replace(post.parts, announcers={DeliveryKind.EVENTBRIDGE: post.announcer})

    delivery = post.deliver(delivery)

    assert delivery.state is DeliveryState.DELIVERED


@pytest.mark.parametrize("webhook", [None, URL])
def test_a_job_stays_due_after_its_end_only_where_someone_wants_to_be_told(
    webhook: str | None,
) -> None:
    post = Post()

    job = post.complete(webhook=webhook)

    assert job.due_at == (None if webhook is None else NOW + ANNOUNCE_GRACE)


def test_an_end_that_no_feed_saw_is_announced_by_the_sweep_and_looked_at_once() -> None:
    post = Post()
    job = post.complete()
    post.clock.advance(ANNOUNCE_GRACE - SECOND)
    assert post.sweep() == 0
    post.clock.advance(SECOND)

    assert post.sweep() == 1

    [delivery] = post.deliveries.of_job(job.id)
    assert post.queue.keys == [delivery.key]
    assert post.store.get(job.id).due_at is None
    assert post.sweep() == 0


def test_a_sweep_that_cannot_write_the_delivery_comes_again() -> None:
    post = Post()
    job = post.complete()
    post.clock.advance(ANNOUNCE_GRACE)

    class Away(MemoryDeliveries):
        def add(self, delivery: Delivery) -> None:  # noqa: ARG002 - the port's
            raise Unavailable("store", "away (test)")

    good, post.announcing = post.announcing, replace(post.announcing, deliveries=Away())
    with pytest.raises(Unavailable):
        post.sweep()
    post.announcing = good

    assert post.sweep() == 1
    assert len(post.deliveries.of_job(job.id)) == 1


def test_a_cancelled_job_is_announced_too() -> None:
    post = Post()
    post.store.add(a_job(webhook=URL))

    job = cancel_job(post.store.get(JOB_ID), cancel_parts(post.store, clock=post.clock))

    assert job.status is JobStatus.CANCELLED
    post.deliver(post.announce(job))
    assert post.announcer.bodies[0]["type"] == "job.cancelled"


def test_a_redrive_forgets_no_end_that_was_not_announced_yet() -> None:
    post = Post()
    job = post.fail()

    redriven = redrive_job(job, redrive_parts(post.store, announcing=post.announcing))

    assert redriven.status is JobStatus.PENDING
    [delivery] = post.deliveries.of_job(job.id)
    told = post.deliver(delivery)
    assert told.state is DeliveryState.DELIVERED
    assert post.announcer.bodies[0]["data"]["error"]["code"] == "model_rejected_request"
    assert "result" not in post.announcer.bodies[0]["data"]


def test_the_body_is_a_cloud_event_and_a_standard_webhooks_payload() -> None:
    post = Post()
    job = post.complete(metadata={"tenant": "Ünï"})
    delivery = post.announce(job)

    post.deliver(delivery)

    [body] = post.announcer.bodies
    assert body == {
        "specversion": "1.0",
        "id": delivery.id,
        "source": "urn:longhaul:Test",
        "type": "job.completed",
        "subject": JOB_ID,
        "time": "2026-11-23T04:38:00.000Z",
        "timestamp": "2026-11-23T04:38:00.000Z",
        "datacontenttype": "application/json",
        "data": {
            "job_id": JOB_ID,
            "status": "COMPLETED",
            "seq": job.seq,
            "attempt": 1,
            "ended_at": "2026-11-23T04:38:00.000Z",
            "error": None,
            "trace_id": job.trace.id,
            "model": job.model,
            "created_at": "2026-11-23T04:38:00.000Z",
            "result": {"text": "Hello", "bytes": 5},
            "usage": {"input_tokens": 7, "output_tokens": 3},
            "stop_reason": "end_turn",
            "metadata": {"tenant": "Ünï"},
        },
    }


def test_a_stored_result_is_told_by_a_url_that_is_fresh_at_each_try() -> None:
    post = Post(Answered(status=500))
    job = post.complete(Stored(key=ObjectKey("results/1.txt"), size=300_000))
    delivery = post.deliver(post.announce(job))
    post.clock.advance(SCHEDULE[1])

    post.deliver(delivery)

    first, second = (body["data"]["result"] for body in post.announcer.bodies)
    assert first["url"].startswith("https://objects.invalid/results/1.txt")
    assert first["bytes"] == 300_000
    assert first["url_expires_at"] < second["url_expires_at"]


@pytest.mark.parametrize("text", ["x" * 64 * 1024, "\x01" * 20_000, "☕" * 21_800])
def test_a_result_that_does_not_fit_goes_by_reference(text: str) -> None:
    post = Post()

    post.deliver(post.announce(post.complete(Inline(text=text))))

    [(_, body)] = post.announcer.told
    assert len(body.encode()) < 64 * 1024
    result = json.loads(body)["data"]["result"]
    assert "text" not in result
    assert post.objects.get(ObjectKey(f"results/{JOB_ID}/announced-1000002.txt")) == text


def test_metadata_that_does_not_fit_is_left_out() -> None:
    post = Post()
    metadata = {f"k{number}": "\x01" * 320 for number in range(50)}

    post.deliver(post.announce(post.complete(metadata=metadata)))

    [(_, body)] = post.announcer.told
    assert len(body.encode()) < 64 * 1024
    assert json.loads(body)["data"]["metadata"] is None


def test_a_refused_delivery_is_tried_by_the_schedule_and_then_given_up() -> None:
    post = Post(*[Answered(status=500)] * len(SCHEDULE))
    delivery = post.announce(post.complete())

    for wait in SCHEDULE[1:]:
        delivery = post.deliver(delivery)
        assert delivery.state is DeliveryState.DUE
        assert delivery.not_before == delivery.due_at == post.clock.now() + wait
        post.clock.advance(wait)
    delivery = post.deliver(delivery)

    assert delivery.state is DeliveryState.GIVEN_UP
    assert (delivery.not_before, delivery.due_at) == (None, None)
    assert [one.number for one in delivery.log] == list(range(1, 11))
    assert sum(SCHEDULE, timedelta(0)) > timedelta(days=1)


def test_a_delivery_is_not_tried_before_its_time() -> None:
    post = Post(Answered(status=503))
    delivery = post.deliver(post.announce(post.complete()))

    post.deliver(delivery)

    assert len(post.announcer.told) == 1


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_every_2xx_is_success(status: int) -> None:
    post = Post(Answered(status=status))

    delivery = post.deliver(post.announce(post.complete()))

    assert delivery.state is DeliveryState.DELIVERED
    assert post.deliver(delivery) == delivery
    assert len(post.announcer.told) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 429, 500, 503])
def test_everything_else_is_tried_again(status: int) -> None:
    post = Post(Answered(status=status))

    assert post.deliver(post.announce(post.complete())).state is DeliveryState.DUE


def test_410_disables() -> None:
    post = Post(Answered(status=410))

    delivery = post.deliver(post.announce(post.complete()))

    assert (delivery.state, delivery.due_at) == (DeliveryState.DISABLED, None)


@pytest.mark.parametrize(
    ("asked", "waited"),
    [(1, SCHEDULE[1]), (600, timedelta(seconds=600)), (10**9, timedelta(hours=24))],
)
def test_retry_after_is_kept_but_neither_hurries_nor_holds_for_ever(
    asked: int, waited: timedelta
) -> None:
    post = Post(Answered(status=503, retry_after=timedelta(seconds=asked)))

    delivery = post.deliver(post.announce(post.complete()))

    assert delivery.not_before == post.clock.now() + waited


def test_a_part_that_is_away_counts_as_no_failure() -> None:
    class Away(MemoryJobStore):
        def get(self, job_id: object) -> Job:  # noqa: ARG002 - the port's
            raise Unavailable("store", "away (test)")

    post = Post(store=Away())
    delivery = post.announce(post.complete())

    with pytest.raises(Unavailable):
        post.deliver(delivery)

    [left] = post.deliveries.of_job(JOB_ID)
    assert (left.failures, left.log, left.due_at) == (0, (), NOW + TRY_LEASE)


def test_without_a_secret_a_delivery_waits() -> None:
    post = Post(announcers={})

    delivery = post.deliver(post.announce(post.complete()))

    assert (delivery.state, delivery.failures) == (DeliveryState.DUE, 0)


def test_a_row_that_is_gone_is_announced_by_what_the_delivery_knows() -> None:
    post = Post(store=MemoryJobStore())

    post.deliver(post.announce(post.complete()))

    assert post.announcer.bodies[0]["data"]["status"] == "COMPLETED"
    assert "result" not in post.announcer.bodies[0]["data"]


def test_the_sweep_triggers_what_is_due_and_not_twice_a_moment() -> None:
    post = Post(Answered(status=500))
    delivery = post.deliver(post.announce(post.complete()))
    queue = MemoryDeliveryQueue()
    parts = SweepDeliveriesParts(
        due=post.deliveries, queue=queue, clock=post.clock, log=RecordingLog()
    )
    assert sweep_deliveries(parts) == 0
    post.clock.advance(SCHEDULE[1])

    assert (sweep_deliveries(parts), sweep_deliveries(parts)) == (1, 0)

    assert queue.keys == [delivery.key]
    assert post.deliver(delivery).state is DeliveryState.DELIVERED


def test_a_replay_fences_out_who_is_trying() -> None:
    post = Post(Answered(status=410))
    delivery = post.announce(post.complete())
    tell = post.announcer.tell

    def replay_meanwhile(delivery: Delivery, body: str) -> Answered:
        post.deliveries.replay(delivery.event.job, delivery.id, post.clock.now())
        return tell(delivery, body)

    post.announcer.tell = replay_meanwhile  # type: ignore[method-assign] # the test's own double
    again = post.deliver(delivery)

    assert (again.state, again.log) == (DeliveryState.DUE, ())
