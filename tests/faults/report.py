"""The report: what a round did, what it found, and how to have it again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.faults.evidence import is_refused
from tests.faults.excuses import disturbances_of, excuse_for
from tests.faults.recovery import recoveries, seconds_until_back, spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.faults.evidence import Evidence
    from tests.faults.verdict import Finding

MOST_SHOWN = 12


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """What a round measured beside its evidence; seconds."""

    seconds: float
    ended_after_last_fault: float
    ends_within: float
    answers: Mapping[str, int]
    given_up: int
    slowest_refusal: float
    struck: Mapping[str, int]
    connections: int
    events: int
    told_on_asking: int


@dataclass(frozen=True, kw_only=True)
class Report:
    """One round's outcome."""

    seed: int
    replay: str
    folder: Path
    evidence: Evidence
    findings: Sequence[Finding]
    broken_faults: Sequence[str]
    numbers: Numbers

    @property
    def has_passed(self) -> bool:
        return not self.findings and not self.broken_faults

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        numbers, evidence = self.numbers, self.evidence
        statuses = Counter(str(job.status) for job in evidence.jobs.values())
        yield (
            f"seed {self.seed}: {len(evidence.accepted)} jobs accepted, {len(evidence.jobs)} rows,"
            f" {numbers.given_up} given up by their clients, {numbers.seconds:.0f} s"
        )
        yield f"  ended      {_counts(statuses)}"
        yield (
            f"  the last   {numbers.ended_after_last_fault:.1f} s after the last fault and the last"
            f" job ({numbers.ends_within:.0f} s allowed)"
        )
        yield f"  answers    {_counts(numbers.answers)}"
        yield f"  503 after  {numbers.slowest_refusal:.1f} s at most"
        yield from self._calls()
        yield f"  proxy      {_counts(numbers.struck)}"
        yield f"  stream     {len(evidence.changes)} changes checked"
        watched = sum(len(jobs) for jobs in evidence.watched.values())
        yield (
            f"  watchers   {len(evidence.watched)} on {numbers.connections} connections,"
            f" {watched} jobs, {numbers.events} events, {numbers.told_on_asking} told their end"
            " only on asking again"
        )
        for role, seconds in seconds_until_back(evidence).items():
            yield f"  back again {role}: {len(seconds)} times, {spread(seconds)}"
        for recovery in recoveries(evidence):
            yield f"  recovery   {recovery}"
        yield from self._verdict()

    def _calls(self) -> Iterator[str]:
        calls = [call for calls in self.evidence.calls.values() for call in calls]
        yield f"  calls      {len(calls)}: {_counts(Counter(call.outcome for call in calls))}"
        more = [call for calls in self.evidence.calls.values() for call in calls[:-1]]
        retried = sum(is_refused(call) for call in more)
        yield (
            f"  beyond one {len(more)} calls: {retried} retried by the policy,"
            f" {len(more) - retried} broken off or completed before another followed"
        )
        why = Counter(self._reasons())
        yield f"  of these   {_counts(why)}"
        twice = sum(
            sum(call.outcome == "completed" for call in calls) > 1
            for calls in self.evidence.calls.values()
        )
        yield f"  paid twice {twice} jobs have two completed calls"

    def _reasons(self) -> Iterator[str]:
        """Say of each call that was followed by another, and not refused, what explains it."""
        hits = disturbances_of(self.evidence.strikes, self.evidence.lives)
        for job_id, calls in self.evidence.calls.items():
            for call, following in pairwise(calls):
                if not is_refused(call):
                    job = self.evidence.jobs[job_id]
                    until = following.started_at
                    excuse = excuse_for(job, call, until, hits, following=following)
                    yield f"{call.outcome} by {excuse.what if excuse else 'nothing known'}"

    def _verdict(self) -> Iterator[str]:
        for error in self.broken_faults:
            yield f"  FAULT NOT DONE  {error}"
        if not self.findings:
            yield f"  seed {self.seed}: every promise was kept"
            return
        for promise, count in Counter(finding.promise for finding in self.findings).items():
            yield f"  BROKEN {promise}: {count}"
            few = [finding for finding in self.findings if finding.promise == promise]
            for finding in few[:MOST_SHOWN]:
                yield f"    {finding.job_id}: {finding.detail}"
        yield f"  logs are in {self.folder}"
        yield f"  replay with: {self.replay}"


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{count} {name}" for name, count in ordered) or "none"
