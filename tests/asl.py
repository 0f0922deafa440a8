"""Three readers of one ASL `Retry` block: our policy, and two real interpreters of state machines.

moto's interpreter (LocalStack's) honours every field of a retrier and refuses a malformed one.
ministack's knows neither `MaxDelaySeconds` nor `JitterStrategy`, and checks nothing. Each runs a
state machine of one Task in this process. The test owns what lies outside of it: the function that
the Task calls, the sleep between two calls, and chance. All that decides is the interpreter's own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from ministack.services import stepfunctions as ministack

from jobs.errors import Misconfigured, ModelError
from jobs.retry import GiveUp, RetryAfter, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:call-the-model"


class Refused(Exception):
    """This reader does not take the `Retry` block."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What became of a Task: its calls, the seconds before each retry, the error that ended it."""

    calls: int
    waits: tuple[float, ...]
    ended_with: str | None


class Reader(Protocol):
    """Runs a Task under `retry` that fails with `errors`, one a call, and then succeeds.

    `jitter`, in [0, 1), is every number that chance gives. Raises Refused.
    """

    def __call__(self, retry: object, errors: Sequence[str], *, jitter: float = 0.5) -> Run: ...


def run_ours(retry: object, errors: Sequence[str], *, jitter: float = 0.5) -> Run:
    """Do as jobs/run.py and jobs/outcome.py do: ask after each failure, and carry the counters."""
    try:
        policy = RetryPolicy.from_asl(retry)
    except Misconfigured as refusal:
        raise Refused from refusal

    waits: list[float] = []
    counts: tuple[int, ...] = ()
    for name in errors:
        error = ModelError("no", name=name, error_code="model_error", retryable=True)
        match policy.after(error, counts=counts, jitter=jitter):
            case RetryAfter(delay=delay, counts=counts):
                waits.append(delay.total_seconds())
            case GiveUp():
                return Run(calls=len(waits) + 1, waits=tuple(waits), ended_with=name)
    return Run(calls=len(waits) + 1, waits=tuple(waits), ended_with=None)


def run_moto(retry: object, errors: Sequence[str], *, jitter: float = 0.5) -> Run:
    """Let moto's interpreter run it."""
    from tests import asl_moto  # noqa: PLC0415 - it takes a second, in whoever collects the tests

    return asl_moto.run(retry, errors, jitter=jitter)


def run_ministack(retry: object, errors: Sequence[str], *, jitter: float = 0.5) -> Run:
    """Let ministack's interpreter run it; it knows no jitter."""
    del jitter
    task = Task(errors)
    machine = machine_of(retry)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ministack, "_scaled_sleep", task.waits.append)
        patch.setattr(ministack, "_invoke_resource", task.call_by_ministack)
        try:
            ministack._run_sub_machine(  # noqa: SLF001 - its StartExecution sleeps 150 ms
                machine["States"], machine["StartAt"], {}, {"events": []}, {}
            )
        except ministack._ExecutionError as failure:  # noqa: SLF001 - what it fails with
            return task.ran(ended_with=failure.error)
    return task.ran(ended_with=None)


@dataclass
class Task:
    """The Lambda function behind the Task, and the clock between its calls."""

    errors: Sequence[str]
    waits: list[float] = field(default_factory=list)
    calls: int = 0

    def call_by_ministack(self, *_: object) -> str:
        name = self.next_error()
        if name is None:
            return "Hello"
        raise ministack._ExecutionError(name, "no")  # noqa: SLF001 - as a failed Lambda does

    def ran(self, *, ended_with: str | None) -> Run:
        return Run(calls=self.calls, waits=tuple(self.waits), ended_with=ended_with)

    def next_error(self) -> str | None:
        self.calls += 1
        return self.errors[self.calls - 1] if self.calls <= len(self.errors) else None


def machine_of(retry: object) -> dict[str, Any]:
    task = {"Type": "Task", "Resource": FUNCTION, "Retry": retry, "End": True}
    return {"StartAt": "CallTheModel", "States": {"CallTheModel": task}}
