"""Three readers of one ASL `Retry` block: our policy, and two real interpreters of state machines.

moto's interpreter (LocalStack's) honours every field of a retrier and refuses a malformed one.
ministack's knows neither `MaxDelaySeconds` nor `JitterStrategy`, and checks nothing. Each runs a
state machine of one Task in this process. The test owns what lies outside of it: the function that
the Task calls, the sleep between two calls, and chance. All that decides is the interpreter's own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from ministack.services import stepfunctions as ministack
from moto.stepfunctions.parser.api import (
    HistoryEventType,
    LambdaFunctionFailedEventDetails,
    StateMachineType,
)
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.error_name.states_error_name import (
    StatesErrorName,
)
from moto.stepfunctions.parser.asl.component.common.retry import jitter_strategy_decl, retrier_decl
from moto.stepfunctions.parser.asl.component.state.exec import execute_state
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.evaluation_details import AWSExecutionDetails
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventHistoryContext
from moto.stepfunctions.parser.asl.eval.program_state import ProgramError
from moto.stepfunctions.parser.asl.eval.states import (
    ContextObjectData,
    ExecutionData,
    StateMachineData,
)
from moto.stepfunctions.parser.asl.parse.asl_parser import (
    AmazonStateLanguageParser,
    ASLParserException,
)

from jobs.errors import Misconfigured, ModelError
from jobs.retry import GiveUp, RetryAfter, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function:call-the-model"
MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:run-a-job"
EXECUTION = "arn:aws:states:eu-central-1:123456789012:execution:run-a-job:once"
ROLE = "arn:aws:iam::123456789012:role/anyone"


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
    try:
        program, _ = AmazonStateLanguageParser.parse(json.dumps(_machine(retry)))
    except (ASLParserException, ValueError) as refusal:
        raise Refused from refusal

    task = _Task(errors)
    environment = _moto_environment()
    with pytest.MonkeyPatch.context() as patch:
        clock = SimpleNamespace(sleep=task.waits.append)
        chance = SimpleNamespace(uniform=lambda low, high: low + (high - low) * jitter)
        patch.setattr(retrier_decl, "time", clock)
        patch.setattr(jitter_strategy_decl, "random", chance)
        patch.setattr(lambda_eval_utils, "execute_lambda_function_integration", task.call_by_moto)
        patch.setattr(execute_state, "TMP_THREADS", [])  # else moto keeps each attempt's for ever
        program.eval(environment)
    return task.ran(ended_with=_moto_error(environment))


def run_ministack(retry: object, errors: Sequence[str], *, jitter: float = 0.5) -> Run:
    """Let ministack's interpreter run it; it knows no jitter."""
    del jitter
    task = _Task(errors)
    machine = _machine(retry)
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
class _Task:
    """The Lambda function behind the Task, and the clock between its calls."""

    errors: Sequence[str]
    waits: list[float] = field(default_factory=list)
    calls: int = 0

    def call_by_moto(self, env: Environment, **_: object) -> None:
        name = self._next_error()
        if name is None:
            env.stack.append({"StatusCode": 200, "Payload": "Hello"})
        elif name.startswith("States."):
            # As moto itself reports a reserved name; an `errorType` may not begin with "States.".
            failed = LambdaFunctionFailedEventDetails(error=name)
            raise FailureEventException(
                FailureEvent(
                    env=env,
                    error_name=StatesErrorName.from_name(name),
                    event_type=HistoryEventType.LambdaFunctionFailed,
                    event_details=EventDetails(lambdaFunctionFailedEventDetails=failed),  # type: ignore[typeddict-item] # one of them, as in moto
                )
            )
        else:
            raise lambda_eval_utils.LambdaFunctionErrorException(
                "Unhandled", json.dumps({"errorType": name, "errorMessage": "no"})
            )

    def call_by_ministack(self, *_: object) -> str:
        name = self._next_error()
        if name is None:
            return "Hello"
        raise ministack._ExecutionError(name, "no")  # noqa: SLF001 - as a failed Lambda does

    def ran(self, *, ended_with: str | None) -> Run:
        return Run(calls=self.calls, waits=tuple(self.waits), ended_with=ended_with)

    def _next_error(self) -> str | None:
        self.calls += 1
        return self.errors[self.calls - 1] if self.calls <= len(self.errors) else None


def _machine(retry: object) -> dict[str, Any]:
    task = {"Type": "Task", "Resource": FUNCTION, "Retry": retry, "End": True}
    return {"StartAt": "CallTheModel", "States": {"CallTheModel": task}}


def _moto_environment() -> Environment:
    now = "2026-11-23T04:38:00Z"
    return Environment(
        aws_execution_details=AWSExecutionDetails(
            account="123456789012", region="eu-central-1", role_arn=ROLE
        ),
        execution_type=StateMachineType.STANDARD,
        context=ContextObjectData(  # type: ignore[typeddict-item] # moto begins with these two, too
            Execution=ExecutionData(
                Id=EXECUTION, Input={}, Name="once", RoleArn=ROLE, StartTime=now
            ),
            StateMachine=StateMachineData(Id=MACHINE, Name="run-a-job"),
        ),
        event_history_context=EventHistoryContext.of_program_start(),
        cloud_watch_logging_session=None,
        activity_store={},
    )


def _moto_error(environment: Environment) -> str | None:
    state = environment.program_state()
    if not isinstance(state, ProgramError):
        return None
    assert state.error is not None
    return state.error["error"]
