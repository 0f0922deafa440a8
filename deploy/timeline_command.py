"""The operator's look at one job of whomever: `longhaul jobs ID`.

What is shown is what leads to a cause, and nothing that is the user's: no prompt, no result, no
metadata, and of a receiver its kind and not its address.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

from adapters.settings import read_settings
from adapters.wiring import open_operator_parts
from deploy.table import printable, table
from jobs.errors import JobNotFound
from jobs.hops import hops_of, may_have_been_told
from jobs.job import parse_job_id
from jobs.times import written_time
from web.job_json import write_timeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from jobs.delivery import Delivery
    from jobs.hops import Hop
    from jobs.job import Job


def show_job(text: str, *, as_json: bool) -> int:
    """Show each step of a job, of whichever user, and who was told of its end."""
    job_id = parse_job_id(text)
    if job_id is None:
        raise JobNotFound("no job can have this id")
    parts = open_operator_parts(read_settings(os.environ))
    job = parts.store.get(job_id)
    deliveries = parts.deliveries.of_job(job_id) if may_have_been_told(job) else []
    if as_json:
        lines: Iterator[str] = iter([json.dumps(_whole(job, deliveries), indent=2)])
    else:
        lines = _lines(job, deliveries)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _lines(job: Job, deliveries: Sequence[Delivery]) -> Iterator[str]:
    part = "" if job.part is None else f"  part {job.part.number} of {job.part.job}"
    error = "" if job.error is None else f"  {job.error.code}"
    attempt = f"attempt {job.attempt}/{job.max_attempts}"
    yield printable(f"{job.id}  {job.status}{error}  {attempt}  {job.user}{part}")
    hops = hops_of(job, deliveries)
    if hops:
        rows = [_row(hop, since=hop.step.at - hops[0].step.at) for hop in hops]
        yield from table([("STEP", "AT", "AFTER", "TOOK", "ATTEMPT", "BY", ""), *rows])
    if deliveries:
        yield from table(
            [
                ("DELIVERY", "KIND", "EVENT", "STATE", "TRIES", "NEXT TRY"),
                *(
                    (
                        one.id,
                        str(one.kind),
                        str(one.event.type),
                        str(one.state),
                        str(one.tries),
                        written_time(one.not_before) if one.not_before else "-",
                    )
                    for one in deliveries
                ),
            ]
        )
    yield f"trace {job.trace.id}"


def _row(hop: Hop, *, since: timedelta) -> tuple[str, ...]:
    step, told = hop.step, hop.told
    which = "-" if step.attempt is None else str(step.attempt)
    if told is not None and told.number is not None:
        which = f"try {told.number}"
    until = f"(until {written_time(step.until)})" if step.until else None
    return (
        str(step.name),
        written_time(step.at),
        _seconds(since),
        "-" if hop.took is None else _seconds(hop.took),
        which,
        step.by,
        " ".join(filter(None, (step.error, step.detail, until))),
    )


def _whole(job: Job, deliveries: Sequence[Delivery]) -> dict[str, object]:
    return {
        **write_timeline(job, deliveries),
        "user": job.user,
        "model": job.model,
        "attempt": job.attempt,
        "max_attempts": job.max_attempts,
        "error": job.error.code if job.error else None,
        "part_of": job.part.job if job.part else None,
        "deliveries": [
            {
                "id": one.id,
                "kind": one.kind,
                "event": one.event.type,
                "state": one.state,
                "tries": one.tries,
                "next_try_at": written_time(one.not_before) if one.not_before else None,
            }
            for one in deliveries
        ],
    }


def _seconds(span: timedelta) -> str:
    return f"{span.total_seconds():.3f} s"
