"""The console's small pure modules, run by Node as a browser would."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jobs.document import MediaType

CONSOLE = Path(__file__).resolve().parents[2] / "web/console"
CLIENT = CONSOLE.parents[1] / "clients/javascript"
LOAD = """
import { readFileSync } from "node:fs";
const { source, given } = JSON.parse(readFileSync(0, "utf8"));
const module = await import(`data:text/javascript,${encodeURIComponent(source)}`);
"""
# The time stands still but for what a test lets pass, and the timers go off in their order.
REACH = """
let now = 0, timers = [], isThere = true;
Date.now = () => now;
globalThis.setTimeout = (act, ms) => timers.push({ act, at: now + ms });
globalThis.clearTimeout = () => (timers = []);
const seen = [];
const onChange = (lostSince) => seen.push(lostSince);
const reach = new module.Reach({ probe: async () => isThere, onChange });
for (const turn of given) {
    if (typeof turn === "string") reach.hear(turn);
    else if (typeof turn === "boolean") isThere = turn;
    else for (const until = now + turn; now < until; now += 100) {
        const due = timers.filter(({ at }) => at <= now);
        timers = timers.filter(({ at }) => at > now);
        for (const { act } of due) act();
        await new Promise((resolve) => setImmediate(resolve));
    }
}
console.log(JSON.stringify({ seen, known: reach.now(), now }));
"""


def run(name: str, program: str, given: object) -> Any:  # noqa: ANN401 - what the program prints
    node = shutil.which("node")
    assert node, "node is not installed"
    source = (
        (CONSOLE / f"{name}.js").read_text().replace('"/static/longhaul/', f'"{CLIENT.as_uri()}/')
    )
    told = {"source": source, "given": given}
    done = subprocess.run(  # noqa: S603 - our own module
        [node, "--input-type=module", "--eval", LOAD + program],
        input=json.dumps(told),
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def reached(*turns: str | int | bool) -> dict[str, Any]:
    seen: dict[str, Any] = run("reach", REACH, turns)
    return seen


@pytest.mark.parametrize(
    ("address", "view", "job"),
    [
        ("", "new", ""),
        ("#/", "new", ""),
        ("#/jobs", "list", ""),
        ("#/jobs/job_01ABC", "job", "job_01ABC"),
        ("#/whatever", "nowhere", ""),
        ("#/jobs/", "nowhere", ""),
        ("#/jobs/job_1/more", "nowhere", ""),
    ],
)
def test_an_address_that_leads_nowhere_is_not_a_new_job(address: str, view: str, job: str) -> None:
    place = run("places", "console.log(JSON.stringify(module.placeOf(given)));", address)

    assert place == {"view": view, "jobId": job}


@pytest.mark.parametrize(
    ("name", "said", "found"),
    [
        ("a.pdf", "", MediaType.PDF),
        ("A.DOCX", "application/octet-stream", MediaType.DOCX),
        ("table.csv", "application/vnd.ms-excel", MediaType.CSV),
        ("notes", "text/plain; charset=utf-8", MediaType.TEXT),
        ("photo.png", "image/png", None),
        ("constructor", "", None),
        ("pdf.exe", "", None),
    ],
)
def test_a_file_is_taken_by_its_ending_or_its_type(
    name: str, said: str, found: MediaType | None
) -> None:
    file = {"name": name, "type": said}

    assert run("file_types", "console.log(JSON.stringify(module.typeOf(given)));", file) == found


def test_a_restart_is_no_loss() -> None:
    assert reached(False, "waiting", 500, "connecting", 400, "open", 9000)["seen"] == []


def test_a_server_that_does_not_answer_is_lost_since_its_last_news_until_it_is_back() -> None:
    lost = reached("connecting", "open", 5000, False, "waiting", 60_000)
    back = reached("connecting", "open", 5000, False, "waiting", 60_000, "open", 1000)

    assert (lost["seen"], lost["known"]) == ([5000], 5000)
    assert (back["seen"], back["known"]) == ([5000, None], back["now"])


def test_a_server_that_answers_without_a_socket_is_there() -> None:
    assert reached("connecting", "waiting", 60_000)["seen"] == []
    assert reached(False, "waiting", 9000, True, 9000)["seen"] == [0, None]


def test_a_socket_that_the_page_has_closed_tells_nothing() -> None:
    assert reached(False, "waiting", 9000, "closed", 9000)["seen"] == [0]
    assert reached(False, "closed", 9000)["seen"] == []
