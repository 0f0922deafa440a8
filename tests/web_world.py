"""The web app on parts in memory, which the other tests of web/ share."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from adapters.keys import SettingsAuthenticator
from adapters.memory import (
    ManualClock,
    MemoryEvents,
    MemoryJobStore,
    MemoryObjectStore,
    MemoryTickets,
)
from adapters.memory_deliveries import MemoryDeliveries
from adapters.memory_limits import MemoryOpenJobs
from adapters.memory_lists import MemoryJobList, MemoryKeyedJobs
from adapters.memory_uploads import MemoryUploads
from jobs.claim import Claim
from jobs.delete import DeleteParts
from jobs.events import Event, EventType
from jobs.in_flight import Ceiling
from jobs.job import Inline, JobError, ModelId, ObjectKey, Result, Stored, Usage
from jobs.outage import Outage
from jobs.outcome import Completed, Failed, Partial
from jobs.receiver import PushTerms
from jobs.uploads import OfferParts
from tests.builders import (
    NOW,
    FixedChance,
    Logged,
    RecordingLog,
    announce_parts,
    cancel_parts,
    claim_terms,
    redrive_parts,
    submit_parts,
)
from web.app import create_app, hub_of
from web.parts import WebhookTerms, WebParts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flask.testing import FlaskClient

    from jobs.job import Job, JobId, Payload
    from jobs.ports import Authenticator
    from web.limits import Limits

ADA = {"Authorization": "Bearer key-of-ada-0123456789"}
BOB = {"Authorization": "Bearer key-of-bob-0123456789"}
MOST_UPLOAD_BYTES = 10_000
KEYS = {"key-of-ada-0123456789": "ada", "key-of-bob-0123456789": "bob"}


@dataclass(kw_only=True)
class WebRecordingLog(RecordingLog):
    """web.parts.WebLog that keeps its lines."""

    def debug(self, event: str, /, **keys: object) -> None:
        self.lines.append(Logged("debug", event, keys))

    def error(self, event: str, /, **keys: object) -> None:
        self.lines.append(Logged("error", event, keys))

    @property
    def faults(self) -> list[Logged]:
        return [line for line in self.lines if line.level == "error"]


@dataclass(kw_only=True)
class World:
    """A web process's surroundings, and the hands of everyone else who touches them."""

    allow_anonymous: bool = False
    max_request_bytes: int = 1024 * 1024
    readiness: Mapping[str, Callable[[], None]] = field(default_factory=dict)
    allowed_origins: frozenset[str] = frozenset()
    allowed_hosts: frozenset[str] = frozenset()
    clock: ManualClock = field(default_factory=ManualClock)
    store: MemoryJobStore = field(default_factory=MemoryJobStore)
    objects: MemoryObjectStore = field(default_factory=MemoryObjectStore)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    deliveries: MemoryDeliveries = field(default_factory=MemoryDeliveries)
    webhooks: WebhookTerms = field(default_factory=WebhookTerms)
    push: PushTerms = field(default_factory=PushTerms)
    log: WebRecordingLog = field(default_factory=WebRecordingLog)
    authenticator: Authenticator | None = None
    limits: Limits | None = None
    most_in_flight: int | None = None

    def __post_init__(self) -> None:
        chance = FixedChance()
        self.tickets = MemoryTickets(self.clock)
        self.uploads = MemoryUploads(self.clock)
        self.parts = WebParts(
            submit=submit_parts(
                store=self.store,
                objects=self.objects,
                events=self.events,
                feed=self.events,
                clock=self.clock,
                chance=chance,
                log=self.log,
                ceiling=self._ceiling(),
            ),
            cancel=cancel_parts(self.store, events=self.events, clock=self.clock, log=self.log),
            redrive=redrive_parts(
                self.store,
                events=self.events,
                feed=self.events,
                clock=self.clock,
                log=self.log,
                announcing=announce_parts(deliveries=self.deliveries),
            ),
            keyed=MemoryKeyedJobs(self.store),
            delete=DeleteParts(
                store=self.store, objects=self.objects, event_log=self.events, log=self.log
            ),
            jobs=MemoryJobList(self.store),
            offer=OfferParts(
                uploads=self.uploads,
                clock=self.clock,
                chance=chance,
                log=self.log,
                most_bytes=MOST_UPLOAD_BYTES,
                lifetime=timedelta(hours=1),
            ),
            deliveries=self.deliveries,
            webhooks=self.webhooks,
            push=self.push,
            store=self.store,
            objects=self.objects,
            source=self.events,
            event_log=self.events,
            authenticator=self.authenticator
            or SettingsAuthenticator(users=KEYS, allow_anonymous=self.allow_anonymous),
            tickets=self.tickets,
            clock=self.clock,
            chance=chance,
            log=self.log,
            readiness=self.readiness,
            default_model=ModelId("amazon.nova-lite-v1:0"),
            max_request_bytes=self.max_request_bytes,
            url_lifetime=timedelta(hours=1),
            longest_retention=timedelta(days=30),
            allowed_origins=self.allowed_origins,
            allowed_hosts=self.allowed_hosts,
            limits=self.limits,
        )
        self.app = create_app(self.parts)
        self.hub = hub_of(self.app)

    def _ceiling(self) -> Ceiling | None:
        if self.most_in_flight is None:
            return None
        return Ceiling(
            open_jobs=MemoryOpenJobs(self.clock),
            store=self.store,
            outage=Outage("ceiling", clock=self.clock, log=self.log),
            most=self.most_in_flight,
        )

    @property
    def client(self) -> FlaskClient:
        return self.app.test_client()

    def submit(self, headers: Mapping[str, str] = ADA, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        response = self.client.post(
            "/v1/jobs", json={"prompt": "Say hello"} | body, headers=headers
        )
        assert response.status_code == 202, response.text
        job: dict[str, Any] = response.get_json()
        return job

    def claim(self, job_id: JobId) -> Claim:
        claim = self.store.claim(job_id, claim_terms())
        assert isinstance(claim, Claim), claim
        return claim

    def complete(
        self,
        job_id: JobId,
        payload: Payload | None = None,
        *,
        seq: int = 3,
        raw: Payload | None = None,
    ) -> Job:
        claim = self.claim(job_id)
        result = Result(
            payload=payload or Inline(text="Hello"),
            usage=Usage(input_tokens=7, output_tokens=3),
            stop_reason="end_turn",
            raw=raw,
        )
        number = claim.epoch * 1_000_000 + seq
        return self.store.settle(claim, Completed(at=NOW, seq=number, result=result, steps=()))

    def keep_partial(self, claim: Claim, payload: Payload) -> None:
        """Write what had come of a cancelled job's call, as its worker does."""
        result = Result(payload=payload, usage=None, stop_reason=None)
        self.store.keep_partial(claim, Partial(at=NOW, result=result, steps=()))

    def fail(self, job_id: JobId) -> Job:
        claim = self.claim(job_id)
        error = JobError(code="model_rejected_request", message="No such field", retryable=False)
        return self.store.settle(claim, Failed(at=NOW, seq=1_000_002, error=error, steps=()))

    def put_result(self, text: str) -> Stored:
        key = ObjectKey("results/1.txt")
        self.objects.put(key, text, content_type="text/plain; charset=utf-8")
        return Stored(key=key, size=len(text.encode()))


def event_of(
    job: Job, number: int, kind: EventType = EventType.DELTA, text: str | None = None
) -> Event:
    """Make an event of a job, as its worker would."""
    return Event(
        job=job.id,
        user=job.user,
        seq=number,
        type=kind,
        at=NOW,
        trace=job.trace,
        attempt=1,
        text=text,
    )


def test_building_an_app_starts_nothing() -> None:
    before = threading.active_count()

    world = World()

    assert threading.active_count() == before
    assert not world.hub.is_draining
