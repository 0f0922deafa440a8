"""A divided job's whole life in memory: feed, sweep and workers take turns in the test's hands."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from adapters.memory import ManualClock, MemoryEvents, MemoryFenced, MemoryJobStore
from adapters.memory import MemoryTaskQueue as Queue
from jobs.cancel import cancel_job
from jobs.dispatch import ChangeRecord, tasks_for
from jobs.document import Document, MediaType, UploadId
from jobs.errors import JobNotFound
from jobs.job import Job, JobId, ModelId, ObjectKey
from jobs.plan import part_id
from jobs.redrive import redrive_job
from jobs.run import run_job
from jobs.shards import ShardId
from jobs.sweep import sweep
from tests.builders import (
    Answer,
    FixedChance,
    RecordingLog,
    ScriptedAnswering,
    ScriptedReader,
    a_job,
    cancel_parts,
    document_parts,
    gatherer,
    redrive_parts,
    run_parts,
    sweep_parts,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from jobs.claim import ClaimRefused
    from jobs.events import Event
    from jobs.model_ports import Invocation
    from jobs.task import Task

REPORT = "report.pdf"
A_PAGE = "Revenue rose by four percent in this quarter, and costs did not. " * 40
PAGES = 12
ANSWER_TOKENS = 200
SMALL = ModelId("amazon.titan-text-lite-v1")  # takes some four of these pages a call
LARGE = ModelId("amazon.titan-text-premier-v1:0")  # takes all of them
_PAGE = re.compile(r"\[page \d+\]")


def a_document(name: str = REPORT) -> Document:
    return Document(
        upload=UploadId("upl_1"),
        name=name,
        media_type=MediaType.PDF,
        size=1,
        key=ObjectKey(f"uploads/{name}"),
    )


def pages(count: int = PAGES) -> list[str]:
    return [f"{A_PAGE} Page {number} says so." for number in range(1, count + 1)]


@dataclass(kw_only=True)
class Reader:
    """jobs.model_ports.Model that answers with the pages it was told; `before` may raise or act."""

    invocations: list[Invocation] = field(default_factory=list)
    before: Callable[[Invocation], object] | None = None

    @contextmanager
    def invoke(self, invocation: Invocation) -> Iterator[ScriptedAnswering]:
        self.invocations.append(invocation)
        if self.before is not None:
            self.before(invocation)
        found = list(dict.fromkeys(_PAGE.findall(invocation.prompt.to_json())))
        yield ScriptedAnswering(Answer(pieces=("It rose ", " ".join(found)), usage=(100, 10)))


class Mill:
    """One divided job and all that moves it; `turn` feeds once and runs what that brought."""

    def __init__(
        self,
        *,
        most_parts: int = 16,
        store: MemoryJobStore | None = None,
        **changes: Any,  # noqa: ANN401 - a Job's
    ) -> None:
        self.clock = ManualClock()
        self.store = store or MemoryJobStore()
        self.events = MemoryEvents()
        self.holders = MemoryFenced()
        self.queue = Queue()
        self.log = RecordingLog()
        self.model = Reader()
        self.reader = ScriptedReader(pages={REPORT: pages()})
        shared: dict[str, Any] = {"events": self.events, "clock": self.clock, "log": self.log}
        self.parts = run_parts(
            store=self.store,
            model=self.model,
            documents=document_parts(
                reader=self.reader, answer_tokens=ANSWER_TOKENS, most_parts=most_parts
            ),
            chance=FixedChance(),
            **shared,
        )
        self.gatherer = gatherer(self.store, holders=self.holders, **shared)
        self.cancelling = cancel_parts(self.store, holders=self.holders, **shared)
        self.redriving = redrive_parts(self.store, feed=self.events, **shared)
        self.sweeping = sweep_parts(self.store, queue=self.queue, holders=self.holders, **shared)
        self._read = 0
        self.job_id = a_job().id
        asked: dict[str, Any] = {"documents": (a_document(),), "model": SMALL}
        self.store.add(a_job(**(asked | changes)))

    @property
    def job(self) -> Job:
        return self.store.get(self.job_id)

    @property
    def status(self) -> str:
        return self.job.status

    def part(self, number: int) -> Job:
        division = self.job.division
        assert division is not None
        return self.store.get(part_id(self.job.id, division.plan, number))

    @property
    def part_rows(self) -> list[Job]:
        division = self.job.division
        assert division is not None
        rows: list[Job] = []
        for number in range(1, division.total + 1):
            with suppress(JobNotFound):  # not added yet
                rows.append(self.part(number))
        return rows

    def feed(self) -> list[Task]:
        """Read the stream on, note what ended, and give the tasks; what fails is read again."""
        batch = self.store.stream.read(ShardId("shard-0000"), self._read)
        records = [record for record in batch.records if isinstance(record, ChangeRecord)]
        self.gatherer.take(records)
        self._read += len(batch.records)
        return tasks_for(records, now=self.clock.now(), by="feed@test:1")

    def skip_records(self) -> None:
        """Lose what the feed has not read."""
        self._read = len(self.store.stream.read(ShardId("shard-0000"), 0).records)

    def read_again(self) -> None:
        """Let the feed read everything once more."""
        self._read = 0

    def run(self, task: Task) -> Job | ClaimRefused:
        return run_job(task, self.parts)

    def turn(self) -> None:
        for task in self.feed():
            self.run(task)

    def divide(self) -> Job:
        """Let the job be claimed and divided; its parts wait."""
        [task] = self.feed()
        self.run(task)
        return self.job

    def finish(self, most: int = 20) -> Job:
        """Turn until the job has ended."""
        for _ in range(most):
            if self.job.status.is_terminal:
                return self.job
            self.turn()
        return self.job

    def cancel(self) -> Job:
        return cancel_job(self.job, self.cancelling)

    def redrive(self) -> Job:
        return redrive_job(self.job, self.redriving)

    def sweep_after(self, time: timedelta) -> list[Task]:
        self.clock.advance(time)
        self.queue.tasks.clear()
        sweep(self.sweeping)
        return list(self.queue.tasks)

    def told(self, job_id: JobId | None = None) -> list[Event]:
        return [event for event in self.events.told if job_id in {None, event.job}]

    def calls_of(self, job_id: JobId) -> int:
        return sum(call.job == job_id for call in self.model.invocations)

    def with_answers_of(self, tokens: int) -> None:
        """Plan otherwise from now on."""
        documents = replace(self.parts.documents, answer_tokens=tokens)
        self.parts = replace(self.parts, documents=documents)
