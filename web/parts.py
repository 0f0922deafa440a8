"""What the web process stands on; web/entry.py fills it from the adapters, tests from memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from jobs.ports import Log
from jobs.receiver import PushTerms
from jobs.tracing import UNTRACED
from web.measures import Measures, Unmeasured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from jobs.cancel import CancelParts
    from jobs.delete import DeleteParts
    from jobs.delivery_ports import Deliveries
    from jobs.event_log import EventLog
    from jobs.idempotency import KeyedJobs
    from jobs.job import ModelId
    from jobs.listing import JobList
    from jobs.ports import Authenticator, Chance, Clock, EventSource, JobStore, ObjectStore
    from jobs.redrive import RedriveParts
    from jobs.submit import SubmitParts
    from jobs.tickets import Tickets
    from jobs.tracing import Tracer
    from jobs.uploads import OfferParts
    from web.limits import Limits


class WebLog(Log, Protocol):
    """The use cases' log, with a level for health checks and one for our own faults."""

    def debug(self, event: str, /, **keys: object) -> object:
        """Note what only someone who searches wants to see."""

    def error(self, event: str, /, **keys: object) -> object:
        """Note a fault of ours; `exc_info=True` adds the traceback."""


@dataclass(frozen=True, kw_only=True)
class WebhookTerms:
    """Whether webhooks are signed here at all, and whether they may lead to loopback."""

    are_signed: bool = False
    allow_loopback: bool = False


@dataclass(frozen=True, kw_only=True)
class WebParts:
    """The ports, and the few settings that show in answers.

    `longest_retention` is how long the object store keeps prompts and results. `readiness` names
    each outside part with a check that raises LonghaulError while the part is not usable.
    `allowed_origins` are the foreign origins, such as `https://app.example.com`, whose
    pages may open a WebSocket and call /v1/* here. `allowed_hosts` are the names beside this
    machine's own under which callers without a credential are answered.
    """

    submit: SubmitParts
    keyed: KeyedJobs
    cancel: CancelParts
    redrive: RedriveParts
    delete: DeleteParts
    jobs: JobList
    offer: OfferParts
    deliveries: Deliveries
    store: JobStore
    objects: ObjectStore
    source: EventSource
    event_log: EventLog
    authenticator: Authenticator
    tickets: Tickets
    clock: Clock
    chance: Chance
    log: WebLog
    readiness: Mapping[str, Callable[[], None]]
    default_model: ModelId
    max_request_bytes: int
    url_lifetime: timedelta
    longest_retention: timedelta
    webhooks: WebhookTerms = field(default_factory=WebhookTerms)
    push: PushTerms = field(default_factory=PushTerms)
    limits: Limits | None = None
    allowed_origins: frozenset[str] = field(default_factory=frozenset)
    allowed_hosts: frozenset[str] = field(default_factory=frozenset)
    measures: Measures = field(default_factory=Unmeasured)
    tracer: Tracer = UNTRACED
