"""Change records to read: one job's life as the store writes it, again under many ids."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from adapters.dynamodb_jobs import DynamoDBJobStore
from bench.stream_server import NUMBER, Written
from jobs.job import Inline, JobId
from jobs.prompt import Prompt
from tests.contracts import stories
from tests.streams_stand_in import TableStream

if TYPE_CHECKING:
    from tests.stack import Clients

PROMPT_BYTES = 2048
_KEPT = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Life:
    """The records of one job, as JSON: it was added, claimed, invoked and completed."""

    job_id: JobId
    texts: tuple[bytes, ...]

    @classmethod
    def write(cls, clients: Clients, *, table: str, stream: str) -> Life:
        """Let a job live in a table, and take its records from the table's stream."""
        store = DynamoDBJobStore(client=clients.dynamodb, table=table, retention=_KEPT)
        job = stories.a_job(prompt=Inline(text=Prompt(text="x" * PROMPT_BYTES).to_json()))
        store.add(job)
        claim = stories.claim(store, job.id)
        store.mark_invoked(claim, stories.invoked(stories.after(1)))
        store.settle(claim, stories.completed(claim, stories.after(2)))
        records = TableStream(clients.streams, stream).new_records()
        return cls(job_id=job.id, texts=tuple(_text(dict(record)) for record in records))

    def beginnings(self, count: int) -> list[Written]:
        """Give the first record of so many jobs."""
        return [self._under(number)[0] for number in range(count)]

    def whole(self, count: int) -> list[Written]:
        """Give all records of so many jobs."""
        return [record for number in range(count) for record in self._under(number)]

    def _under(self, number: int) -> list[Written]:
        """Write the records under another job's id."""
        job_id = JobId(f"job_{number:026d}").encode()
        texts = [text.replace(self.job_id.encode(), job_id) for text in self.texts]
        return [Written.of(text, job=number) for text in texts]


def _text(record: dict[str, Any]) -> bytes:
    change = record["dynamodb"] | {"SequenceNumber": NUMBER}
    return json.dumps(
        record | {"dynamodb": change}, default=datetime.timestamp, separators=(",", ":")
    ).encode()
