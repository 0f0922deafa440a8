"""The console's picture of a timeline: which rows it has, run by Node as a browser would."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "web/console/phases.js"
START = 1_700_000_000_000  # milliseconds
PROGRAM = """
import { readFileSync } from "node:fs";
const { source, steps, now } = JSON.parse(readFileSync(0, "utf8"));
const module = `data:text/javascript,${encodeURIComponent(source)}`;
const { deliveryRowsOf, phasesOf } = await import(module);
const phases = phasesOf(steps, now);
console.log(JSON.stringify(deliveryRowsOf(steps, phases, now)));
"""


def at(seconds: float) -> str:
    return datetime.fromtimestamp(START / 1000 + seconds, UTC).isoformat()


def a_step(name: str, seconds: float, **more: object) -> dict[str, object]:
    nothing = dict.fromkeys(("took_ms", "until", "attempt", "error", "detail", "delivery"))
    return {**nothing, "step": name, "at": at(seconds), "by": "worker@a:1", **more}


def a_try(seconds: float, number: int, **more: object) -> dict[str, object]:
    told = {"id": "d", "kind": "webhook", "try": number, "status": 500}
    return a_step("delivery_failed", seconds, delivery=told, took_ms=1000, error="http_500", **more)


JOB = (a_step("accepted", 0), a_step("claimed", 1), a_step("completed", 5))
ANNOUNCED = a_step(
    "announced", 5.5, delivery={"id": "d", "kind": "webhook", "try": None, "status": None}
)


def rows_of(*steps: dict[str, object], now: float) -> list[dict[str, Any]]:
    node = shutil.which("node")
    assert node, "node is not installed"
    told = {"source": SOURCE.read_text(), "steps": steps, "now": START + now * 1000}
    done = subprocess.run(  # noqa: S603 - our own module
        [node, "--input-type=module", "--eval", PROGRAM],
        input=json.dumps(told),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    for row in rows:
        for phase in row["phases"]:
            phase["from"], phase["to"] = ((phase[one] - START) / 1000 for one in ("from", "to"))
    return rows


def test_a_job_that_tells_nobody_has_no_row_of_deliveries() -> None:
    assert rows_of(*JOB, now=6) == []


def test_each_try_and_each_wait_between_tries_is_a_bar() -> None:
    [row] = rows_of(*JOB, ANNOUNCED, a_try(7, 1, until=at(12)), a_try(13, 2, until=None), now=20)

    assert row["label"] == "Webhook"
    assert [(one["kind"], one["from"], one["to"]) for one in row["phases"]] == [
        ("told", 6, 7),
        ("backed-off", 7, 12),
        ("told", 12, 13),
    ]


@pytest.mark.parametrize(("now", "is_open"), [(8, True), (13, False)])
def test_a_wait_is_open_until_it_is_over(now: float, *, is_open: bool) -> None:
    [row] = rows_of(*JOB, ANNOUNCED, a_try(7, 1, until=at(12)), now=now)

    assert row["phases"][-1]["isOpen"] is is_open


def test_waits_of_days_do_not_make_the_jobs_own_bars_disappear() -> None:
    [row] = rows_of(*JOB, ANNOUNCED, a_try(7, 1, until=at(86_400)), a_try(90_000, 2), now=90_001)

    assert [one["to"] for one in row["phases"]] == [7, 15]  # ten seconds after the job's end
