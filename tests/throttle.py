"""A queue at the throttle: many jobs of one user against a quota, and one of another's, last.

`python -m tests.throttle --jobs 2000 --quota 20` runs it on stand-ins of its own and prints what
it saw; tests/integration/test_throttle.py runs it small.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.stack import LocalStack, System, http, wait_until

KEYS = {"crowd": "a-crowds-own-stand-in-key", "single": "a-singles-own-stand-in-key"}
SUBMITTERS = 8
CALL_SECONDS = 1.0
LEARNS_WITHIN = 10.0  # seconds after the first call; then few calls may be throttled
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "EXPIRED"}


@dataclass(frozen=True, kw_only=True)
class Season:
    """What came of it; `single_waited` is from the single job's creation to its call, seconds."""

    completed: int
    calls: int
    late_calls: int
    late_throttled: int
    single_waited: float
    seconds: float

    @property
    def throttled_share(self) -> float:
        """The part of the calls that was throttled once the quota could be known."""
        return self.late_throttled / max(1, self.late_calls)

    def __str__(self) -> str:
        return (
            f"{self.completed} jobs completed in {self.seconds:.0f} s with {self.calls} calls;"
            f" of {self.late_calls} calls after {LEARNS_WITHIN:g} s"
            f" {self.throttled_share:.1%} were throttled;"
            f" the other user's single job waited {self.single_waited:.2f} s"
        )


def run_season(stack: LocalStack, *, jobs: int, quota: float, within: float) -> Season:
    """Run the whole queue on a stack of its own. Fails where a job has not ended in `within`."""
    settings = {"LONGHAUL_API_KEYS": ",".join(f"{user}:{key}" for user, key in KEYS.items())}
    began = time.monotonic()
    with System(stack, settings=settings, name="throttle") as system:
        limit = {"calls_per_second": quota}
        http.post(f"{stack.bedrock_url}/_stand-in/quota", json=limit).raise_for_status()
        with ThreadPoolExecutor(SUBMITTERS) as pool:
            crowd = list(pool.map(lambda _: _submit(system, "crowd"), range(jobs)))
        single = _submit(system, "single")
        wait_until(lambda: _completed(stack) > jobs, f"{jobs + 1} completed calls", within=within)
        with ThreadPoolExecutor(SUBMITTERS) as pool:
            statuses = list(pool.map(lambda job: _end(system, "crowd", job), crowd))
        statuses.append(_end(system, "single", single))
        calls = _calls(stack)
    first = min(call["started_at"] for call in calls)
    late = [call for call in calls if call["started_at"] - first > LEARNS_WITHIN]
    turn = min(call["started_at"] for call in calls if call["job"] == single["id"])
    return Season(
        completed=statuses.count("COMPLETED"),
        calls=len(calls),
        late_calls=len(late),
        late_throttled=sum(call["outcome"] == "throttled" for call in late),
        single_waited=turn - datetime.fromisoformat(single["created_at"]).timestamp(),
        seconds=time.monotonic() - began,
    )


def _submit(system: System, user: str) -> dict[str, Any]:
    body = {"prompt": f"Say it. <<stand-in: duration_s={CALL_SECONDS}; tokens=5>>"}
    answer = http.post(f"{system.url}/v1/jobs", json=body, headers=_as(user))
    job: dict[str, Any] = answer.raise_for_status().json()
    return job


def _end(system: System, user: str, job: dict[str, Any]) -> str:
    """Wait for a job's end, which its call has reached, and give its status."""
    seen: list[str] = []

    def has_ended() -> bool:
        answer = http.get(f"{system.url}/v1/jobs/{job['id']}", headers=_as(user))
        seen.append(answer.raise_for_status().json()["status"])
        return seen[-1] in ENDED

    wait_until(has_ended, f"the end of {job['id']}")
    return seen[-1]


def _as(user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[user]}"}


def _completed(stack: LocalStack) -> int:
    completed: int = stack.ledger_summary()["outcomes"].get("completed", 0)
    return completed


def _calls(stack: LocalStack) -> list[dict[str, Any]]:
    answer = http.get(f"{stack.bedrock_url}/_stand-in/calls", timeout=30)
    calls: list[dict[str, Any]] = answer.raise_for_status().json()["calls"]
    return calls


def main() -> None:
    """Run a season on stand-ins of its own and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--quota", type=float, default=20.0, help="calls a second")
    options = parser.parse_args()
    within = 120 + 3 * options.jobs / options.quota
    with tempfile.TemporaryDirectory() as folder, LocalStack(Path(folder)) as stack:
        season = run_season(stack, jobs=options.jobs, quota=options.quota, within=within)
    sys.stdout.write(f"{season}\n")


if __name__ == "__main__":
    main()
