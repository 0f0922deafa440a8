"""The commands about jobs that are there: look at them, read them, end them, run them again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from longhaul_client.cli.exits import Exit
from longhaul_client.cli.screen import table
from longhaul_client.errors import SettingWrong
from longhaul_client.models import JobStatus

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from longhaul_client.cli.screen import Screen
    from longhaul_client.client import Longhaul
    from longhaul_client.models import Job, Step

_COLOURS: Mapping[str, str] = {
    JobStatus.COMPLETED: "green",
    JobStatus.FAILED: "red",
    JobStatus.CANCELLED: "yellow",
    JobStatus.EXPIRED: "yellow",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def list_jobs(client: Longhaul, screen: Screen, options: argparse.Namespace) -> Exit:
    """List the caller's jobs, the newest first."""
    jobs = list(client.jobs.list(status=options.status, limit=options.limit))
    if options.json:
        screen.json([job.raw for job in jobs])
    elif not jobs:
        screen.note("no jobs")
    else:
        now = datetime.now(UTC)
        rows = [
            (job.id, job.status, _age(job, now), f"{job.attempt}/{job.max_attempts}", job.model)
            for job in jobs
        ]
        title, *lines = table([("ID", "STATUS", "AGE", "ATTEMPT", "MODEL"), *rows])
        screen.line(title)
        for job, line in zip(jobs, lines, strict=True):
            screen.line(line, _COLOURS.get(job.status))
    return Exit.DONE


def show(client: Longhaul, screen: Screen, options: argparse.Namespace) -> Exit:
    """Show one job."""
    job = client.jobs.get(options.id)
    if options.json:
        screen.json(job.raw)
        return Exit.DONE
    usage = job.usage and f"{job.usage.input_tokens} in, {job.usage.output_tokens} out"
    rows = [
        ("id", job.id),
        ("status", job.status),
        ("model", job.model),
        ("attempt", f"{job.attempt} of {job.max_attempts}"),
        ("created", _time(job.created_at)),
        ("started", _time(job.started_at)),
        ("ended", _time(job.ended_at)),
        ("error", "-" if job.error is None else f"{job.error.code}: {job.error.message}"),
        ("result", "-" if job.result is None else f"{job.result.bytes} bytes"),
        ("tokens", usage or "-"),
        ("stop reason", job.stop_reason or "-"),
        *((f"metadata {name}", value) for name, value in job.metadata.items()),
        ("trace", job.trace_id or "-"),
    ]
    _show(screen, rows)
    return Exit.DONE


def result(client: Longhaul, screen: Screen, options: argparse.Namespace) -> Exit:
    """Write a job's result."""
    text = client.jobs.result(options.id)
    if options.output is not None:
        try:
            Path(options.output).write_bytes(text.encode())
        except OSError as error:
            raise SettingWrong(f"{options.output} cannot be written: {error.strerror}") from error
    elif options.json:
        screen.json({"id": options.id, "text": text})
    else:
        screen.text(text)
    return Exit.DONE


def cancel(client: Longhaul, screen: Screen, options: argparse.Namespace) -> Exit:
    """Cancel a job."""
    return _show_state(screen, client.jobs.cancel(options.id), as_json=options.json)


def redrive(client: Longhaul, screen: Screen, options: argparse.Namespace) -> Exit:
    """Give a job a new round of attempts."""
    return _show_state(screen, client.jobs.redrive(options.id), as_json=options.json)


def delete(client: Longhaul, screen: Screen, options: argparse.Namespace) -> Exit:
    """Remove an ended job."""
    client.jobs.delete(options.id)
    if options.json:
        screen.json({"id": options.id, "deleted": True})
    else:
        screen.line(f"{options.id}  deleted")
    return Exit.DONE


def timeline(client: Longhaul, screen: Screen, options: argparse.Namespace) -> Exit:
    """Show each step of a job, in seconds after the first, and what the calls took."""
    told = client.jobs.timeline(options.id)
    if options.json:
        screen.json(told.raw)
        return Exit.DONE
    rows = [
        (
            step.step,
            f"{(step.at - told.steps[0].at).total_seconds():.3f} s",
            "-" if step.took is None else f"{step.took.total_seconds():.3f} s",
            _which(step),
            step.by,
            " ".join(filter(None, (step.error, step.detail, _until(step)))),
        )
        for step in told.steps
    ]
    _show(screen, [("STEP", "AFTER", "TOOK", "ATTEMPT", "BY", ""), *rows])
    if told.trace_id is not None:
        screen.line(f"trace {told.trace_id}")
    return Exit.DONE


def deliveries(client: Longhaul, screen: Screen, options: argparse.Namespace) -> Exit:
    """Show who was told of a job's end."""
    found = client.jobs.deliveries(options.id)
    if options.json:
        screen.json([one.raw for one in found])
    elif not found:
        screen.note("no deliveries")
    else:
        rows = [
            (one.id, one.kind, one.event, one.state, str(one.tries), _time(one.next_try_at))
            for one in found
        ]
        _show(screen, [("ID", "KIND", "EVENT", "STATE", "TRIES", "NEXT TRY"), *rows])
    return Exit.DONE


def _which(step: Step) -> str:
    if step.delivery is not None and step.delivery.number is not None:
        return f"try {step.delivery.number}"
    return "-" if step.attempt is None else str(step.attempt)


def _until(step: Step) -> str | None:
    return None if step.until is None else f"(until {_time(step.until)})"


def _show_state(screen: Screen, job: Job, *, as_json: bool) -> Exit:
    if as_json:
        screen.json(job.raw)
    else:
        screen.line(f"{job.id}  {job.status}")
    return Exit.DONE


def _show(screen: Screen, rows: Sequence[Sequence[str]]) -> None:
    for line in table(rows):
        screen.line(line)


def _time(at: datetime | None) -> str:
    return "-" if at is None else at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _age(job: Job, now: datetime) -> str:
    seconds = max((now - job.created_at).total_seconds(), 0)
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min"
    if seconds < _DAY:
        return f"{seconds // _HOUR:.0f} h"
    return f"{seconds // _DAY:.0f} d"
