"""What the throughput's benchmark says: its section of docs/benchmarks.md, picture, raw figures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from statistics import median
from typing import TYPE_CHECKING

from bench.chart import Bar, draw_bars
from bench.comparison import Comparison, Spread
from bench.document import machine, table, versions
from bench.movers import BARE_CELERY, LONGHAUL
from bench.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

NAME = "throughput"
LEAST_OF_CELERYS = 0.6
_STANDS_ON = ("boto3", "celery", "kombu", "redis", "flask", "gunicorn", "gevent", "ministack")
_PEERS = "arq 0.28.0, taskiq 0.11.20, aiobotocore 3.10.0"  # requirements-peers.lock
_CORES = 2


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much is measured: jobs a turn, turns a side, jobs under way at a time."""

    jobs: int
    rounds: int
    window: int

    @property
    def command(self) -> str:
        """The command that measures this."""
        return f"python -m bench.throughput --jobs {self.jobs} --rounds {self.rounds}"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One turn of one side: processor seconds of its own parts, the stand-ins, the clients."""

    jobs: int
    seconds: float
    own: dict[str, float]
    stand_ins: dict[str, float]
    clients: float

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds

    @property
    def own_ms(self) -> float:
        """Milliseconds of processor time a job, in the side's own processes."""
        return sum(self.own.values()) / self.jobs * 1000

    @property
    def stand_ins_ms(self) -> float:
        """The same, in the stand-ins."""
        return sum(self.stand_ins.values()) / self.jobs * 1000

    @property
    def clients_ms(self) -> float:
        """The same, in the clients."""
        return self.clients / self.jobs * 1000

    @property
    def all_ms(self) -> float:
        """The same, in all of them."""
        return self.own_ms + self.stand_ins_ms + self.clients_ms


Turns = dict[str, list[Measured]]


def raw_figures(plan: Plan, turns: Turns) -> dict[str, object]:
    """Give all figures, for a machine to read."""
    return {
        "machine": machine(),
        "versions": f"{versions(_STANDS_ON)}, {_PEERS}",
        "plan": asdict(plan),
        "turns": {name: [asdict(turn) for turn in taken] for name, taken in turns.items()},
    }


def draw(path: Path, turns: Turns) -> None:
    """Draw each side's rate by bare Celery's of the same round."""
    bars = [
        Bar(name=name, spread=_by_celery(turns, name), is_ours=name == LONGHAUL) for name in turns
    ]
    draw_bars(
        path,
        title="Jobs through the whole path, two cores",
        axis="jobs a second, by bare Celery's of the same round",
        bars=bars,
        bound=LEAST_OF_CELERYS,
    )


def section(plan: Plan, turns: Turns) -> str:
    """Write the section."""
    ours, celerys = turns[LONGHAUL], turns[BARE_CELERY]
    alone = _ratio(celerys, ours, lambda turn: turn.all_ms).median
    target = Target(
        what="Jobs a second, by bare Celery's with the same three writes (median of the rounds)",
        figure=_by_celery(turns, LONGHAUL).median,
        at_least=LEAST_OF_CELERYS,
        why=f"processor time: where two cores do nothing else, the rate would be {alone:.2f}",
    )
    return f"""\
## Throughput

{plan.jobs} jobs a turn, {plan.window} of them at a time, {plan.rounds} turns a side: `POST`, feed,
claim, a model without delay, settle, push. Each job of each turn was checked: its row has its own
answer, and the model was called once.

![Jobs a second, by bare Celery's](benchmarks/{NAME}.svg)

{_rates(turns)}

{target.line}

Processor time a job, which busy neighbours change less than they do a rate:

{_costs(turns)}

Longhaul's own is {_ratio(ours, celerys, lambda turn: turn.own_ms).shown()} times bare Celery's;
with stand-ins and clients, which run on the same two cores,
{_ratio(ours, celerys, lambda turn: turn.all_ms).shown()} times. Where those cores do nothing else,
the rate follows that: {alone:.2f} of bare Celery's. By part, in ms:

{_by_part(turns)}

{_notes(plan, turns)}"""


def _notes(plan: Plan, turns: Turns) -> str:
    ours, celerys = turns[LONGHAUL], turns[BARE_CELERY]
    return f"""\
- Longhaul is one process each of web, worker and feed, by the Procfile's commands and the stand-ins'
  settings; its clients hear the ends from a WebSocket. It writes four times a job: to the peers'
  three (put, claim, result) comes the mark right before the call, which keeps a worker that was
  stopped from paying. Its table has a stream and indexes, its events are numbered and kept, its
  tasks take slots.
- Bare Celery (`bench/peers/celery_peer.py`) is a Flask view that does `put_item` and sends a task,
  under the same gunicorn and gevent, and one worker on the gevent pool with Celery's defaults. arq
  and taskiq are the same on asyncio with aiobotocore, behind aiohttp; arq looks every 20 ms, not
  twice a second. Their ends are one `PUBLISH`, heard from Redis.
- Step Functions is the pattern on an emulator, ministack: a pipe from the stream, a state machine
  that claims, calls, completes and puts an event, a rule into SQS. What it has not:
  `bedrock:invokeModel` (the call is an activity, with 16 workers), filters and batch sizes of pipes
  (the machine maps over all records of a look, one a second). The emulator, its DynamoDB too, counts
  as its own process. That is what an emulator does, and says nothing of AWS.
- The stand-ins take {_share(ours):.0%} of all processor time in Longhaul's turns, {_share(celerys):.0%} in bare Celery's.
  An update of Longhaul's row costs ministack more than one of the peers': more attributes, a
  stream with both images, indexes. On AWS none of that runs here.
- All of a side with stand-ins and clients used {_busy(ours):.0%} of {_CORES} cores in Longhaul's turns, {_busy(celerys):.0%} in
  bare Celery's; the rest was waited for, or the neighbours'.
- Against AWS it would take a table, a bucket, a Redis and a machine in the region, their names in
  place of the stack's (`bench/movers.py`), an account that may call a model {plan.window} times at once, and
  the price of {plan.jobs * plan.rounds:,} calls a side. The feed reads a shard five times a second there (a
  hundred here): a job waits up to 0.2 s longer, and costs the same.
- `{plan.command}`
- {versions(_STANDS_ON)}, {_PEERS}
- {machine()}"""  # noqa: E501 - figures are shorter than what stands for them


def _rates(turns: Turns) -> str:
    return table(
        ("jobs a second", "median (least to most)", "Longhaul's by its", "by bare Celery's"),
        (
            (
                name,
                Spread.of([turn.rate for turn in taken]).shown(".0f"),
                "-" if name == LONGHAUL else _ratio(turns[LONGHAUL], taken, _rate).shown(),
                "-" if name == BARE_CELERY else _by_celery(turns, name).shown(),
            )
            for name, taken in turns.items()
        ),
    )


def _costs(turns: Turns) -> str:
    return table(
        ("ms a job (median of the turns)", "its own processes", "stand-ins", "clients"),
        (
            (
                name,
                f"{median(turn.own_ms for turn in taken):.1f}",
                f"{median(turn.stand_ins_ms for turn in taken):.1f}",
                f"{median(turn.clients_ms for turn in taken):.1f}",
            )
            for name, taken in turns.items()
        ),
    )


def _by_part(turns: Turns) -> str:
    told = [
        f"- {name}: {_parts(turns[name], lambda turn: turn.own)},"
        f" on {_parts(turns[name], lambda turn: turn.stand_ins)}"
        for name in (LONGHAUL, BARE_CELERY)
    ]
    return "\n".join(told)


def _parts(taken: Sequence[Measured], read: Callable[[Measured], Mapping[str, float]]) -> str:
    return ", ".join(
        f"{part} {median(read(turn)[part] / turn.jobs for turn in taken) * 1000:.1f}"
        for part in read(taken[0])
    )


def _by_celery(turns: Turns, name: str) -> Spread:
    return _ratio(turns[name], turns[BARE_CELERY], _rate)


def _rate(turn: Measured) -> float:
    return turn.rate


def _ratio(
    ours: Sequence[Measured], peers: Sequence[Measured], read: Callable[[Measured], float]
) -> Spread:
    return Comparison(
        name="", unit="", ours=[read(turn) for turn in ours], peers=[read(turn) for turn in peers]
    ).ratio


def _share(taken: Sequence[Measured]) -> float:
    return median(turn.stand_ins_ms / turn.all_ms for turn in taken)


def _busy(taken: Sequence[Measured]) -> float:
    return median(turn.all_ms / 1000 * turn.jobs / turn.seconds / _CORES for turn in taken)
