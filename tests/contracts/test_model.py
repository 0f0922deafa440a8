"""jobs.model_ports.Model and Answering, as a script and on the Bedrock stand-in.

On Bedrock each promise holds for both calls: Converse's, and a native body's.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from adapters.aws import connect_bedrock
from adapters.bedrock import BedrockModel
from adapters.direct_bedrock import connect_direct_bedrock
from jobs.errors import ModelError
from jobs.job import InferenceConfig, ModelId
from jobs.model_ports import Invocation, Model
from jobs.prompt import Prompt
from tests.builders import (
    Answer,
    ScriptedModel,
    pieces_of,
    rejected,
    stream_broke,
    throttled,
)
from tests.contracts.stories import a_trace, new_id
from tests.stack import environ_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_bedrock_runtime.client import BedrockRuntimeClient

    from adapters.direct_bedrock import DirectBedrock
    from tests.stack import Clients, LocalStack

TEXT = "Zoë drinks two cups of tea ☕ a day."
READ_TIMEOUT_SECONDS = 1.0
WAKES_WITHIN_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """How both models are brought to do the same: by a script, and by what the prompt asks for."""

    script: Callable[[], Answer | Exception]
    faults: str


ANSWERS = Case(
    script=lambda: Answer(pieces=("Zoë drinks ", TEXT[11:]), usage=(7, 9)), faults=f"echo={TEXT}"
)
RAW = Case(
    script=lambda: Answer(
        pieces=("Zoë drinks",), raw='{"content":[{"type":"text","text":"Zoë drinks"}]}'
    ),
    faults="echo=Zoë drinks",
)
MAX_TOKENS = Case(
    script=lambda: Answer(pieces=("One", " word"), stop_reason="max_tokens"), faults="tokens=50"
)
THROTTLED = Case(script=throttled, faults="throttle_first=1")
REJECTED = Case(script=rejected, faults="validation_error=No teapots")
BROKEN_OFF = Case(
    script=lambda: Answer(pieces=("One", " word"), error=stream_broke()),
    faults="tokens=50; stream_error_after=2",
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A model, and the one call that a test makes of it."""

    model: Model
    invocation: Invocation

    def text(self) -> str:
        with self.model.invoke(self.invocation) as answering:
            return "".join(pieces_of(answering))

    def error(self) -> ModelError:
        with pytest.raises(ModelError) as caught:
            self.text()
        return caught.value


Ask = Callable[..., Asked]
Invoking = Callable[..., Invocation]
OnBedrock = Callable[[str], Asked]


def converse(faults: str, **config: Any) -> Invocation:  # noqa: ANN401 - an InferenceConfig's own fields
    return Invocation(
        job=new_id(),
        attempt=1,
        model=ModelId("amazon.nova-lite-v1:0"),
        prompt=Prompt(text=f"Say it. <<stand-in: {faults}>>"),
        inference=InferenceConfig(**config),
        trace=a_trace(),
    )


def native(faults: str, *, max_tokens: int = 1_000) -> Invocation:
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": max_tokens,
        "messages": [{"role": "user", "content": f"Say it. <<stand-in: {faults}>>"}],
    }
    return replace(converse(faults), prompt=Prompt(body=json.dumps(body)))


@pytest.fixture(scope="module")
def direct(stand_ins: LocalStack) -> Iterator[BedrockRuntimeClient | DirectBedrock]:
    with environ_of(stand_ins.environ):
        client = connect_direct_bedrock(connections=10, read_timeout=60)
    yield client
    client.close()


@pytest.fixture(params=["boto3", "direct"])
def bedrock(request: pytest.FixtureRequest) -> BedrockRuntimeClient | DirectBedrock:
    return client_of(request, request.param)


def client_of(request: pytest.FixtureRequest, way: str) -> BedrockRuntimeClient | DirectBedrock:
    """Give a run's own client, or boto3's, which takes its place where a proxy is."""
    clients: Clients = request.getfixturevalue("clients")
    direct: DirectBedrock = request.getfixturevalue("direct")
    return direct if way == "direct" else clients.bedrock


@pytest.fixture(params=[connect_bedrock, connect_direct_bedrock], ids=["boto3", "direct"])
def connect(request: pytest.FixtureRequest) -> Callable[..., Any]:
    connecting: Callable[..., Any] = request.param
    return connecting


@pytest.fixture(params=["scripted", "boto3", "direct"])
def ask(request: pytest.FixtureRequest, invocation: Invoking) -> Ask:
    if request.param == "scripted":
        return lambda case, **config: Asked(
            model=ScriptedModel(case.script()), invocation=converse(case.faults, **config)
        )
    model = BedrockModel(client=client_of(request, request.param))
    return lambda case, **config: Asked(model=model, invocation=invocation(case.faults, **config))


@pytest.fixture(params=["converse", "native"])
def invocation(request: pytest.FixtureRequest) -> Invoking:
    return native if request.param == "native" else converse


@pytest.fixture
def on_bedrock(bedrock: BedrockRuntimeClient | DirectBedrock, invocation: Invoking) -> OnBedrock:
    return lambda faults: Asked(model=BedrockModel(client=bedrock), invocation=invocation(faults))


def test_the_pieces_together_are_the_text(ask: Ask) -> None:
    assert ask(ANSWERS).text() == TEXT


def test_what_it_cost_and_why_it_ended_is_known_at_the_end(ask: Ask) -> None:
    asked = ask(ANSWERS)

    with asked.model.invoke(asked.invocation) as answering:
        before = (answering.usage, answering.stop_reason)
        pieces_of(answering)

        assert before == (None, None)
        assert answering.stop_reason == "end_turn"
        assert answering.usage is not None
        assert all(tokens > 0 for tokens in answering.usage)


def test_a_limit_on_tokens_is_told_as_the_reason(ask: Ask) -> None:
    asked = ask(MAX_TOKENS, max_tokens=2)

    with asked.model.invoke(asked.invocation) as answering:
        pieces_of(answering)

        assert answering.stop_reason == "max_tokens"


def test_only_a_native_answer_has_its_own_json_and_only_at_its_end(ask: Ask) -> None:
    asked = ask(RAW)

    with asked.model.invoke(asked.invocation) as answering:
        before = answering.raw
        text = "".join(pieces_of(answering))

        assert before is None
        if isinstance(asked.model, BedrockModel) and asked.invocation.prompt.body is None:
            assert answering.raw is None
        else:
            assert json.loads(answering.raw or "")["content"] == [{"type": "text", "text": text}]


def test_throttling_is_a_definite_refusal(ask: Ask) -> None:
    error = ask(THROTTLED).error()

    assert (error.name, error.error_code) == ("Bedrock.ThrottlingException", "model_throttled")
    assert (error.retryable, error.may_be_paid) == (True, False)


def test_a_rejected_request_is_not_worth_a_retry(ask: Ask) -> None:
    error = ask(REJECTED).error()

    assert (error.name, error.error_code) == (
        "Bedrock.ValidationException",
        "model_rejected_request",
    )
    assert (error.retryable, error.may_be_paid) == (False, False)


def test_an_error_inside_the_answer_comes_after_its_pieces_and_may_be_paid(ask: Ask) -> None:
    asked = ask(BROKEN_OFF)
    pieces: list[str] = []

    with (
        pytest.raises(ModelError) as caught,
        asked.model.invoke(asked.invocation) as answering,
    ):
        answering.read(pieces.append)

    assert (caught.value.name, caught.value.may_be_paid) == (
        "Bedrock.ModelStreamErrorException",
        True,
    )
    assert answering.usage is None


def test_closing_more_than_once_is_closing(ask: Ask) -> None:
    asked = ask(ANSWERS)

    with asked.model.invoke(asked.invocation) as answering:
        pieces_of(answering)
        answering.close()
        answering.close()


@pytest.mark.parametrize("faults", ["tokens=50; cut_after=2", "tokens=50; garble_after=2"])
def test_on_bedrock_an_answer_that_breaks_off_may_be_paid(
    on_bedrock: OnBedrock, faults: str
) -> None:
    error = on_bedrock(faults).error()

    assert error.may_be_paid
    assert error.retryable


def test_on_bedrock_the_whole_text_is_the_answers(on_bedrock: OnBedrock) -> None:
    asked = on_bedrock("tokens=500")

    with asked.model.invoke(asked.invocation) as answering:
        words = "".join(pieces_of(answering)).split(" ")

    assert answering.usage is not None
    assert len(words) == answering.usage[1] == 500


def test_on_bedrock_closing_wakes_a_reader_that_waits(
    on_bedrock: OnBedrock, stand_ins: LocalStack
) -> None:
    asked = on_bedrock("tokens=50; stall_after=3")
    pieces: list[str] = []
    errors: list[ModelError] = []

    def read() -> None:
        try:
            answering.read(pieces.append)
        except ModelError as error:
            errors.append(error)

    with asked.model.invoke(asked.invocation) as answering:
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        wait_until(lambda: len(pieces) == 3, "the pieces before the stall")

        began = time.monotonic()
        answering.close()
        reader.join(timeout=20)
        took = time.monotonic() - began

    assert took < WAKES_WITHIN_SECONDS
    assert [error.may_be_paid for error in errors] == [True]
    wait_until(
        lambda: stand_ins.model_calls(asked.invocation.job)[0]["outcome"] == "client_gone",
        "the model to notice",
    )


@pytest.mark.parametrize(
    "faults",
    ["throttle_first=9", "internal_error_first=9", "unavailable_first=9", "tokens=9; cut_after=1"],
)
def test_on_bedrock_a_failed_call_is_one_call(
    on_bedrock: OnBedrock, stand_ins: LocalStack, faults: str
) -> None:
    asked = on_bedrock(faults)

    asked.error()

    assert len(stand_ins.model_calls(asked.invocation.job)) == 1


def test_on_bedrock_a_time_out_is_one_call_and_may_be_paid(
    stand_ins: LocalStack, invocation: Invoking, connect: Callable[..., Any]
) -> None:
    with environ_of(stand_ins.environ):
        client = connect(connections=1, read_timeout=READ_TIMEOUT_SECONDS)
    asked = Asked(
        model=BedrockModel(client=client),
        invocation=invocation("first_token_s=0; tokens=9; stall_after=1"),
    )

    error = asked.error()

    assert (error.name, error.may_be_paid) == ("States.Timeout", True)
    assert len(stand_ins.model_calls(asked.invocation.job)) == 1
    client.close()


def test_on_bedrock_the_call_carries_the_job_and_the_attempt(
    on_bedrock: OnBedrock, stand_ins: LocalStack
) -> None:
    asked = on_bedrock("tokens=2")

    asked.text()

    [call] = stand_ins.model_calls(asked.invocation.job)
    assert (call["job"], call["attempt"], call["outcome"]) == (
        asked.invocation.job,
        1,
        "completed",
    )


def test_a_model_that_cannot_be_reached_was_not_paid(
    stand_ins: LocalStack, invocation: Invoking, connect: Callable[..., Any]
) -> None:
    nowhere = {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:1"}
    with environ_of({**stand_ins.environ, **nowhere}):
        client = connect(connections=1, read_timeout=READ_TIMEOUT_SECONDS)

    error = Asked(model=BedrockModel(client=client), invocation=invocation("tokens=2")).error()

    assert (error.error_code, error.may_be_paid) == ("model_unreachable", False)
    client.close()


def test_on_bedrock_a_native_body_arrives_byte_for_byte(clients: Clients) -> None:
    sent = (
        '{ "anthropic_version":"bedrock-2023-05-31",\n "temperature": 1.0, "top_p": 1e0,'
        ' "max_tokens":5, "messages": [{"content": "Zo\\u00eb ☕", "role": "user"}] }'
    )
    arrived: list[object] = []

    def note(request: Any, **_: object) -> None:  # noqa: ANN401 - botocore's own
        arrived.append(request.body)

    asked = Asked(
        model=BedrockModel(client=clients.bedrock),
        invocation=replace(converse(""), prompt=Prompt(body=sent)),
    )
    clients.bedrock.meta.events.register("before-send.bedrock-runtime", note)
    try:
        text = asked.text()
    finally:
        clients.bedrock.meta.events.unregister("before-send.bedrock-runtime", note)

    assert text
    assert arrived == [sent.encode()]
