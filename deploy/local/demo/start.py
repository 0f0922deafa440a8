"""Waiting until a system that was started is ready, part by part."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx

from deploy.local.demo.error import DemoError
from deploy.local.demo.log import what_it_said, worth_showing
from deploy.local.demo.processes import ProcessTree
from deploy.local.demo.screen import Screen
from deploy.local.environment import LocalPlan
from deploy.local.lock import is_alive
from deploy.local.ready import read_ready
from deploy.local.servers import servers_of

READY_WITHIN: Final = timedelta(seconds=90)
# Only the first token is slower where one of these comes up late: not worth a failed demo.
LATECOMERS_MAY_TAKE: Final = timedelta(seconds=10)
LINES_SHOWN: Final = 20
POLL: Final = timedelta(milliseconds=200)  # each one is a line in the web process's log


@dataclass(frozen=True, kw_only=True)
class Part:
    """One thing to wait for; the demo can do without a latecomer."""

    name: str
    is_ready: Callable[[], bool]
    detail: Callable[[], str] = str  # what to add to the name if it does not become ready
    is_latecomer: bool = False


def parts_of(decided: LocalPlan, environ: Mapping[str, str], tree: ProcessTree) -> list[Part]:
    """Return what must be there, in the order in which it comes up."""
    servers = [
        Part(name=f"{server.name} stand-in", is_ready=partial(server.answers, server.port))
        for server in servers_of(decided, environ)
    ]
    return [
        *servers,
        Part(name="table and bucket", is_ready=partial(stores_are_made, decided.data_dir)),
        Part(
            name="web",
            is_ready=partial(answers_ready, decided.web_address),
            detail=partial(parts_not_ready, decided.web_address),
        ),
        Part(
            name="worker",
            is_ready=lambda: "worker_started" in what_it_said("worker", tree.log_lines()),
            is_latecomer=True,
        ),
        Part(
            name="feed",
            is_ready=lambda: "feed_started" in what_it_said("feed", tree.log_lines()),
            is_latecomer=True,
        ),
    ]


def stores_are_made(data_dir: Path) -> bool:
    """Tell whether `local` says that everything behind it is ready."""
    ready = read_ready(data_dir)
    return ready is not None and is_alive(ready.pid)


def answers_ready(address: str) -> bool:
    """Tell whether GET /readyz says that every part is ready."""
    answer = ask_readyz(address)
    if answer is None or answer.status_code != HTTPStatus.OK:
        return False
    return all(state == "ready" for state in answer.json()["parts"].values())


def parts_not_ready(address: str) -> str:
    """Return what GET /readyz says of the parts that are not ready, in parentheses."""
    answer = ask_readyz(address)
    if answer is None:
        return f" (no answer from {address}readyz)"
    states = answer.json()["parts"].items()
    return f" ({', '.join(f'{name} {state}' for name, state in states if state != 'ready')})"


def ask_readyz(address: str) -> httpx.Response | None:
    """GET /readyz; None if nobody answers."""
    try:
        # The address is on this machine: a proxy that the environment names is not for it.
        return httpx.get(f"{address}readyz", timeout=5, trust_env=False)
    except httpx.HTTPError:
        return None


def wait_for(parts: Sequence[Part], tree: ProcessTree, screen: Screen) -> None:
    """Return when every part is ready, saying so one by one; raises DemoError if one is not."""
    start = time.monotonic()
    late_at = start + READY_WITHIN.total_seconds()
    pending = list(parts)
    screen.line(f"waiting for {names_of(pending)}")
    while True:
        took = time.monotonic() - start
        for part in [part for part in pending if part.is_ready()]:
            pending.remove(part)
            screen.line(f"  {took:5.1f} s  {part.name} ready")
        if tree.exit_code is not None:
            raise DemoError("the system did not start")
        if pending and all(part.is_latecomer for part in pending):
            late_at = min(late_at, time.monotonic() + LATECOMERS_MAY_TAKE.total_seconds())
        if not pending or time.monotonic() >= late_at:
            break
        screen.waiting(f"  {took:5.1f} s  waiting for {names_of(pending)}")
        time.sleep(POLL.total_seconds())
    if not all(part.is_latecomer for part in pending):
        show_end_of_log(tree, screen)
        late = ", ".join(f"{part.name}{part.detail()}" for part in pending)
        raise DemoError(f"not ready after {READY_WITHIN.seconds} s: {late}")
    if pending:
        screen.line(f"  going on without a word from {names_of(pending)}")


def names_of(parts: Sequence[Part]) -> str:
    """Return the names, for people."""
    return ", ".join(part.name for part in parts)


def show_end_of_log(tree: ProcessTree, screen: Screen) -> None:
    """Show the last lines of the log that may tell what is wrong."""
    screen.line(f"the end of {tree.log}:")
    for line in worth_showing(tree.log_lines(), count=LINES_SHOWN):
        screen.line(f"  {line}")
