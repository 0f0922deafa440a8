"""A worker dies with a paid answer that it could not write; the next one does not pay again."""

from __future__ import annotations

import random
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.proxy import DYNAMODB, S3, FaultProxy, Mode, Rule
from tests.integration.test_main_path import directive, ended, result_of, submit, watching
from tests.stack import LocalStack, Program, System, clean_environ, http, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

WITHIN = 60.0
SETTINGS = {"LONGHAUL_LEASE_SECONDS": "3", "LONGHAUL_SWEEP_SECONDS": "0.5"}
THROUGH_THE_PROXY = ("AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_S3")
SAID = "It took long, and it was worth it."


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    with LocalStack(tmp_path_factory.mktemp("paid")) as running:
        yield running


@pytest.fixture(scope="module")
def system(stack: LocalStack) -> Iterator[System]:
    """All but the workers."""
    with System(stack, processes=("web", "feed"), settings=SETTINGS) as running:
        yield running


@pytest.fixture
def proxy(stack: LocalStack) -> Iterator[FaultProxy]:
    upstream = stack.environ["AWS_ENDPOINT_URL_DYNAMODB"]
    with FaultProxy(upstream, chance=random.Random(1)) as running:  # noqa: S311 - guards no secret
        yield running


@contextmanager
def worker(
    stack: LocalStack, proxy: FaultProxy, folder: Path, name: str, **settings: str
) -> Iterator[Program]:
    environ: Mapping[str, str] = {
        **clean_environ(),
        **stack.environ,
        **SETTINGS,
        **dict.fromkeys(THROUGH_THE_PROXY, proxy.url),
        "LONGHAUL_SPOOL_DIR": str(folder / "spool"),
        "LONGHAUL_LOG_FORMAT": "json",
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
    program = Program(
        (sys.executable, "-m", "workers.worker_entry"), environ=environ, log=folder / f"{name}.log"
    )
    try:
        program.wait_for(lambda: '"worker_started"' in program.output, "the worker is up")
        yield program
    finally:
        program.kill()


@pytest.mark.parametrize(
    ("away", "kept_by"),
    [
        pytest.param({DYNAMODB}, "answer_kept", id="the store away"),
        pytest.param({DYNAMODB, S3}, "answer_spooled", id="store and objects away"),
    ],
)
def test_an_answer_outlives_its_worker_and_is_paid_once(
    system: System,
    proxy: FaultProxy,
    tmp_path: Path,
    away: set[str],
    kept_by: str,
) -> None:
    stack = system.stack
    refusing = Rule(mode=Mode.REFUSE, kinds=frozenset(away))
    with watching(system) as watcher:
        with worker(stack, proxy, tmp_path, "first") as first:
            job_id = submit(system, directive(f"echo={SAID}; duration_s=1.5"))["id"]
            watcher.subscribe(job_id)
            wait_until(lambda: stack.model_calls(job_id), "the call")
            proxy.add(refusing)
            first.wait_for(lambda: f'"{kept_by}"' in first.output, kept_by, within=WITHIN)
            first.kill()
        assert [call["outcome"] for call in stack.model_calls(job_id)] == ["completed"]
        proxy.remove(refusing)
        with worker(stack, proxy, tmp_path, "second"):
            job = ended(system, job_id)
            events = watcher.events_until_the_end()

    assert (job["status"], job["attempt"]) == ("COMPLETED", 2)
    assert len(stack.model_calls(job_id)) == 1
    assert result_of(system, job_id) == SAID
    last_start = max(n for n, event in enumerate(events) if event["event"] == "job.started")
    assert "".join(event.get("text", "") for event in events[last_start:]) == SAID
    steps = http.get(f"{system.url}/v1/jobs/{job_id}/timeline").json()["steps"]
    assert "recovered" in [step["step"] for step in steps]
    assert not list((tmp_path / "spool").rglob("*.json"))


def test_the_timeline_tells_how_long_an_answer_waited_for_its_row(
    system: System, proxy: FaultProxy, tmp_path: Path
) -> None:
    refusing = Rule(mode=Mode.REFUSE, kinds=frozenset({DYNAMODB}))
    with worker(system.stack, proxy, tmp_path, "waits", LONGHAUL_LEASE_SECONDS="60") as waits:
        job_id = submit(system, directive("tokens=3; duration_s=1.5"))["id"]
        wait_until(lambda: system.stack.model_calls(job_id), "the call")
        proxy.add(refusing)
        waits.wait_for(lambda: waits.output.count('"settle_waits"') > 1, "it waits", within=WITHIN)
        proxy.remove(refusing)
        job = ended(system, job_id)

    steps = http.get(f"{system.url}/v1/jobs/{job_id}/timeline").json()["steps"]
    completed, settled = (
        next(step for step in steps if step["step"] == name) for name in ("completed", "settled")
    )
    assert (job["status"], job["ended_at"]) == ("COMPLETED", completed["at"])
    assert settled["took_ms"] == settled["after_ms"] >= 250, "the first wait before a second try"
    assert settled["by"] == completed["by"]
