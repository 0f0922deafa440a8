"""`python -m bench.sockets`: what a WebSocket costs, and how soon a publish reaches the last one.

Longhaul's web process and a peer (bench/plain.py) run side by side on one stack. They hold the same
number of sockets in the same minutes and are published to in turn. What counts is their ratio: the
machine may be busy with other things.
"""

from __future__ import annotations

import json
import secrets
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench.crowd import handshake
from bench.flags import Flags, amount, count
from bench.output import Output, add_places, say
from bench.process import allow_descriptors
from bench.publishing import TEXT, Publisher, WatchedJob
from bench.servers import longhaul_web, plain_peer
from bench.side import held
from bench.sockets_report import NAME, Plan, Results, raw_figures, section
from bench.subscriber import Subscriber
from jobs.ports import topic_of_job
from tests.stack import LocalStack

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bench.side import Side

USERS = 500  # who the sockets belong to that will not watch; each has a topic of its own
WARM_PUBLISHES = 4  # the first of them says that the job has started
SPARE_FILES = 500  # a process needs beside its sockets
WATCHER = "watcher"


def main() -> int:
    """Measure, print, and write the document and the raw figures."""
    arguments = _parse()
    plan = Plan(
        sockets=arguments.sockets,
        watchers=arguments.watchers,
        publishes=arguments.publishes,
        idle_seconds=arguments.idle_seconds,
    )
    allow_descriptors(plan.sockets + SPARE_FILES)
    with tempfile.TemporaryDirectory(prefix="longhaul-bench-") as folder:
        results = measure(plan, Path(folder))
    Output.of(arguments).write(NAME, text=section(results), figures=raw_figures(results))
    return 0


def measure(plan: Plan, folder: Path) -> Results:
    """Run both servers with all their sockets, and take the figures."""
    keys = {user: secrets.token_hex(16) for user in (WATCHER, *map(_user, range(USERS)))}
    with ExitStack() as stack:
        stand_ins = stack.enter_context(LocalStack(folder))
        web = stack.enter_context(longhaul_web(stand_ins, keys=keys, connections=plan.sockets))
        peer = stack.enter_context(plain_peer(stand_ins, connections=plan.sockets))
        say(f"each opens {plan.sockets} sockets")
        longhaul = stack.enter_context(held(web, _requests(web.port, plan, keys)))
        plain = stack.enter_context(held(peer, [handshake("/", port=peer.port)] * plan.sockets))
        say(f"idle for {plan.idle_seconds:g} s")
        _measure_idle((longhaul, plain), plan)
        say(f"{plan.publishes} publishes to {plan.watchers} watchers")
        job = WatchedJob.submit(web, user=WATCHER, key=keys[WATCHER])
        subscribe = json.dumps({"type": "subscribe", "job_id": job.id})
        longhaul.watch(subscribe, answer=b'"subscribed"', watchers=plan.watchers)
        plain.watch("watch", answer=b"watch", watchers=plan.watchers)
        floor = stack.enter_context(Subscriber(stand_ins.redis_url, topic_of_job(job.id)))
        floors = _measure_publishes(
            longhaul, plain, plan, publisher=Publisher(stand_ins.redis_url), job=job, floor=floor
        )
        return Results(
            plan=plan, longhaul=longhaul.figures, plain=plain.figures, floor_seconds=floors
        )


def _measure_idle(sides: tuple[Side, Side], plan: Plan) -> None:
    before = [side.cost() for side in sides]
    time.sleep(plan.idle_seconds)
    for side, at_first in zip(sides, before, strict=True):
        side.note_idle(at_first)


def _measure_publishes(  # noqa: PLR0913 - two sides, and all that is said to them
    longhaul: Side,
    plain: Side,
    plan: Plan,
    *,
    publisher: Publisher,
    job: WatchedJob,
    floor: Subscriber,
) -> list[float]:
    """Publish to both in turn; give how soon a bare subscriber heard what Longhaul's heard."""
    events = job.events()
    floors: list[float] = []

    def publish(number: int) -> None:
        at = longhaul.time_publish(
            lambda: publisher.publish(next(events)), marker=b'"seq":', watchers=plan.watchers
        )
        floors.append(floor.heard_at() - at)
        text = f"{TEXT}{number}"
        plain.time_publish(
            lambda: publisher.publish_plainly(text), marker=text.encode(), watchers=plan.watchers
        )

    for number in range(WARM_PUBLISHES):
        publish(number)
    before = [side.cost() for side in (longhaul, plain)]
    for number in range(plan.publishes):
        publish(number)
    for side, at_first in zip((longhaul, plain), before, strict=True):
        side.note_publishes(at_first, publishes=plan.publishes)
        del side.figures.publish_seconds[:WARM_PUBLISHES]
    return floors[WARM_PUBLISHES:]


def _requests(port: int, plan: Plan, keys: Mapping[str, str]) -> list[bytes]:
    """Write a handshake for each socket: first those that will watch one user's job."""
    users = [WATCHER] * plan.watchers
    users += [_user(number % USERS) for number in range(plan.sockets - plan.watchers)]
    return [handshake("/v1/ws", port=port, token=keys[user]) for user in users]


def _user(number: int) -> str:
    return f"user-{number}"


def _parse() -> argparse.Namespace:
    parser = Flags("bench.sockets", __doc__)
    parser.add_argument("--sockets", type=count, default=5000, help="on each of the two servers")
    parser.add_argument("--watchers", type=count, default=1000, help="of these, of one job")
    parser.add_argument("--publishes", type=count, default=30)
    parser.add_argument("--idle-seconds", type=amount, default=25, help="25: each is pinged once")
    add_places(parser)
    arguments = parser.parse_args()
    if arguments.watchers > arguments.sockets:
        parser.error("no more watchers than sockets")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
