"""moto's interpreter for tests/asl.py, in a module of its own because it loads slowly."""

from __future__ import annotations

import functools
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
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

from tests.asl import Refused, Run, Task, machine_of

if TYPE_CHECKING:
    from collections.abc import Sequence

MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:run-a-job"
EXECUTION = "arn:aws:states:eu-central-1:123456789012:execution:run-a-job:once"
ROLE = "arn:aws:iam::123456789012:role/anyone"


def run(retry: object, errors: Sequence[str], *, jitter: float = 0.5) -> Run:
    """Let moto's interpreter run it."""
    try:
        program, _ = AmazonStateLanguageParser.parse(json.dumps(machine_of(retry)))
    except (ASLParserException, ValueError) as refusal:
        raise Refused from refusal

    task = Task(errors)
    environment = _environment()
    with pytest.MonkeyPatch.context() as patch:
        clock = SimpleNamespace(sleep=task.waits.append)
        chance = SimpleNamespace(uniform=lambda low, high: low + (high - low) * jitter)
        patch.setattr(retrier_decl, "time", clock)
        patch.setattr(jitter_strategy_decl, "random", chance)
        patch.setattr(
            lambda_eval_utils, "execute_lambda_function_integration", functools.partial(_call, task)
        )
        patch.setattr(execute_state, "TMP_THREADS", [])  # else moto keeps each attempt's for ever
        program.eval(environment)
    return task.ran(ended_with=_error(environment))


def _call(task: Task, env: Environment, **_: object) -> None:
    name = task.next_error()
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


def _environment() -> Environment:
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


def _error(environment: Environment) -> str | None:
    state = environment.program_state()
    if not isinstance(state, ProgramError):
        return None
    assert state.error is not None
    return state.error["error"]
