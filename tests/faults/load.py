"""The load: jobs of every kind, decided by the seed, and the clients that submit them."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONGEST_JOB = 20.0
USUAL_JOB = 3.0
SUBMITTERS = 16
CANCELLERS = 4
GIVES_UP_AFTER = 60.0  # seconds in which a client tries to get rid of one job
ANSWERS_WITHIN = 8.0
PAUSE = 0.3
LARGE_WORDS = 9_000  # about 99 KB: prompt and result both go to S3
RUN_TIMEOUT = 3


class JobKind(StrEnum):
    """What a job of the load does."""

    PLAIN = "plain"
    THROTTLED = "throttled"
    STREAM_ERROR = "stream-error"
    CUT = "cut"
    INVALID = "invalid"
    LARGE = "large"
    CANCELLED = "cancelled"
    ONLY_ONCE = "only-once"
    TIMED = "timed"


SHARES = {
    JobKind.PLAIN: 40,
    JobKind.THROTTLED: 12,
    JobKind.STREAM_ERROR: 8,
    JobKind.CUT: 5,
    JobKind.INVALID: 5,
    JobKind.LARGE: 5,
    JobKind.CANCELLED: 8,
    JobKind.ONLY_ONCE: 10,
    JobKind.TIMED: 7,
}


@dataclass(frozen=True, kw_only=True)
class JobPlan:
    """One job: submitted `at` seconds after the load's begin; `text` is what a whole answer is."""

    number: int
    kind: JobKind
    at: float
    seconds: float
    text: str
    body: dict[str, Any]
    cancel_at: float | None = None


def plan_jobs(seed: int, count: int, *, over: float, longest: float = LONGEST_JOB) -> list[JobPlan]:
    """Plan jobs that come evenly over `over` seconds."""
    chance = random.Random(f"load {seed}")  # noqa: S311 - replayable, guards no secret
    kinds = chance.choices(list(SHARES), weights=list(SHARES.values()), k=count)
    return [
        _plan_job(chance, number, kind, at=number * over / count, longest=longest)
        for number, kind in enumerate(kinds)
    ]


def _plan_job(
    chance: random.Random, number: int, kind: JobKind, *, at: float, longest: float
) -> JobPlan:
    seconds = round(chance.triangular(0, longest, min(USUAL_JOB, longest)), 1)
    options: dict[str, Any] = {}
    words = 30
    directives = []
    match kind:
        case JobKind.THROTTLED:
            directives.append(f"throttle_first={chance.randint(1, 2)}")
            options["model"] = f"test.throttled-{number}"  # its pace is nobody else's
        case JobKind.STREAM_ERROR:
            directives.append("stream_error_after=3; stream_faults_first=1")
        case JobKind.CUT:
            directives.append("cut_after=3")
        case JobKind.INVALID:
            directives.append("validation_error=the model knows no such field")
        case JobKind.LARGE:
            words = LARGE_WORDS
            options["inference_config"] = {"max_tokens": 2 * LARGE_WORDS}
        case JobKind.ONLY_ONCE:
            options["on_interrupted"] = "fail"
        case JobKind.TIMED:
            seconds = 2.0 * RUN_TIMEOUT
            options["run_timeout_s"] = RUN_TIMEOUT
        case JobKind.PLAIN | JobKind.CANCELLED:
            pass
    text = " ".join(f"{number:05d}.{word:04d}" for word in range(words))
    directives += [f"duration_s={seconds}", "first_token_s=0.05", f"echo={text}"]
    cancels = kind is JobKind.CANCELLED
    return JobPlan(
        number=number,
        kind=kind,
        at=at,
        seconds=seconds,
        text=text,
        body={
            "prompt": f"Say it. <<stand-in: {'; '.join(directives)}>>",
            "metadata": {"number": str(number)},
            **options,
        },
        cancel_at=at + chance.uniform(0, seconds + 2) if cancels else None,
    )


@dataclass
class Load:
    """The clients. `accepted` are the ids that came with a 202, by the plan's number."""

    urls: tuple[str, ...]
    plans: Sequence[JobPlan]
    on_accepted: Callable[[JobPlan, str], object]
    accepted: dict[int, str] = field(default_factory=dict)
    given_up: list[int] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    slowest_refusal: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, begin: float) -> None:
        """Submit and cancel in time, from monotonic time `begin` on, until all is said."""
        actions: list[tuple[float, Callable[[JobPlan], None], JobPlan]] = []
        for plan in self.plans:
            actions.append((plan.at, self._submit, plan))
            if plan.cancel_at is not None:
                actions.append((plan.cancel_at, self._cancel, plan))
        actions.sort(key=lambda action: action[0])
        self._http = httpx.Client(timeout=ANSWERS_WITHIN, trust_env=False)
        with (
            self._http,
            ThreadPoolExecutor(SUBMITTERS, "submit") as submitters,
            ThreadPoolExecutor(CANCELLERS, "cancel") as cancellers,
        ):
            futures = []
            for at, act, plan in actions:
                time.sleep(max(0.0, begin + at - time.monotonic()))  # the load's own pace
                pool = submitters if act == self._submit else cancellers
                futures.append(pool.submit(act, plan))
            for future in futures:
                future.result()

    def _submit(self, plan: JobPlan) -> None:
        deadline = time.monotonic() + GIVES_UP_AFTER
        tries = plan.number
        while time.monotonic() < deadline:
            answer = self._post(f"{self.urls[tries % len(self.urls)]}/v1/jobs", plan.body)
            tries += 1
            if answer is not None and answer.status_code == httpx.codes.ACCEPTED:
                job_id: str = answer.json()["id"]
                with self._lock:
                    self.accepted[plan.number] = job_id
                self.on_accepted(plan, job_id)
                return
            time.sleep(PAUSE)  # a client's own pause before it tries again
        with self._lock:
            self.given_up.append(plan.number)

    def _cancel(self, plan: JobPlan) -> None:
        for number in range(2 * len(self.urls)):
            job_id = self.accepted.get(plan.number)
            if job_id is not None:
                url = self.urls[number % len(self.urls)]
                if self._post(f"{url}/v1/jobs/{job_id}/cancel", None) is not None:
                    return
            time.sleep(PAUSE)  # a client's own pause before it tries again

    def _post(self, url: str, body: dict[str, Any] | None) -> httpx.Response | None:
        what = "cancel" if url.endswith("/cancel") else "submit"
        begin = time.monotonic()
        try:
            answer = self._http.post(url, json=body)
        except httpx.HTTPError as error:
            with self._lock:
                self.answers[f"{what}: {type(error).__name__}"] += 1
            return None
        with self._lock:
            self.answers[f"{what}: {answer.status_code}"] += 1
            if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                self.slowest_refusal = max(self.slowest_refusal, time.monotonic() - begin)
        return answer
