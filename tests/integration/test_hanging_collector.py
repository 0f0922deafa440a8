"""A worker whose collector takes connections and says nothing ends clean all the same."""

from __future__ import annotations

import json
import signal
import socket
import sys
from typing import TYPE_CHECKING

from tests.stack import LocalStack, Program, System, clean_environ, http, wait_until

if TYPE_CHECKING:
    from pathlib import Path

# Longer than the test waits for the worker's end: who waited for the collector would be killed.
_COLLECTOR_MAY_TAKE_SECONDS = "300"


def test_a_worker_hands_on_and_ends_while_its_collector_hangs(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        LocalStack(tmp_path / "stack") as stack,
        System(stack, processes=("web", "feed")) as system,
    ):
        worker = Program(
            (sys.executable, "-m", "workers.worker_entry"),
            environ={
                **clean_environ(),
                **stack.environ,
                "LONGHAUL_LOG_FORMAT": "json",
                "LONGHAUL_DRAIN_SECONDS": "1",
                "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent.getsockname()[1]}",
                "OTEL_EXPORTER_OTLP_TIMEOUT": _COLLECTOR_MAY_TAKE_SECONDS,
            },
            log=tmp_path / "worker.log",
        )
        try:
            worker.wait_for(lambda: "worker_started" in worker.output, "it is up")
            body = {"prompt": "Hold on <<stand-in: first_token_s=60>>"}
            job_id = http.post(f"{system.url}/v1/jobs", json=body).raise_for_status().json()["id"]
            wait_until(lambda: stack.model_calls(job_id), "the call", within=60)

            assert worker.stop(signal.SIGTERM) == 0
        finally:
            worker.kill()

    events = [json.loads(line)["event"] for line in worker.output.splitlines()]
    assert events[-1] == "worker_ended"
    assert "drain_handed_over" in events
