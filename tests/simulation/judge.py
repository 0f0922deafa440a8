"""The judge: what is wrong with a story, and the story for people."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobs.events import EventType, terminal_event
from jobs.job import Inline, JobStatus, OnInterrupted
from jobs.seq import BLOCK
from jobs.timeline import StepName
from jobs.transitions import was_cancelled_under
from tests.simulation.baton import SECOND
from tests.simulation.faults import Design, Faults
from tests.simulation.processes import LEASE
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from jobs.claim import Claim
    from jobs.events import Event
    from jobs.job import Job, JobId
    from tests.simulation.records import Version


@dataclass(frozen=True, kw_only=True)
class Story:
    """What came of a seed: `violations` is empty where everything that must hold held."""

    seed: int
    violations: tuple[str, ...]
    lines: tuple[str, ...] = field(repr=False)


def simulate(
    seed: int, *, jobs: int = 4, faults: Faults | None = None, design: Design | None = None
) -> Story:
    """Tell the story of a seed and judge it."""
    world = World(seed, jobs=jobs, faults=faults or Faults(), design=design or Design())
    world.baton.run()
    rows = {version.after.id: version.after for version in world.versions}
    violations = [*world.baton.broke, *world.broken]
    violations += [problem for version in world.versions for problem in _wrong_write(version)]
    for number, job in enumerate(rows.values(), start=1):
        history = [version for version in world.versions if version.after.id == job.id]
        violations += [f"job {number}: {problem}" for problem in _judge(world, job, history)]
    return Story(seed=seed, violations=tuple(violations), lines=tuple(_lines(world, rows)))


def _lines(world: World, rows: dict[JobId, Job]) -> Iterator[str]:
    """Tell the story for people, and for comparing two runs of a seed."""
    numbers = {job_id: number for number, job_id in enumerate(rows, start=1)}
    told = [(v.at, _line(numbers[v.after.id], v)) for v in world.versions]
    told += [
        (c.ends_at, f"job {numbers[c.job]} call of epoch {c.epoch} ends, closed at {c.closed_at}")
        for c in world.calls
    ]
    told += [(int(line.split(":")[0]), line.split(": ")[1]) for line in world.trouble]
    for at, line in sorted(told):
        yield f"{at / SECOND:9.3f} {line}"


def _line(number: int, version: Version) -> str:
    row = version.after
    return (
        f"job {number} {version.verb} -> {row.status} epoch {row.epoch} attempt {row.attempt}"
        f" seq {row.seq} due {row.due_at}"
    )


ALLOWED = {
    JobStatus.PENDING: {JobStatus.RUNNING, JobStatus.CANCELLED, JobStatus.EXPIRED},
    JobStatus.PENDING_RETRY: {JobStatus.RUNNING, JobStatus.CANCELLED, JobStatus.EXPIRED},
    JobStatus.RUNNING: set(JobStatus) - {JobStatus.PENDING},
    JobStatus.COMPLETED: set(),
    JobStatus.FAILED: {JobStatus.PENDING},
    JobStatus.CANCELLED: {JobStatus.PENDING},
    JobStatus.EXPIRED: {JobStatus.PENDING},
}


def _wrong_write(version: Version) -> Iterator[str]:
    """Say what is wrong with one write of a row, knowing only the row before it."""
    before, after, verb = version.before, version.after, version.verb
    if before is None:
        return
    where = f"{version.at}: {verb} of epoch {before.epoch}"
    if version.writer is not None and not _may_write(version.writer, before, verb):
        yield f"{where}: written by a fenced worker of epoch {version.writer.epoch}"
    moves = verb in {"claim", "settle", "change"}
    if moves and after.status not in ALLOWED[before.status]:
        yield f"{where}: {before.status} became {after.status}"
    if moves and after.seq <= before.seq:
        yield f"{where}: seq went from {before.seq} to {after.seq}"
    if not moves and (before.status, before.seq) != (after.status, after.seq):
        yield f"{where}: it is no change of state"
    if after.epoch != before.epoch + (verb in {"claim", "change"}):
        yield f"{where}: epoch became {after.epoch}"
    if verb == "claim" and before.lease_until and before.lease_until >= _claimed_at(version):
        yield f"{where}: claimed under a lease until {before.lease_until}"


def _may_write(writer: Claim, before: Job, verb: str) -> bool:
    if verb == "keep_partial":
        return was_cancelled_under(before, writer) and before.result is None
    return (before.status, before.epoch) == (JobStatus.RUNNING, writer.epoch)


def _claimed_at(version: Version) -> datetime:
    """When the claimant thought it claimed."""
    assert version.after.lease_until is not None
    return version.after.lease_until - LEASE


def _judge(world: World, job: Job, history: list[Version]) -> Iterator[str]:
    """Say what is wrong with a job's whole life."""
    if not job.status.is_terminal:
        yield f"never ended: {job.status}"
        return
    yield from _wrong_calls(world, job, history)
    yield from _wrong_result(world, job, history)
    yield from _wrong_events(world, job, history)


def _wrong_calls(world: World, job: Job, history: list[Version]) -> Iterator[str]:
    calls = [call for call in world.calls if call.job == job.id]
    if len({call.attempt for call in calls}) != len(calls):
        yield f"an attempt called twice: {[call.attempt for call in calls]}"
    if len(calls) > job.max_attempts:
        yield f"{len(calls)} calls, and {job.max_attempts} are the bound"
    redrives = [
        v.after.epoch for v in history if v.verb == "change" and v.after.status is JobStatus.PENDING
    ]
    for begin, end in itertools.pairwise([0, *redrives, 1_000_000]):
        retries = sum(
            begin <= v.after.epoch < end and v.after.status is JobStatus.PENDING_RETRY
            for v in history
            if v.verb == "settle"
        )
        hits = sum(
            n for (i, epoch), n in world.excuses.items() if i == job.id and begin <= epoch < end
        )
        made = [call for call in calls if begin <= call.epoch < end]
        done = sum(call.is_completed for call in made)
        if len(made) > 1 + retries + hits:
            yield f"{len(made)} calls for 1 + {retries} retries + {hits} hit in mid-call"
        handed_on = sum(
            begin <= v.after.epoch < end
            and v.after.error is not None
            and v.after.error.code == "interrupted"
            for v in history
            if v.verb == "settle"
        )
        if done > 1 + hits + handed_on:
            yield f"{done} completed calls, {hits} hit in mid-call, {handed_on} handed on"
        if job.on_interrupted is OnInterrupted.FAIL and len(made) > 1 + retries:
            yield f"{len(made)} calls with {retries} retries, though on_interrupted=fail"


def _wrong_result(world: World, job: Job, history: list[Version]) -> Iterator[str]:
    if job.result is None and job.status is not JobStatus.COMPLETED:
        return
    assert job.result is not None
    payload = job.result.payload
    text = payload.text if isinstance(payload, Inline) else world.objects.get(payload.key)
    if job.status is not JobStatus.COMPLETED:
        yield from _wrong_partial(world, job, text)
        return
    round_began = max(v.after.epoch for v in history if v.after.status is JobStatus.PENDING)
    steps = {step.name for step in job.timeline if step.attempt == job.attempt}
    calls = [c for c in world.calls if c.job == job.id and c.epoch >= round_began]
    if StepName.RECOVERED not in steps:
        calls = [c for c in calls if c.epoch == job.epoch]
    if text not in [c.text for c in calls]:
        yield f"the result {text!r} is not what a call of its own answered"
    deltas = {
        event.seq: event.text or ""
        for event in world.published
        if (event.job, event.type) == (job.id, EventType.DELTA) and event.seq // BLOCK == job.epoch
    }
    if "".join(deltas[number] for number in sorted(deltas)) != text:
        yield "the deltas of its last attempt are not its result"
    told = {e.seq for e in world.published if e.job == job.id and e.seq // BLOCK == job.epoch}
    if told != set(range(job.epoch * BLOCK + 1, job.seq + 1)):
        yield f"the numbers of its last attempt have holes: {sorted(told)}, {job.seq}"


def _wrong_partial(world: World, job: Job, text: str) -> Iterator[str]:
    """Judge what had come of a cancelled job: its watchers were told the beginning of it."""
    if job.status is not JobStatus.CANCELLED:
        yield f"{job.status}, and yet it has a result"
    told = [
        event.text or ""
        for event in world.published
        if (event.job, event.type) == (job.id, EventType.DELTA)
        and event.seq // BLOCK == job.epoch - 1
    ]
    if not text.startswith("".join(told)):
        yield f"what had come, {text!r}, does not begin with what was told, {told}"


def _wrong_events(world: World, job: Job, history: list[Version]) -> Iterator[str]:
    """Judge what was published, and what a watcher keeps who passes over `seq` <= its last."""
    meanings: dict[int, tuple[EventType, str | None]] = {}
    for event in (event for event in world.published if event.job == job.id):
        meaning = (event.type, event.text)
        if meanings.setdefault(event.seq, meaning) != meaning:
            yield f"seq {event.seq} was given twice: {meanings[event.seq]}, {meaning}"
    redrives = [v.after.seq for v in history if v.after.status is JobStatus.PENDING]
    last: Event | None = None
    for event in (event for event in world.heard if event.job == job.id):
        if last is not None and event.seq <= last.seq:
            continue
        ended_at = last.seq if last is not None and last.type.is_terminal else event.seq
        if ended_at < event.seq and not any(ended_at < seq <= event.seq for seq in redrives):
            yield f"{event.type} {event.seq} came after the end, {ended_at}"
        last = event
    final = terminal_event(job)
    assert final is not None
    if last is None or (last.seq, last.type) != (final.seq, final.type):
        yield f"a watcher's last event is {last}, and the row's is {final.type} {final.seq}"
