"""`python -m bench.waiting`: what it costs one worker process to hold many calls in flight.

Each side has a fresh process a run, a few short calls to warm up, and then all calls at once. The
model is quiet at first and then streams, so that waiting and streaming are measured apart. What a
token costs is taken from fewer calls, which all have begun before the first one's token.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from bench.flags import Flags, amount, count
from bench.movers import stand_ins
from bench.output import Output, add_places, say
from bench.process import allow_descriptors
from bench.turn import TurnFailed
from bench.waiting_report import (
    ASYNCIO,
    GEVENT,
    LONGHAUL,
    NAME,
    PREFORK,
    ROUNDS,
    STREAMING,
    TELLING,
    Plan,
    Runs,
    draw,
    raw_figures,
    section,
)
from bench.waiting_run import Run, Shape, warm_up
from bench.waiting_sides import asyncio_peer, celery_peer, longhaul
from tests.stack import LocalStack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from bench.movers import Part
    from bench.waiting_run import Figures
    from bench.waiting_sides import Side

_WARM_CALLS = 8
_SPARE_FILES = 1000  # a process needs beside its calls


class Opening(Protocol):
    """How a side is started: with room for so many calls."""

    def __call__(self, stack: LocalStack, *, room: int, name: str) -> AbstractContextManager[Side]:
        """Start it; it ends with the block."""


def main() -> int:
    """Measure, print, and write the document, the picture and the raw figures."""
    parser = _parser()
    arguments = parser.parse_args()
    shape = Shape(
        quiet_seconds=arguments.quiet_seconds,
        stream_seconds=arguments.stream_seconds,
        tokens=arguments.tokens,
    )
    plan = Plan(
        calls=tuple(arguments.calls),
        prefork=arguments.prefork,
        publishes=arguments.publishing,
        streaming=arguments.streaming,
        shape=shape,
    )
    allow_descriptors(max(plan.calls) + _SPARE_FILES)
    output = Output.of(arguments)
    with tempfile.TemporaryDirectory(prefix="longhaul-bench-") as folder:
        runs = measure(plan, Path(folder))
    draw(output.pictures / f"{NAME}.svg", runs)
    output.write(NAME, text=section(plan, runs), figures=raw_figures(plan, runs))
    return 0


def measure(plan: Plan, folder: Path) -> Runs:
    """Run the sides one after the other on one stack, and give the figures of each run."""
    runs: Runs = []
    with LocalStack(folder) as stack:
        bench = _Bench(stack=stack, stand_ins=stand_ins())
        for name, calls, shape in _order(plan):
            try:
                figures = bench.measure(name, calls, shape)
            except TimeoutError as error:
                if name == LONGHAUL:
                    raise
                say(f"{name}, {calls}: no figures, {error}")
                continue
            say(f"{name}, {calls}: {figures.makespan:.1f} s, {figures.cpu:.1f} s of processor time")
            runs.append((name, figures))
    return runs


def _order(plan: Plan) -> Iterator[tuple[str, int, Shape]]:
    """Say who runs when: Longhaul and the limit next to each other."""
    pair, few = [LONGHAUL, ASYNCIO], plan.streaming
    for _ in range(ROUNDS):
        yield from ((name, few, STREAMING) for name in pair)
        pair.reverse()
    if plan.publishes:
        yield TELLING, few, STREAMING
    yield ASYNCIO, plan.calls[0], plan.shape
    yield from ((LONGHAUL, calls, plan.shape) for calls in plan.calls)
    yield GEVENT, plan.calls[0], plan.shape
    yield PREFORK, plan.prefork, plan.shape


@dataclass(frozen=True, kw_only=True)
class _Bench:
    """What all runs stand on."""

    stack: LocalStack
    stand_ins: tuple[Part, ...]

    def measure(self, name: str, calls: int, shape: Shape) -> Figures:
        """Let one side hold so many calls. Raises TurnFailed: it did not stream all of them."""
        slug = f"{name.replace(' ', '-')}-{calls}"
        with _OPENINGS[name](self.stack, room=calls, name=slug) as side:
            warm_up(side, min(_WARM_CALLS, calls))
            figures = Run(
                side, stack=self.stack, stand_ins=self.stand_ins, calls=calls, shape=shape
            ).measure()
        if figures.tokens != calls * shape.tokens:
            raise TurnFailed(f"{name}: {figures.tokens} tokens of {calls} calls")
        return figures


_OPENINGS: dict[str, Opening] = {
    LONGHAUL: longhaul,
    ASYNCIO: partial(asyncio_peer, tells=False),
    TELLING: partial(asyncio_peer, tells=True),
    GEVENT: partial(celery_peer, pool="gevent"),
    PREFORK: partial(celery_peer, pool="prefork"),
}


def _parser() -> argparse.ArgumentParser:
    parser = Flags("bench.waiting", __doc__)
    parser.add_argument("--calls", type=count, nargs="+", default=[1000, 2000], help="at once")
    parser.add_argument("--prefork", type=count, default=100, help="processes of Celery's prefork")
    parser.add_argument("--quiet-seconds", type=amount, default=10, help="before the first token")
    parser.add_argument("--stream-seconds", type=amount, default=20, help="that a call streams")
    parser.add_argument("--tokens", type=count, default=20, help="that a call streams")
    parser.add_argument(
        "--streaming", type=count, default=200, help="calls that tokens are taken of"
    )
    parser.add_argument("--publishing", action="store_true", help="asyncio that publishes, too")
    add_places(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
