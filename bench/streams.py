"""`python -m bench.streams`: tokens a second to hundreds of streams at once, none of them lost.

Longhaul's web process and a peer (bench/plain.py) hold a WebSocket for each stream. A burst of
tokens, the same number for each stream, goes to one side after the other; what counts is the ratio
of the same round: the machine may be busy with other things.
"""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.comparison import in_turn
from bench.crowd import Crowd, CrowdFailed, handshake
from bench.flags import Flags, count
from bench.output import Output, add_places, say
from bench.plain import STREAM
from bench.process import allow_descriptors
from bench.publishing import TEXT, Publisher, WatchedJob
from bench.servers import longhaul_web, plain_peer
from bench.streaming import SUBSCRIBED, ask_for_each, subscriptions, talking
from bench.streams_report import LONGHAUL, NAME, PEER, Burst, Plan, Results, raw_figures, section
from tests.stack import LocalStack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

    from bench.servers import Server

_SPARE_FILES = 500  # a process needs beside its sockets
_SAYS_WITHIN = 60.0
_LATE_SECONDS = 0.2  # for what comes twice to come
_USER = "streamer"


def main() -> int:
    """Measure, print, and write the document and the raw figures."""
    arguments = _parse()
    plan = Plan(streams=arguments.streams, tokens=arguments.tokens, rounds=arguments.rounds)
    allow_descriptors(plan.streams + _SPARE_FILES)
    with tempfile.TemporaryDirectory(prefix="longhaul-bench-") as folder:
        results = measure(plan, Path(folder))
    Output.of(arguments).write(NAME, text=section(results), figures=raw_figures(results))
    return 0


def measure(plan: Plan, folder: Path) -> Results:
    """Run both servers with all their streams, and take the figures."""
    load_before, key = os.getloadavg()[0], secrets.token_hex(16)
    with ExitStack() as stack:
        stand_ins = stack.enter_context(LocalStack(folder))
        web = stack.enter_context(
            longhaul_web(stand_ins, keys={_USER: key}, connections=plan.streams)
        )
        plain = stack.enter_context(plain_peer(stand_ins, connections=plan.streams))
        say(f"each opens {plan.streams} streams")
        jobs = WatchedJob.submit_many(plan.streams, web, user=_USER, key=key)
        ours = stack.enter_context(
            _watching(
                web,
                handshake("/v1/ws", port=web.port, token=key),
                subscriptions(jobs),
                answer=SUBSCRIBED,
            )
        )
        peers = stack.enter_context(
            _watching(
                plain,
                handshake("/", port=plain.port),
                [_channel(number) for number in range(plan.streams)],
                answer=STREAM.encode(),
            )
        )
        talker = stack.enter_context(talking(_talk, jobs, stand_ins.redis_url, plan.tokens))
        say(f"{plan.rounds} bursts of {plan.streams * plan.tokens} tokens to each")
        bursts = in_turn(
            plan.rounds + 1,
            {
                LONGHAUL: partial(_burst, ours, talker, LONGHAUL, plan),
                PEER: partial(_burst, peers, talker, PEER, plan),
            },
        )
    measured = {side: taken[1:] for side, taken in bursts.items()}  # the first warms them
    return Results(plan=plan, load_before=load_before, bursts=measured)


@dataclass(frozen=True, kw_only=True)
class _Watched:
    """A server and the clients of its streams."""

    server: Server
    crowd: Crowd


@contextmanager
def _watching(
    server: Server, request: bytes, texts: Sequence[str], *, answer: bytes
) -> Iterator[_Watched]:
    """Open a socket for each text, which says what is to come on it."""
    with Crowd(server.port) as crowd:
        crowd.open([request] * len(texts))
        ask_for_each(crowd, texts, answer=answer)
        yield _Watched(server=server, crowd=crowd)


def _burst(watched: _Watched, talker: Connection, side: str, plan: Plan) -> Burst:
    """Let all streams have their tokens at once. Raises CrowdFailed: some came twice or not."""
    expected = plan.streams * plan.tokens
    watched.crowd.expect(TEXT.encode(), messages=expected)
    before = watched.server.worker.cpu_seconds()
    talker.send(side)
    if not talker.poll(_SAYS_WITHIN):
        raise CrowdFailed("nobody talks")
    began: float = talker.recv()
    seconds = watched.crowd.wait_for_last() - began
    cpu = watched.server.worker.cpu_seconds() - before
    time.sleep(_LATE_SECONDS)
    if (came := watched.crowd.counted()) != expected:
        raise CrowdFailed(f"{expected} tokens were sent, {came} came")
    return Burst(tokens=expected, seconds=seconds, cpu_seconds=cpu)


def _talk(pipe: Connection, jobs: Sequence[WatchedJob], redis_url: str, tokens: int) -> None:
    """Told a side's name, tell when it begins, and say a burst."""
    publisher = Publisher(redis_url)
    streams = [job.events() for job in jobs]
    for stream in streams:
        publisher.publish(next(stream))  # it has started
    channels = [_channel(number) for number in range(len(jobs))]
    while True:
        side = pipe.recv()
        pipe.send(time.monotonic())
        for number in range(tokens):
            if side == LONGHAUL:
                for stream in streams:
                    publisher.publish(next(stream))
            else:
                publisher.publish_to_each(channels, f"{TEXT}{number}")


def _channel(number: int) -> str:
    return f"{STREAM}{number}"


def _parse() -> argparse.Namespace:
    parser = Flags("bench.streams", __doc__)
    parser.add_argument("--streams", type=count, default=200, help="on each of the two servers")
    parser.add_argument("--tokens", type=count, default=50, help="a stream, in a burst")
    parser.add_argument("--rounds", type=count, default=7)
    add_places(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
