"""Line meters: Prometheus metrics made of the log's past-tense events, in one table.

A step that is told in the log is counted; no step has a second word for its metric. Labels are
bounded: never a user or a job, and of models, errors and events only so many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram

from jobs.delivery import DeliveryState
from jobs.job import JobStatus
from jobs.receiver import DeliveryKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from prometheus_client import CollectorRegistry

    Keys = Mapping[str, object]

OTHER = "other"
MOST_MODELS = 50
MOST_WORDS = 200  # of errors, and of warnings
_TO_AN_HOUR = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600)
_TO_A_MINUTE = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ENDED = tuple(status for status in JobStatus if status.is_terminal)
# Warnings that wake somebody (deploy/observability/alerts.yml). They are told as 0 from the start:
# Prometheus sees no increase in a series that begins with its first warning.
WAKING = (
    "answer_not_kept",
    "call_waits",
    "census_waits",
    "claim_waits",
    "documents_wait",
    "events_disconnected",
    "feed_waits",
    "fenced_disconnected",
    "prompt_waits",
    "publish_waits",
    "result_waits",
    "settle_waits",
    "slots_are_local",
    "sweep_waits",
)


class Bounded:
    """A label's values: the first so many as they are, all others as `other`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: set[str] = set()

    def admit(self, value: object) -> str:
        """Give the label of a value, which is one of its own while there is room."""
        word = str(value)
        if word not in self._known and len(self._known) < self._most:
            self._known.add(word)
        return self.label(word)

    def label(self, value: object) -> str:
        """Give the label of a value that does not get one of its own here."""
        word = str(value)
        return word if word in self._known else OTHER


class LineMeters:
    """Takes each line of this process's log, whatever its level; thread-safe, never raises.

    A caller may name any model: one gets a label of its own when it has answered, so that nobody
    fills the labels with words; the default model has one from the start.
    """

    def __init__(self, registry: CollectorRegistry, *, default_model: str) -> None:
        self._registry = registry
        self._models = Bounded(MOST_MODELS)
        self._models.admit(default_model)
        self._words = Bounded(MOST_WORDS)
        self._make_ends()
        self._make_runs()
        self._make_calls()
        self._make_rest()
        self._meters: dict[str, Callable[[Keys], None]] = {
            "job_submitted": lambda _: self._accepted.inc(),
            "job_redriven": lambda _: self._redriven.inc(),
            "job_claimed": self._count_claim,
            "claim_refused": self._count_refusal,
            "call_begun": lambda _: self._calls.inc(),
            "first_token_came": self._count_first_token,
            "job_settled": self._count_run,
            "job_cancelled": self._count_end,
            "job_expired": self._count_end,
            "job_failed_by_part": self._count_end,
            "partial_kept": self._count_tokens,
            "run_fenced": lambda _: self._fenced.inc(),
            "job_swept": lambda _: self._swept.inc(),
            "answer_recovered": lambda _: self._recovered.inc(),
            "delivery_tried": self._count_delivery,
            "tasks_enqueued": lambda keys: self._enqueued.inc(_number(keys, "tasks")),
            "records_too_old": lambda keys: self._too_old.inc(_number(keys, "records")),
            "record_rejected": lambda _: self._rejected.inc(),
            "request_answered": self._count_request,
        }

    @property
    def events(self) -> frozenset[str]:
        """The events that are measured."""
        return frozenset(self._meters)

    def take(self, level: str, event: str, keys: Keys) -> None:
        """Count one line."""
        if level in {"warning", "error", "exception", "critical"}:
            self._warnings.labels(self._words.admit(event)).inc()
        meter = self._meters.get(event)
        if meter is None:
            return
        try:
            meter(keys)
        except (KeyError, TypeError, ValueError):
            self._unmeasured.inc()

    def _make_ends(self) -> None:
        self._accepted = self._counter("jobs_accepted", "Jobs that were accepted")
        self._redriven = self._counter("jobs_redriven", "Jobs that were redriven")
        self._ended = self._counter("jobs_ended", "Jobs and parts that ended", "kind", "status")
        for kind in ("job", "part"):
            for status in _ENDED:
                self._ended.labels(kind, status)
        self._failures = self._counter(
            "job_failures", "Jobs and parts that FAILED or EXPIRED, by the error", "error"
        )
        self._ages = self._histogram(
            "job_seconds", "From acceptance, or the last redrive, to the end", "status"
        )

    def _make_runs(self) -> None:
        self._claims = self._counter("claims", "Claims that were given")
        self._refused = self._counter(
            "claims_refused", "Tasks that came twice or too late and cost nothing", "status"
        )
        self._waits = self._histogram(
            "queue_wait_seconds", "From acceptance, or the last redrive, to the first claim"
        )
        self._runs = self._histogram("run_seconds", "From a claim to what was written", "status")
        self._fenced = self._counter("runs_fenced", "Runs whose job was taken from them")
        self._swept = self._counter("jobs_rescued", "Jobs that the sweep has triggered again")
        self._recovered = self._counter(
            "answers_recovered", "Jobs completed with the answer of a worker that died"
        )

    def _make_calls(self) -> None:
        self._calls = self._counter("model_calls", "Calls to a model that were begun: attempts")
        self._first_tokens = self._histogram(
            "first_token_seconds", "From a call to its first text", "model"
        )
        self._retries = self._counter(
            "retries", "Attempts that another will follow", "error", "model"
        )
        self._tokens = self._counter("tokens", "Tokens that models counted", "model", "direction")

    def _make_rest(self) -> None:
        self._deliveries = self._counter(
            "deliveries_tried", "Tries to tell a receiver, by what came of it", "kind", "state"
        )
        for kind in DeliveryKind:
            for state in DeliveryState:
                self._deliveries.labels(kind, state)
        self._enqueued = self._counter("feed_tasks", "Tasks that the feed gave to the broker")
        self._too_old = self._counter("feed_records_too_old", "Records left to the sweep")
        self._rejected = self._counter("feed_records_rejected", "Records that were set aside")
        self._requests = self._histogram(
            "request_seconds",
            "Requests, to their answer's first byte",
            "route",
            "method",
            "status",
            buckets=_TO_A_MINUTE,
        )
        self._warnings = self._counter("warnings", "Warnings and errors in the log", "event")
        for event in WAKING:
            self._warnings.labels(self._words.admit(event))
        self._unmeasured = self._counter(
            "lines_unmeasured", "Lines of a measured event without its keys"
        )

    def _count_claim(self, keys: Keys) -> None:
        self._claims.inc()
        if "waited_seconds" in keys:
            self._waits.observe(_number(keys, "waited_seconds"))

    def _count_refusal(self, keys: Keys) -> None:
        self._refused.labels(str(keys["status"] or "GONE")).inc()

    def _count_first_token(self, keys: Keys) -> None:
        model = self._models.admit(keys["model"])
        self._first_tokens.labels(model).observe(_number(keys, "after_seconds"))

    def _count_run(self, keys: Keys) -> None:
        status = JobStatus(str(keys["status"]))
        self._runs.labels(status).observe(_number(keys, "run_seconds"))
        self._count_tokens(keys)
        if status.is_terminal:
            self._count_end(keys)
        elif status is JobStatus.PENDING_RETRY:
            error = self._words.admit(keys["error"])
            self._retries.labels(error, self._models.label(keys["model"])).inc()

    def _count_end(self, keys: Keys) -> None:
        status = str(keys["status"])
        self._ended.labels("part" if "part_of" in keys else "job", status).inc()
        self._ages.labels(status).observe(_number(keys, "age_seconds"))
        if status in {JobStatus.FAILED, JobStatus.EXPIRED}:
            self._failures.labels(self._words.admit(keys["error"])).inc()

    def _count_tokens(self, keys: Keys) -> None:
        if "input_tokens" in keys:
            model = self._models.admit(keys["model"])
            self._tokens.labels(model, "input").inc(_number(keys, "input_tokens"))
            self._tokens.labels(model, "output").inc(_number(keys, "output_tokens"))

    def _count_delivery(self, keys: Keys) -> None:
        self._deliveries.labels(str(keys["kind"]), str(keys["state"])).inc()

    def _count_request(self, keys: Keys) -> None:
        method = str(keys["method"])
        labels = (str(keys["route"]), method if method in _METHODS else OTHER, str(keys["status"]))
        self._requests.labels(*labels).observe(_number(keys, "duration_ms") / 1000)

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return Counter(f"longhaul_{name}", help_text, labels, registry=self._registry)

    def _histogram(
        self, name: str, help_text: str, *labels: str, buckets: tuple[float, ...] = _TO_AN_HOUR
    ) -> Histogram:
        return Histogram(
            f"longhaul_{name}", help_text, labels, registry=self._registry, buckets=buckets
        )


def _number(keys: Keys, name: str) -> float:
    value = keys[name]
    if not isinstance(value, int | float):
        raise TypeError(f"{name} is no number")
    return value
