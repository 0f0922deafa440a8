"""A table with a history: as many ended jobs as are wanted, in the rows that the store writes.

One job lives in the table by the store's own writes; the others are its row under other ids, users
and times. They are written without the stream, which on AWS has forgotten them after a day.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from adapters.dynamodb_jobs import DynamoDBJobStore
from adapters.dynamodb_row import text, time
from adapters.schema import STREAM_VIEW
from jobs.job import Inline, JobId, UserId
from jobs.prompt import Prompt
from tests.contracts import stories

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

HISTORIAN = UserId("historian")  # whose is every tenth job of the history
_OTHERS_JOBS = 100  # of each other user
_A_TENTH = 10
_ROWS_A_WRITE = 25  # BatchWriteItem's most
_WRITERS = 2
_BETWEEN = timedelta(seconds=1)
_KEPT = timedelta(days=30)
_PROMPT_BYTES = 500


class NotWritten(Exception):
    """The store has left some rows of a batch."""


@contextmanager
def unwatched(client: DynamoDBClient, table: str) -> Iterator[None]:
    """Switch a table's stream off meanwhile; the one that comes after has another name."""
    client.update_table(TableName=table, StreamSpecification={"StreamEnabled": False})
    yield
    client.update_table(
        TableName=table,
        StreamSpecification={"StreamEnabled": True, "StreamViewType": STREAM_VIEW},
    )


def write_history(client: DynamoDBClient, table: str, *, jobs: int) -> JobId:
    """Fill a table with so many ended jobs and give the id of one of them. Raises NotWritten."""
    row = _lived(client, table)
    firsts = range(1, jobs, _ROWS_A_WRITE)
    batches = (range(first, min(first + _ROWS_A_WRITE, jobs)) for first in firsts)
    with ThreadPoolExecutor(_WRITERS) as pool:
        for _ in pool.map(lambda numbers: _write(client, table, row, numbers), batches):
            pass
    return JobId(row["JobId"]["S"])


def _lived(client: DynamoDBClient, table: str) -> dict[str, Value]:
    """Let one job live and give its row."""
    store = DynamoDBJobStore(client=client, table=table, retention=_KEPT)
    job = stories.a_job(prompt=Inline(text=Prompt(text="x" * _PROMPT_BYTES).to_json()))
    store.add(job)
    claim = stories.claim(store, job.id)
    store.mark_invoked(claim, stories.invoked(stories.after(1)))
    store.settle(claim, stories.completed(claim, stories.after(2)))
    return dict(client.get_item(TableName=table, Key={"JobId": text(job.id)})["Item"])


def _write(client: DynamoDBClient, table: str, row: dict[str, Value], numbers: range) -> None:
    answer = client.batch_write_item(
        RequestItems={table: [{"PutRequest": {"Item": row | _own(number)}} for number in numbers]}
    )
    if left := answer["UnprocessedItems"]:
        raise NotWritten(f"{len(left[table])} of {len(numbers)} rows")


def _own(number: int) -> dict[str, Value]:
    """Write what is a job's own; the histories of two sizes begin with the same jobs."""
    user = HISTORIAN if number % _A_TENTH == 0 else UserId(f"user{number // _OTHERS_JOBS}")
    return {
        "JobId": text(JobId(f"job_{number:026d}")),
        "UserId": text(user),
        "CreatedAt": time(stories.START - number * _BETWEEN),
    }
