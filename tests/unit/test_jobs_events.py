import json
from datetime import timedelta

import pytest

from jobs.division import Division, PartOf, PlanId
from jobs.events import Event, EventType, message_of, progress_event, terminal_event
from jobs.job import JobError, JobStatus
from tests.builders import JOB_ID, NOW, a_job, a_trace

ERROR = JobError(code="model_throttled", message="Too many requests", retryable=True)


def an_event(kind: EventType) -> Event:
    return Event(
        job=JOB_ID,
        user=a_job().user,
        seq=7,
        type=kind,
        at=NOW + timedelta(milliseconds=120),
        trace=a_trace(),
        attempt=2,
        text="Hel" if kind is EventType.DELTA else None,
        delay=timedelta(seconds=1.5) if kind is EventType.RETRYING else None,
        error=ERROR if kind in {EventType.RETRYING, EventType.FAILED} else None,
        done=0 if kind is EventType.PROGRESS else None,
        total=5 if kind is EventType.PROGRESS else None,
    )


EVERY_MESSAGE = {
    "type": "event",
    "job_id": JOB_ID,
    "seq": 7,
    "at": "2026-11-23T04:38:00.120Z",
    "trace_id": "1-6922915b-0123456789abcdef01234567",
    "attempt": 2,
}
WRITTEN_ERROR = {"code": "model_throttled", "message": "Too many requests", "retryable": True}


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (EventType.QUEUED, {"event": "job.queued"}),
        (EventType.STARTED, {"event": "job.started"}),
        (EventType.DELTA, {"event": "job.delta", "text": "Hel"}),
        (EventType.PROGRESS, {"event": "job.progress", "done": 0, "total": 5}),
        (
            EventType.RETRYING,
            {"event": "job.retrying", "delay_s": 1.5, "error": WRITTEN_ERROR},
        ),
        (EventType.COMPLETED, {"event": "job.completed"}),
        (EventType.FAILED, {"event": "job.failed", "error": WRITTEN_ERROR}),
        (EventType.CANCELLED, {"event": "job.cancelled"}),
        (EventType.EXPIRED, {"event": "job.expired"}),
    ],
)
def test_a_message_has_exactly_the_contracts_fields(
    kind: EventType, more: dict[str, object]
) -> None:
    message = json.loads(json.dumps(message_of(an_event(kind))))

    assert message == EVERY_MESSAGE | more


def test_every_event_but_a_delta_and_a_gap_tells_of_a_state() -> None:
    assert {kind for kind in EventType if not kind.is_state} == {EventType.DELTA, EventType.GAP}


def test_a_divided_jobs_progress_is_told_from_its_row() -> None:
    division = Division(plan=PlanId("plan"), total=5, ended=frozenset({2, 4}))
    job = a_job(status=JobStatus.RUNNING, division=division, seq=1_000_004)

    event = progress_event(job)

    assert event is not None
    assert (event.type, event.seq) == (EventType.PROGRESS, 1_000_004)
    assert (event.done, event.total) == (2, 5)


def test_a_job_that_someone_holds_has_no_progress_and_a_part_no_end() -> None:
    division = Division(plan=PlanId("plan"), total=5)
    part = PartOf(job=JOB_ID, plan=division.plan, number=1, total=5, pages="page 1")
    held = a_job(status=JobStatus.RUNNING, division=division, lease_until=NOW)

    assert progress_event(held) is None
    assert terminal_event(a_job(status=JobStatus.COMPLETED, part=part, ended_at=NOW)) is None


def test_four_events_are_a_jobs_last() -> None:
    assert [kind for kind in EventType if kind.is_terminal] == [
        EventType.COMPLETED,
        EventType.FAILED,
        EventType.CANCELLED,
        EventType.EXPIRED,
    ]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (JobStatus.COMPLETED, EventType.COMPLETED),
        (JobStatus.FAILED, EventType.FAILED),
        (JobStatus.CANCELLED, EventType.CANCELLED),
        (JobStatus.EXPIRED, EventType.EXPIRED),
    ],
)
def test_an_ended_row_tells_its_last_event(status: JobStatus, kind: EventType) -> None:
    job = a_job(status=status, ended_at=NOW, seq=2_000_009, attempt=2, error=ERROR)

    assert terminal_event(job) == Event(
        job=job.id,
        user=job.user,
        seq=2_000_009,
        type=kind,
        at=NOW,
        trace=job.trace,
        attempt=2,
        error=ERROR,
    )


@pytest.mark.parametrize("status", [JobStatus.PENDING, JobStatus.PENDING_RETRY, JobStatus.RUNNING])
def test_a_row_that_has_not_ended_tells_no_last_event(status: JobStatus) -> None:
    assert terminal_event(a_job(status=status)) is None
    assert terminal_event(a_job(status=status, ended_at=NOW)) is None
