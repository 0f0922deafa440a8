"""The operator's commands on all users' jobs: `jobs --stuck` and `redrive --failed-since`."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import TYPE_CHECKING

from adapters.clock import SystemClock
from adapters.settings import read_settings
from adapters.wiring import open_finder, open_lines, open_redrive_parts, open_workers
from deploy.table import printable, table
from jobs.errors import InvalidRequest, JobNotFound, NotRedrivable, Unavailable
from jobs.find import holder_of, look_at
from jobs.job import UserId
from jobs.redrive import redrive_job
from jobs.times import written_time

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from datetime import datetime, timedelta

    from adapters.settings import Settings
    from jobs.find import Ended, Found, Heard, Size, Stuck
    from jobs.job import Job, JobId
    from jobs.redrive import RedriveParts

_NOT_ALL = 1  # exit status: some are stuck, or could not be redriven
_UNIT_BYTES = 8192  # an eventually consistent scan reads 4 KB for half a unit


def list_stuck(options: argparse.Namespace) -> int:
    """List the jobs that do not end."""
    settings, now = read_settings(os.environ), SystemClock().now()
    before = now - options.older_than
    found = open_finder(settings).find_open(before, now=now, limit=options.limit)
    heard = _heard_of(found.jobs, settings)
    in_line = _in_line(found.jobs, settings)
    stuck = [
        look_at(
            job,
            now,
            lease=settings.lease,
            heard=heard.get(holder_of(job) or ""),
            is_in_line=None if in_line is None else job.id in in_line,
        )
        for job in found.jobs
    ]
    if options.json:
        written = [_whole(one, now) for one in stuck]
        _write(json.dumps({"jobs": written, "is_whole": found.is_whole}, indent=2))
    else:
        _write("\n".join(_table(stuck, found, now)))
    return _NOT_ALL if stuck else 0


def _heard_of(jobs: Sequence[Job], settings: Settings) -> dict[str, Heard]:
    """Ask Redis which of the jobs' holders are there; nothing is known while it is away."""
    holders = [holder for job in jobs if (holder := holder_of(job)) is not None]
    try:
        return open_workers(settings).heard(holders)
    except Unavailable as error:
        sys.stderr.write(f"longhaul jobs: whether workers live is not known: {error}\n")
        return {}


def _in_line(jobs: Sequence[Job], settings: Settings) -> frozenset[JobId] | None:
    """Ask Redis which of the jobs only wait for their turn; None while it is away."""
    try:
        return open_lines(settings).standing(jobs)
    except Unavailable as error:
        sys.stderr.write(f"longhaul jobs: who stands in line is not known: {error}\n")
        return None


def _table(stuck: Sequence[Stuck], found: Found, now: datetime) -> Iterator[str]:
    if not stuck:
        yield "no stuck jobs" if found.is_whole else "none among those looked at; there are more"
        return
    rows = [
        ("JOB", "STATE", "AGE", "ATTEMPT", "LAST STEP", "HOLDER", "LEASE END", "USER", "WHY"),
        *(
            (
                one.job.id if one.job.part is None else f"{one.job.id} (of {one.job.part.job})",
                str(one.job.status),
                _age(now - one.since),
                f"{one.job.attempt}/{one.job.max_attempts}",
                str(one.last_step),
                one.holder or "-",
                _lease_end(one) or "-",
                str(one.job.user),
                one.why,
            )
            for one in stuck
        ),
    ]
    yield from table(rows)
    if not found.is_whole:
        yield "there are more: --limit"


def _whole(one: Stuck, now: datetime) -> dict[str, object]:
    job = one.job
    return {
        "job_id": job.id,
        "user": job.user,
        "status": job.status,
        "model": job.model,
        "since": written_time(one.since),
        "age_s": math.floor((now - one.since).total_seconds()),
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "last_step": one.last_step,
        "holder": one.holder,
        "lease_until": _lease_end(one),
        "rescue_at": written_time(one.rescue_at) if one.rescue_at else None,
        "next_due": written_time(job.due_at) if job.due_at else None,
        "error": job.error.code if job.error else None,
        "part_of": job.part.job if job.part else None,
        "why": one.why,
        "trace_id": job.trace.id,
    }


def _lease_end(one: Stuck) -> str | None:
    """Give the end of a lease that somebody holds, or held last."""
    if one.rescue_at is None or one.job.lease_until is None:
        return None
    return written_time(one.job.lease_until)


def redrive_many(options: argparse.Namespace) -> int:
    """Redrive what has failed, of all users."""
    settings = read_settings(os.environ)
    finder = open_finder(settings)
    if options.user is None and not (options.yes or options.dry_run):
        _ask(f"{_cost_of(finder.size())} Go on?")
    since = SystemClock().now() - options.failed_since
    user = None if options.user is None else UserId(options.user)
    found = [
        one
        for one in finder.find_failed(since, user=user)
        if options.error is None or one.error == options.error
    ]
    found.sort(key=lambda one: one.ended_at)
    chosen = found if options.limit is None else found[: options.limit]
    if options.dry_run or not chosen:
        for one in chosen:
            _tell(one, "would be redriven", as_json=options.json)
        sys.stderr.write(f"{len(found)} jobs found\n")
        return 0
    if not options.yes:
        _ask(f"Redrive {len(chosen)} jobs, each of which may pay for calls?")
    parts = open_redrive_parts(settings)
    refused = [one for one in chosen if not _redrive_one(one, parts, as_json=options.json)]
    sys.stderr.write(f"{len(chosen) - len(refused)} jobs redriven, {len(refused)} not\n")
    return _NOT_ALL if refused else 0


def _redrive_one(one: Ended, parts: RedriveParts, *, as_json: bool) -> bool:
    """Redrive one job as its user could, and say what became of it."""
    try:
        redrive_job(parts.store.get(one.job), parts)
    except (NotRedrivable, JobNotFound) as error:
        _tell(one, f"not redriven: {error}", as_json=as_json)
        return False
    _tell(one, "redriven", as_json=as_json)
    return True


def _tell(one: Ended, told: str, *, as_json: bool) -> None:
    if as_json:
        fields = {
            "job_id": one.job,
            "user": one.user,
            "status": one.status,
            "ended_at": written_time(one.ended_at),
            "error": one.error,
            "told": told,
        }
        _write(json.dumps(fields))
    else:
        error = one.error or "-"
        _write(printable(f"{one.job}  {one.status}  {error}  {one.user}  {told}"))


def _cost_of(size: Size) -> str:
    units = math.ceil(size.size_bytes / _UNIT_BYTES)
    return (
        f"Nothing lists failed jobs of all users, so the whole table is read: {size.items} items,"
        f" {size.size_bytes / 1e6:.1f} MB, some {units} read units; --user reads one user's alone."
    )


def _ask(question: str) -> None:
    """Go on only where a person says yes; a script says --yes."""
    if not sys.stdin.isatty():
        raise InvalidRequest(f"{question} Say --yes, or --dry-run to see which jobs")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise InvalidRequest("nothing was done")


def _age(age: timedelta) -> str:
    seconds = math.floor(age.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
