"""The Procfile as a person uses it: `honcho start`, a job over HTTP, and Ctrl-C."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from tests.integration.test_main_path import (
    directive,
    ended,
    result_of,
    submit,
    text_of,
    watching,
)
from tests.stack import QUICK_MODEL, LocalStack, System, is_running, wait_until

if TYPE_CHECKING:
    from pathlib import Path

ALL: tuple[str, ...] = ()  # `honcho start` without a name
# What the processes have of their own, wherever the servers are.
OWN = ("PORT", "LONGHAUL_LOG_FORMAT")
# web, worker and feed; `local`; its three servers; gunicorn's worker
LEAST_PROCESSES = 8
# honcho kills after five seconds; the stand-ins save what they hold before they end.
GONE_WITHIN = 30.0


def run_a_job(system: System) -> None:
    with watching(system) as watcher:
        job_id = submit(system, directive("tokens=30; duration_s=0.5"))["id"]
        watcher.subscribe(job_id)
        events = watcher.events_until_the_end()

    job = ended(system, job_id)
    assert job["status"] == "COMPLETED"
    assert text_of(events) == result_of(system, job_id) == job["result"]["text"]


def press_ctrl_c(system: System) -> set[int]:
    """Interrupt honcho as the terminal does, and give the processes that it had."""
    assert system.program is not None
    children = system.program.children()
    system.program.process.send_signal(signal.SIGINT)
    system.program.process.wait(GONE_WITHIN)
    return children


def test_honcho_start_runs_the_whole_system_until_ctrl_c(tmp_path: Path) -> None:
    place = LocalStack(tmp_path)  # its folder and ports; the Procfile's `local` runs there

    with System(place, processes=ALL, settings=QUICK_MODEL) as system:
        run_a_job(system)
        children = press_ctrl_c(system)

        assert len(children) >= LEAST_PROCESSES
        wait_until(
            lambda: not [pid for pid in children if is_running(pid)],
            "every process to be gone",
            within=GONE_WITHIN,
        )


def test_without_local_the_same_code_runs_on_the_servers_that_are_named(
    tmp_path: Path,
) -> None:
    with LocalStack(tmp_path / "servers") as servers:
        named = {
            name: value
            for name, value in servers.environ.items()
            if name not in servers.place and name not in OWN
        }
        place = LocalStack(tmp_path / "processes")

        with System(place, processes=("web", "worker", "feed"), settings=named) as system:
            run_a_job(system)
            children = press_ctrl_c(system)
            wait_until(
                lambda: not [pid for pid in children if is_running(pid)],
                "every process to be gone",
                within=GONE_WITHIN,
            )

        assert not (place.folder / "data").exists()
        assert servers.ledger_summary()["outcomes"] == {"completed": 1}
