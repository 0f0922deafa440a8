"""The worlds of the growth's benchmark: the whole system on a table with so many ended jobs."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from adapters.dynamodb_row import number, text
from bench.growth_counts import LISTED, UseCases
from bench.history import unwatched, write_history
from bench.output import say
from bench.turn import TurnFailed, prompt_for, run_turn, socket_ends
from tests.stack import Clients, LocalStack, System, http

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

    from bench.growth_counts import Asked
    from bench.turn import SocketEnds

ACCEPT, WHOLE_WAY, PAGE = "accept", "a job's whole way", f"page of {LISTED} jobs"
SWEEP, CENSUS = "sweep turn", "census"
OURS = (ACCEPT, WHOLE_WAY, PAGE, SWEEP, CENSUS)
PUT, GET, UPDATE = "bare put", "bare get", "bare update"
BARE = (PUT, GET, UPDATE)
_TABLE = "LLM_Jobs"
_WINDOW = 25  # jobs under way at a time
_SETTINGS = {
    "LONGHAUL_BEDROCK_FIRST_TOKEN_SECONDS": "0",
    "LONGHAUL_BEDROCK_TOKENS_PER_SECOND": "1000000",
    "LONGHAUL_SWEEP_SECONDS": "600",  # the benchmark sweeps itself
}
_ENDS_WITHIN = 60.0


@dataclass(kw_only=True)
class World:
    """A system, and the counts that were taken before it was started; `asked` counts questions."""

    url: str
    ends: SocketEnds
    client: DynamoDBClient
    use_cases: UseCases
    row: dict[str, Value]
    counts: dict[str, Asked]
    asked: int = 0

    def measure(self, *, jobs: int, times: int) -> dict[str, float]:
        """Give the seconds of each, by its name: `times` of each, and of jobs so many."""
        return {
            ACCEPT: self._accept(times),
            WHOLE_WAY: self._move(jobs),
            PAGE: _middle(times, self._list),
            SWEEP: _middle(times, self.use_cases.sweep),
            CENSUS: _middle(times, self.use_cases.take_census),
            PUT: _middle(times, self._put),
            GET: _middle(times, self._get),
            UPDATE: _middle(times, self._update),
        }

    def _accept(self, times: int) -> float:
        """Post jobs one after the other, then wait until all have ended."""
        posted: set[str] = set()

        def post() -> None:
            self.asked += 1
            prompt, _ = prompt_for(self.asked)
            answer = http.post(f"{self.url}/v1/jobs", json={"prompt": prompt})
            posted.add(answer.raise_for_status().json()["id"])

        seconds = _middle(times, post)
        give_up_at = time.monotonic() + _ENDS_WITHIN
        while posted:
            posted.discard(self.ends.next_end() or "")
            if time.monotonic() > give_up_at:
                raise TurnFailed(f"{len(posted)} of {times} jobs did not end")
        return seconds

    def _move(self, jobs: int) -> float:
        numbers = range(self.asked + 1, self.asked + 1 + jobs)
        self.asked += jobs
        turn = run_turn(f"{self.url}/v1/jobs", self.ends, numbers=numbers, window=_WINDOW)
        return turn.seconds / jobs

    def _list(self) -> None:
        answer = http.get(f"{self.url}/v1/jobs", params={"limit": LISTED})
        answer.raise_for_status()

    def _put(self) -> None:
        self.asked += 1
        self.client.put_item(TableName=_TABLE, Item=self.row | {"Asked": number(self.asked)})

    def _get(self) -> None:
        self.client.get_item(TableName=_TABLE, Key={"JobId": self.row["JobId"]})

    def _update(self) -> None:
        self.asked += 1
        self.client.update_item(
            TableName=_TABLE,
            Key={"JobId": self.row["JobId"]},
            UpdateExpression="SET Asked = :asked",
            ExpressionAttributeValues={":asked": number(self.asked)},
        )


@contextmanager
def world(folder: Path, *, stored: int) -> Iterator[World]:
    """Run stand-ins, write the history, count, and run web, worker and feed on it."""
    with ExitStack() as opened:
        stack = opened.enter_context(LocalStack(folder, named=_SETTINGS))
        clients = Clients.of(stack.environ)
        opened.callback(clients.close)
        # The stand-in would save it all at its end.
        opened.callback(lambda: clients.dynamodb.delete_table(TableName=_TABLE))
        use_cases = UseCases(clients.dynamodb, _TABLE)
        began = time.monotonic()
        with unwatched(clients.dynamodb, _TABLE):
            one = write_history(clients.dynamodb, _TABLE, jobs=stored)
            say(f"{stored:,} jobs are stored after {time.monotonic() - began:.0f} s")
            counts = use_cases.count()
        row = clients.dynamodb.get_item(TableName=_TABLE, Key={"JobId": text(one)})["Item"]
        system = opened.enter_context(System(stack))
        yield World(
            url=system.url,
            ends=opened.enter_context(socket_ends(system.url)),
            client=clients.dynamodb,
            use_cases=use_cases,
            row=dict(row),
            counts=counts,
        )


def _middle(times: int, act: Callable[[], object]) -> float:
    """Do it so many times and give the median of the seconds."""
    took = []
    for _ in range(times):
        began = time.monotonic()
        act()
        took.append(time.monotonic() - began)
    return median(took)
