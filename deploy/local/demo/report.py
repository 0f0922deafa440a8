"""The job, its events and its timeline as lines for a person. No I/O."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from deploy.local.demo.client import Told

# What says something already in the answer to the POST; the rest is still null then.
SHOWN_OF_A_NEW_JOB: Final = (
    "id",
    "status",
    "model",
    "attempt",
    "max_attempts",
    "created_at",
    "metadata",
    "trace_id",
)


def new_job_lines(job: Mapping[str, Any]) -> list[str]:
    """Show a new job as JSON, without what is null and its links."""
    shown = {name: job[name] for name in SHOWN_OF_A_NEW_JOB if name in job}
    written = json.dumps(shown, indent=2, ensure_ascii=False)
    left_out = [name for name in job if name not in shown]
    return [*written.splitlines(), f"(not shown: {', '.join(left_out)})"]


def state_line(event: Told) -> str:
    """Show a state event in one line."""
    words = [f"seq {event.seq:<10} {event.type}"]
    if event.attempt:
        words.append(f"attempt {event.attempt}")
    if event.delay_s is not None:
        words.append(f"again in {event.delay_s:g} s")
    if event.error:
        words.append(event.error)
    return "  ".join(words)


def outcome_lines(job: Mapping[str, Any]) -> list[str]:
    """Show how a job ended."""
    usage = job.get("usage") or {}
    attempts = f"{job['attempt']} of at most {job['max_attempts']}"
    lines = [f"status       {job['status']}", f"attempts     {attempts}"]
    if usage:
        tokens = f"{usage['input_tokens']:,} tokens in, {usage['output_tokens']:,} tokens out"
        lines.append(f"usage        {tokens}")
    if job.get("stop_reason"):
        lines.append(f"stop reason  {job['stop_reason']}")
    if error := job.get("error"):
        lines.append(f"error        {error['code']}: {error['message']}")
    return [*lines, f"trace id     {job['trace_id']}"]


def sha256_prefix(content: bytes) -> str:
    """Return the start of a content's SHA-256: enough to compare by eye."""
    return hashlib.sha256(content).hexdigest()[:16]


def timeline_lines(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Show the steps as a table, each with its offset from the first."""
    rows = [("step", "after", "attempt", "by", "")]
    start = min((_time(step) for step in steps), default=None)
    for step in sorted(steps, key=_time):
        offset = (_time(step) - start) / timedelta(seconds=1) if start else 0.0
        remark = ": ".join(step[name] for name in ("error", "detail") if step.get(name))
        attempt = str(step["attempt"]) if step.get("attempt") is not None else "-"
        rows.append((step["step"], f"{offset:.3f} s", attempt, step["by"], remark))
    return _aligned(rows)


def _time(step: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(step["at"])


def _aligned(rows: Sequence[tuple[str, str, str, str, str]]) -> list[str]:
    step, after, attempt, by = (max(len(row[column]) for row in rows) for column in range(4))
    lines = [
        f"{row[0]:<{step}}  {row[1]:>{after}}  {row[2]:<{attempt}}  {row[3]:<{by}}  {row[4]}"
        for row in rows
    ]
    return [line.rstrip() for line in lines]
