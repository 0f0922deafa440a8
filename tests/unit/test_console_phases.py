"""The console's picture of a timeline: which rows it has, run by Node as a browser would."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

CONSOLE = Path(__file__).parents[2] / "web/console"
START = 1_700_000_000_000  # milliseconds
PROGRAM = """
import { readFileSync } from "node:fs";
const told = JSON.parse(readFileSync(0, "utf8"));
const load = (source) => import(`data:text/javascript,${encodeURIComponent(source)}`);
const { deliveryRowsOf, phasesOf, rowsOf } = await load(told.phases);
const { liveOf, momentOf } = await load(told.live);
const { steps, now, seen } = told;
const live = seen ? liveOf(seen, now) : undefined;
const phases = phasesOf(steps, now, live);
const moment = seen ? momentOf(seen) : null;
const rows = { own: rowsOf(phases), deliveries: deliveryRowsOf(steps, phases, now), moment };
console.log(JSON.stringify(rows));
"""
SEEN = {
    "job": None,
    "text": "",
    "textSince": None,
    "status": "RUNNING",
    "attempt": 1,
    "progress": None,
    "isEnded": False,
}


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


def drawn(*steps: dict[str, object], now: float, seen: dict[str, Any] | None) -> dict[str, Any]:
    node = shutil.which("node")
    assert node, "node is not installed"
    modules = {name: (CONSOLE / f"{name}.js").read_text() for name in ("phases", "live")}
    told = {**modules, "steps": steps, "now": START + now * 1000, "seen": seen}
    done = subprocess.run(  # noqa: S603 - our own module
        [node, "--input-type=module", "--eval", PROGRAM],
        input=json.dumps(told),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    for row in found["own"] + found["deliveries"]:
        for phase in row["phases"]:
            phase["from"], phase["to"] = ((phase[one] - START) / 1000 for one in ("from", "to"))
    return found


def rows_of(*steps: dict[str, object], now: float) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = drawn(*steps, now=now, seen=None)["deliveries"]
    return rows


def bars_of(
    *steps: dict[str, object], now: float, **seen: object
) -> list[tuple[str, float, float, bool]]:
    rows = drawn(*steps, now=now, seen={**SEEN, **seen})["own"]
    phases = [phase for row in rows for phase in row["phases"]]
    return [(one["kind"], one["from"], one["to"], one["isOpen"]) for one in phases]


def moment_of(**seen: object) -> str:
    return str(drawn(now=0, seen={**SEEN, **seen})["moment"])


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


INVOKED = (*JOB[:2], a_step("invoked", 2, attempt=1))
BEFORE = [("queued", 0, 1, False), ("prepared", 1, 2, False)]


def test_nothing_goes_on_after_the_end() -> None:
    late = (a_step("cancelled", 4), a_step("first_token", 4.5, attempt=1))

    assert bars_of(*INVOKED, *late, now=60) == [*BEFORE, ("waited", 2, 4, False)]


def test_a_phase_that_a_clock_ahead_noted_after_the_end_ends_where_it_began() -> None:
    assert bars_of(*INVOKED, a_step("cancelled", 1.5), now=60)[-1] == ("waited", 2, 2, False)


def test_a_redriven_job_goes_on_and_its_earlier_attempt_does_not() -> None:
    steps = (*INVOKED, a_step("cancelled", 4), a_step("redriven", 30))

    assert bars_of(*steps, now=35)[2:] == [("waited", 2, 4, False), ("queued", 30, 35, True)]


def test_the_live_end_stops_the_picture_before_the_row_is_read() -> None:
    ended = {"isEnded": True, "job": {"ended_at": at(6)}}

    assert bars_of(*INVOKED, now=60, **ended)[-1] == ("waited", 2, 6, False)


@pytest.mark.parametrize(
    ("attempt", "bars"),
    [
        (1, [("waited", 2, 3, False), ("wrote", 3, 8, True)]),
        (2, [("waited", 2, 8, True)]),
    ],
)
def test_an_attempt_writes_from_its_first_text_on(attempt: int, bars: list[object]) -> None:
    seen = {"text": "Once", "textSince": START + 3000, "attempt": attempt}

    assert bars_of(*INVOKED, now=8, **seen)[2:] == bars


def test_the_steps_are_read_anew_once_a_job_is_divided() -> None:
    undivided, begun, later = (
        moment_of(progress=progress)
        for progress in (None, {"done": 0, "total": 7}, {"done": 6, "total": 7})
    )

    assert undivided != begun == later
    assert bars_of(*JOB[:2], a_step("divided", 2), now=9)[-1] == ("parts", 2, 9, True)
