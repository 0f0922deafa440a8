"""What the spans of a submission and of a redrive say where the state of things refuses them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from opentelemetry.trace import StatusCode

from adapters.memory import MemoryJobStore
from adapters.memory_lists import MemoryKeyedJobs
from jobs.errors import KeyReused, NotRedrivable, Unavailable
from jobs.idempotency import RequestKey
from jobs.job import JobStatus, UserId
from jobs.redrive import redrive_job
from jobs.submit import submit_once
from tests.builders import (
    NOW,
    ShakyJobStore,
    a_job,
    a_request,
    redrive_parts,
    store_away,
    submit_parts,
)
from tests.spans import Recorder

if TYPE_CHECKING:
    from jobs.job import Job
    from jobs.submit import JobRequest


def a_failed_job() -> Job:
    return replace(a_job(), status=JobStatus.FAILED, ended_at=NOW)


def under_a_key(prompt: str) -> RequestKey:
    return RequestKey.of(user=UserId("ada"), route="POST /v1/jobs", key="k", body=prompt)


def test_a_redrive_that_another_forestalls_is_refused_and_has_not_failed() -> None:
    seen, store = Recorder(), MemoryJobStore()
    store.add(a_failed_job())
    parts = redrive_parts(store, tracer=seen.tracer)

    redrive_job(a_failed_job(), parts)
    with pytest.raises(NotRedrivable):
        redrive_job(a_failed_job(), parts)

    first, second = seen.named_like("job.redrive")
    assert "longhaul.outcome" not in (first.attributes or {})
    assert (second.attributes or {})["longhaul.outcome"] == "not_redrivable"
    assert "error.type" not in (second.attributes or {})
    assert second.status.status_code is StatusCode.UNSET


def test_a_key_that_another_body_takes_meanwhile_is_refused_and_has_not_failed() -> None:
    seen, store = Recorder(), MemoryJobStore()
    keyed, parts = MemoryKeyedJobs(store), submit_parts(store=store)

    def read() -> JobRequest:
        submit_once(a_request, under_a_key("another"), parts, keyed)  # was faster
        return a_request()

    with pytest.raises(KeyReused):
        submit_once(read, under_a_key("one"), replace(parts, tracer=seen.tracer), keyed)

    [accept] = seen.named_like("job.accept")
    assert (accept.attributes or {})["longhaul.outcome"] == "idempotency_key_reused"
    assert accept.status.status_code is StatusCode.UNSET


def test_a_store_that_is_away_is_an_error_all_the_same() -> None:
    seen, store = Recorder(), ShakyJobStore(change=[store_away()])
    store.add(a_failed_job())

    with pytest.raises(Unavailable):
        redrive_job(a_failed_job(), redrive_parts(store, tracer=seen.tracer))

    [redrive] = seen.named_like("job.redrive")
    assert (redrive.attributes or {})["error.type"] == "unavailable"
    assert redrive.status.status_code is StatusCode.ERROR
