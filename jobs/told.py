"""Told: what log lines say of jobs beside who they are; metrics are made of these lines.

Numbers carry their unit in their name, as on any wire.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.timeline import StepName
from jobs.times import written_time

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from jobs.job import Job


def seconds(duration: timedelta) -> float:
    """Write a duration; one that two machines' clocks make negative is none."""
    return max(0.0, round(duration.total_seconds(), 3))


def accepted_at(job: Job) -> datetime:
    """Give when a job was accepted, or redriven last; gathering its parts is no new beginning."""
    redrives = [step.at for step in job.timeline if step.name is StepName.REDRIVEN]
    return redrives[-1] if redrives else job.created_at


def waited(job: Job, at: datetime) -> dict[str, float]:
    """Tell how long a job waited for the first claim of its round, and nothing of later ones."""
    # The row keeps milliseconds.
    if job.started_at is None or written_time(job.started_at) != written_time(at):
        return {}
    return {"waited_seconds": seconds(at - accepted_at(job))}


def described(job: Job) -> dict[str, object]:
    """Tell a job's state, whether it is a part, and of an ended one why and after how long."""
    told: dict[str, object] = {"status": job.status, "model": job.model}
    if job.part is not None:
        told["part_of"] = job.part.job
    if job.error is not None:
        told["error"] = job.error.code
    if job.ended_at is not None and job.status.is_terminal:
        told["age_seconds"] = seconds(job.ended_at - accepted_at(job))
    return told
