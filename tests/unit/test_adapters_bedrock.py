import base64
import threading
from itertools import pairwise
from typing import Any, cast

import boto3
import botocore.exceptions
import pytest
import urllib3.exceptions
from botocore.eventstream import ChecksumMismatch, ParserError
from botocore.stub import Stubber
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.bedrock import (
    DEFAULT_MAX_TOKENS,
    BedrockModel,
    ConverseAnswering,
    converse_parameters,
)
from adapters.bedrock_errors import translating_model_errors
from deploy.local.bedrock.eventstream import encode_exception
from jobs.attach import Block, attach
from jobs.errors import ClaimLost, ModelError
from jobs.job import InferenceConfig, ModelId
from jobs.model_ports import Answering, Invocation
from jobs.prompt import Prompt
from jobs.retry import DEFAULT_POLICY, RetryAfter
from tests.bedrock_streams import FrameBodies, Frames, converse_frames, event_stream
from tests.builders import JOB_ID, a_document, a_trace, pieces_of

ENDPOINT = "https://bedrock.invalid"
HELLO: list[dict[str, Any]] = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"delta": {"text": "Hel"}, "contentBlockIndex": 0}},
    {"contentBlockDelta": {"delta": {"text": "lo"}, "contentBlockIndex": 0}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"messageStop": {"stopReason": "end_turn"}},
    {"metadata": {"usage": {"inputTokens": 7, "outputTokens": 3, "totalTokens": 10}}},
]


def an_invocation(
    *, prompt: Prompt | None = None, inference: InferenceConfig | None = None
) -> Invocation:
    return Invocation(
        job=JOB_ID,
        attempt=2,
        model=ModelId("amazon.nova-lite-v1:0"),
        prompt=prompt or Prompt(text="Say hello"),
        inference=inference or InferenceConfig(),
        trace=a_trace(),
    )


def a_client() -> Any:  # noqa: ANN401 - the Stubber's own view of a client
    return boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def translated(error: Exception) -> ModelError:
    with pytest.raises(ModelError) as raised, translating_model_errors():
        raise error
    assert raised.value.__cause__ is error
    return raised.value


def a_refusal(code: str, message: str = "no") -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError(
        {"Error": {"Code": code, "Message": message}}, "ConverseStream"
    )


@pytest.mark.parametrize(
    ("code", "error_code", "retryable", "may_be_paid", "retried"),
    [
        ("ThrottlingException", "model_throttled", True, False, True),
        ("ModelNotReadyException", "model_not_ready", True, False, True),
        ("ServiceUnavailableException", "model_unavailable", True, False, True),
        ("InternalServerException", "model_internal_error", True, False, True),
        ("ModelStreamErrorException", "model_stream_error", True, True, True),
        ("ModelTimeoutException", "model_timeout", True, True, False),
        ("ModelErrorException", "model_error", True, True, False),
        ("ServiceQuotaExceededException", "model_quota_exceeded", True, False, False),
        ("ValidationException", "model_rejected_request", False, False, False),
        ("AccessDeniedException", "model_access_denied", False, False, False),
        ("ResourceNotFoundException", "model_not_found", False, False, False),
        ("SomethingNewException", "model_error", False, False, False),
    ],
)
def test_a_refusal_is_known_by_bedrocks_name(
    *, code: str, error_code: str, retryable: bool, may_be_paid: bool, retried: bool
) -> None:
    for written in (code, code[0].lower() + code[1:]):  # as a response, and inside a stream
        error = translated(a_refusal(written, "Too many tokens"))

        assert error.name == f"Bedrock.{code}"
        assert error.error_code == error_code
        assert (error.retryable, error.may_be_paid) == (retryable, may_be_paid)
        assert str(error) == "Too many tokens"
        decision = DEFAULT_POLICY.after(error, counts=(), jitter=0.0)
        assert isinstance(decision, RetryAfter) is retried


def a_gateways_refusal(status: int, code: str = "") -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError(
        {
            "Error": {"Code": code, "Message": "upstream says no"},
            "ResponseMetadata": cast("Any", {"HTTPStatusCode": status}),
        },
        "ConverseStream",
    )


@pytest.mark.parametrize("code", ["", "429", "Throttled by Envoy"])
@pytest.mark.parametrize(
    ("status", "name", "retried"),
    [
        (429, "Bedrock.ThrottlingException", True),
        (500, "Bedrock.InternalServerException", True),
        (502, "Bedrock.InternalServerException", True),
        (503, "Bedrock.ServiceUnavailableException", True),
        (504, "Bedrock.InternalServerException", True),
    ],
)
def test_what_a_gateway_says_is_known_by_its_status(
    *, status: int, name: str, retried: bool, code: str
) -> None:
    error = translated(a_gateways_refusal(status, code))

    assert error.name == name
    assert error.retryable
    decision = DEFAULT_POLICY.after(error, counts=(), jitter=0.0)
    assert isinstance(decision, RetryAfter) is retried


@pytest.mark.parametrize("status", [400, 403, 404, 413])
def test_a_gateways_no_for_good_is_not_retried(status: int) -> None:
    error = translated(a_gateways_refusal(status, "Forbidden"))

    assert (error.name, error.retryable) == ("Bedrock.Forbidden", False)


def test_bedrocks_own_name_goes_before_the_status() -> None:
    error = translated(a_gateways_refusal(500, "ValidationException"))

    assert error.error_code == "model_rejected_request"


def test_a_refusal_that_could_not_be_written_is_mended() -> None:
    error = translated(a_refusal("ValidationException", "no \ud83d"))

    assert str(error) == "no ?"


def test_an_error_inside_a_stream_is_a_refusal_too() -> None:
    error = botocore.exceptions.EventStreamError(
        {"Error": {"Code": "throttlingException", "Message": "slow down"}}, "ConverseStream"
    )

    assert translated(error).name == "Bedrock.ThrottlingException"


@pytest.mark.parametrize("response", [{}, {"Error": {}}, {"Error": {"Code": "", "Message": ""}}])
def test_a_refusal_that_says_nothing_is_not_retried(response: Any) -> None:  # noqa: ANN401 - what came
    error = translated(botocore.exceptions.ClientError(response, "ConverseStream"))

    assert (error.error_code, error.retryable) == ("model_error", False)


@pytest.mark.parametrize(
    ("error", "error_code", "retryable"),
    [
        (
            botocore.exceptions.EndpointConnectionError(endpoint_url=ENDPOINT),
            "model_unreachable",
            True,
        ),
        (
            botocore.exceptions.ConnectTimeoutError(endpoint_url=ENDPOINT),
            "model_unreachable",
            True,
        ),
        (
            botocore.exceptions.SSLError(endpoint_url=ENDPOINT, error=OSError("expired")),
            "model_unreachable",
            True,
        ),
        (
            botocore.exceptions.ProxyConnectionError(proxy_url=ENDPOINT),
            "model_unreachable",
            True,
        ),
        (
            botocore.exceptions.ParamValidationError(report="no"),
            "model_rejected_request",
            False,
        ),
        (botocore.exceptions.NoCredentialsError(), "model_access_denied", False),
        (botocore.exceptions.NoRegionError(), "model_access_denied", False),
    ],
)
def test_a_call_that_was_never_sent_was_never_paid(
    *, error: Exception, error_code: str, retryable: bool
) -> None:
    model_error = translated(error)

    assert model_error.name == "Longhaul.NotInvoked"
    assert (model_error.error_code, model_error.retryable) == (error_code, retryable)
    assert not model_error.may_be_paid


@pytest.mark.parametrize(
    "error",
    [
        botocore.exceptions.ReadTimeoutError(endpoint_url=ENDPOINT),
        urllib3.exceptions.ReadTimeoutError(cast("Any", None), "/", "Read timed out."),
    ],
)
def test_a_silent_model_is_a_timeout_that_may_be_paid(error: Exception) -> None:
    model_error = translated(error)

    assert (model_error.name, model_error.error_code) == ("States.Timeout", "model_read_timeout")
    assert model_error.may_be_paid
    assert model_error.retryable


@pytest.mark.parametrize(
    "error",
    [
        botocore.exceptions.ConnectionClosedError(endpoint_url=ENDPOINT),
        botocore.exceptions.HTTPClientError(error="broken"),
        botocore.exceptions.ResponseStreamingError(error="broken"),
        urllib3.exceptions.ProtocolError("Connection broken"),
        urllib3.exceptions.IncompleteRead(1, 2),
        ParserError("no event"),
        ChecksumMismatch(1, 2),
        ConnectionResetError(),
        ValueError("I/O operation on closed file."),
    ],
)
def test_a_stream_that_breaks_off_may_be_paid(error: Exception) -> None:
    model_error = translated(error)

    assert model_error.name == "Longhaul.ConnectionLost"
    assert model_error.error_code == "model_connection_lost"
    assert model_error.may_be_paid
    assert type(error).__name__ in str(model_error)


def test_our_own_faults_are_not_the_models() -> None:
    with pytest.raises(KeyError), translating_model_errors():
        raise KeyError("ours")


def test_a_text_prompt_is_one_users_message() -> None:
    parameters = converse_parameters(an_invocation())

    assert parameters == {
        "modelId": "amazon.nova-lite-v1:0",
        "messages": [{"role": "user", "content": [{"text": "Say hello"}]}],
        "inferenceConfig": {"maxTokens": DEFAULT_MAX_TOKENS},
        "requestMetadata": {
            "longhaul-job-id": JOB_ID,
            "longhaul-attempt": "2",
            "longhaul-trace-id": a_trace().id,
        },
    }


def test_a_conversation_is_passed_through_with_its_system_text() -> None:
    messages = [{"role": "user", "content": [{"text": "hi"}, {"somethingNew": {"a": 1}}]}]

    parameters = converse_parameters(
        an_invocation(prompt=Prompt(messages=messages, system="Be brief"))
    )

    assert parameters["messages"] == messages
    assert parameters["system"] == [{"text": "Be brief"}]


def test_the_inference_config_says_what_the_job_says() -> None:
    inference = InferenceConfig(
        max_tokens=5, temperature=0.0, top_p=0.0, stop_sequences=("END", "STOP")
    )

    assert converse_parameters(an_invocation(inference=inference))["inferenceConfig"] == {
        "maxTokens": 5,
        "temperature": 0.0,
        "topP": 0.0,
        "stopSequences": ["END", "STOP"],
    }


def answering(
    *events: dict[str, Any], ending: bytes = b"", error: Exception | None = None
) -> ConverseAnswering:
    frames = Frames(*converse_frames(*events), ending, error=error)
    return ConverseAnswering(event_stream(frames), FrameBodies())


def text_of(answer: Answering) -> str:
    return "".join(pieces_of(answer))


def test_an_answer_gives_its_text_and_then_what_it_cost() -> None:
    answer = answering(*HELLO)

    assert pieces_of(answer) == ["Hel", "lo"]
    assert answer.usage == (7, 3)
    assert answer.stop_reason == "end_turn"


def test_an_answer_knows_neither_cost_nor_reason_before_its_end() -> None:
    answer = answering(*HELLO)

    known: list[object] = []
    answer.read(lambda _: known.append((answer.usage, answer.stop_reason)))

    assert known == [(None, None)] * 2


@pytest.mark.parametrize("kept", range(5))
def test_a_stream_that_ends_without_its_last_word_broke_off(kept: int) -> None:
    answer = answering(*HELLO[:kept])

    with pytest.raises(ModelError) as raised:
        pieces_of(answer)

    assert (raised.value.name, raised.value.may_be_paid) == ("Longhaul.ConnectionLost", True)


def test_an_answer_without_its_usage_is_still_an_answer() -> None:
    answer = answering(*HELLO[:5])

    assert text_of(answer) == "Hello"
    assert answer.usage is None


def test_an_error_after_text_comes_after_the_text() -> None:
    pieces: list[str] = []

    refusal = encode_exception("modelStreamErrorException", b'{"message": "no"}')
    with pytest.raises(ModelError) as raised:
        answering(*HELLO[:2], ending=refusal).read(pieces.append)

    assert pieces == ["Hel"]
    assert raised.value.name == "Bedrock.ModelStreamErrorException"


def test_what_is_no_text_is_passed_over() -> None:
    reasoning = {
        "contentBlockDelta": {"delta": {"reasoningContent": {"text": "hm"}}, "contentBlockIndex": 0}
    }

    answer = answering(reasoning, {"somethingNew": {}}, *HELLO)

    assert pieces_of(answer) == ["Hel", "lo"]


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (urllib3.exceptions.ProtocolError("broken"), "Longhaul.ConnectionLost"),
        (urllib3.exceptions.ReadTimeoutError(cast("Any", None), "", ""), "States.Timeout"),
    ],
)
def test_a_body_that_does_not_come_to_its_end_is_the_models_error(
    error: Exception, name: str
) -> None:
    pieces: list[str] = []

    with pytest.raises(ModelError) as raised:
        answering(*HELLO, error=error).read(pieces.append)

    assert (raised.value.name, raised.value.may_be_paid) == (name, True)
    assert pieces == ["Hel", "lo"]


@pytest.mark.parametrize("error", [ClaimLost("gone"), ValueError("ours"), OSError("ours")])
def test_what_the_taker_raises_is_not_the_models_error(error: Exception) -> None:
    def take(_: str) -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        answering(*HELLO).read(take)

    assert raised.value is error


class Brittle(Frames):
    """Cannot be closed."""

    def close(self) -> None:
        super().close()
        raise RuntimeError("already")


def test_closing_never_raises_and_may_be_done_twice_from_any_thread() -> None:
    frames = Brittle(*converse_frames(*HELLO))
    answer = ConverseAnswering(event_stream(frames), FrameBodies())

    other = threading.Thread(target=answer.close)
    other.start()
    other.join()
    answer.close()

    assert frames.closed == 0  # only its reader may take the stream away
    answer.release()
    assert frames.closed == 1


@pytest.mark.parametrize("half", ["\ud83d", "Hel\ud83dlo"])
def test_text_that_cannot_be_written_is_mended_where_it_comes_in(half: str) -> None:
    """JSON may hold half a surrogate pair; a paid answer must not break on it later."""
    delta = {"contentBlockDelta": {"delta": {"text": half}, "contentBlockIndex": 0}}

    text = text_of(answering(delta, *HELLO))

    assert text.encode().decode() == text
    assert text.endswith("Hello")


def a_delta(text: str) -> dict[str, Any]:
    return {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}}


def test_a_character_that_comes_in_two_events_is_put_together() -> None:
    pair = [a_delta("Hi \ud83d"), a_delta("\ude00!")]

    assert text_of(answering(*pair, *HELLO)) == "Hi 😀!Hello"


def test_what_is_no_text_between_two_halves_does_not_part_them() -> None:
    events = [a_delta("\ud83d"), {"somethingNew": {}}, a_delta("\ude00")]

    assert text_of(answering(*events, *HELLO)) == "😀Hello"


def test_half_a_character_at_the_very_end_is_mended_too() -> None:
    answer = answering(*HELLO[:3], a_delta("\ud83d"), *HELLO[3:])

    assert text_of(answer) == "Hello\ufffd"
    assert answer.stop_reason == "end_turn"


@settings(deadline=None)
@given(text=st.text(), cuts=st.lists(st.integers(0, 40), max_size=5))
def test_a_text_survives_wherever_its_utf16_is_cut(text: str, cuts: list[int]) -> None:
    """A model that writes JSON's `\\uXXXX` may end an event between any two of them."""
    units = text.encode("utf-16-le")
    places = [0, *sorted(2 * cut for cut in cuts), len(units)]
    pieces = [
        units[start:end].decode("utf-16-le", "surrogatepass") for start, end in pairwise(places)
    ]

    assert text_of(answering(*map(a_delta, pieces), *HELLO)) == text + "Hello"


class OneStreamClient:
    """A client that gives one stream (botocore's Stubber knows no event streams)."""

    def __init__(self) -> None:
        self.frames = Frames(*converse_frames(*HELLO))
        self.calls: list[dict[str, Any]] = []

    def converse_stream(self, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401 - boto3's own shape
        self.calls.append(parameters)
        return {"stream": event_stream(self.frames)}


def model_of(client: object) -> BedrockModel:
    return BedrockModel(client=cast("Any", client), bodies=FrameBodies())


def test_the_model_is_called_once_and_its_stream_closed() -> None:
    client = OneStreamClient()

    with model_of(client).invoke(an_invocation()) as answer:
        assert text_of(answer) == "Hello"

    assert client.calls == [converse_parameters(an_invocation())]
    assert client.frames.closed == 1


def test_the_stream_is_closed_when_its_reader_breaks() -> None:
    client = OneStreamClient()

    with pytest.raises(RuntimeError), model_of(client).invoke(an_invocation()):
        raise RuntimeError

    assert client.frames.closed == 1


def test_a_call_that_bedrock_refuses_is_a_models_error() -> None:
    client = a_client()
    with Stubber(client) as stub:
        stub.add_client_error("converse_stream", "ThrottlingException", "slow down", 429)

        with (
            pytest.raises(ModelError) as raised,
            BedrockModel(client=client).invoke(an_invocation()),
        ):
            pytest.fail("the call was refused")

    assert raised.value.name == "Bedrock.ThrottlingException"


def test_parameters_that_botocore_refuses_were_never_sent() -> None:
    messages = [{"role": "user", "content": [{"noSuchBlock": 1}]}]

    with (
        pytest.raises(ModelError) as raised,
        BedrockModel(client=a_client()).invoke(an_invocation(prompt=Prompt(messages=messages))),
    ):
        pytest.fail("nothing can be called with this")

    assert (raised.value.name, raised.value.retryable) == ("Longhaul.NotInvoked", False)


def test_bytes_reach_the_model_as_they_were_and_not_encoded_twice() -> None:
    picture = bytes(range(256))
    sent = {"image": {"format": "png", "source": {"bytes": base64.b64encode(picture).decode()}}}
    prompt = Prompt(messages=[{"role": "user", "content": [{"text": "What is it?"}, sent]}])

    parameters = converse_parameters(an_invocation(prompt=prompt))

    content = parameters["messages"][0]["content"]
    assert content[1]["image"]["source"]["bytes"] == picture
    assert content[0] == {"text": "What is it?"}


def test_what_is_a_tools_own_reaches_the_model_as_it_was_sent() -> None:
    tools = {"bytes": "eA==", "s3Location": {"bytes": 5}}
    call = {"toolUse": {"toolUseId": "t1", "name": "fetch", "input": tools}}
    answer = {"toolResult": {"toolUseId": "t1", "content": [{"json": tools}]}}
    prompt = Prompt(messages=[{"role": "user", "content": [call, answer]}])

    parameters = converse_parameters(an_invocation(prompt=prompt))

    assert parameters["messages"][0]["content"] == [call, answer]


def test_a_documents_bytes_reach_the_model_as_they_were_uploaded() -> None:
    document = a_document(name="report.pdf")
    prompt = attach(Prompt(text="Sum up"), [Block(document=document, content=bytes(range(256)))])
    client = a_client()

    parameters = converse_parameters(an_invocation(prompt=prompt))

    block, words = parameters["messages"][0]["content"]
    assert block["document"]["source"]["bytes"] == bytes(range(256))
    assert words == {"text": "Sum up"}
    with Stubber(client) as stubbed:  # botocore checks the shape before it sends
        stubbed.add_response("converse_stream", {})
        client.converse_stream(**parameters)


def test_a_call_always_says_how_long_its_answer_may_be() -> None:
    parameters = converse_parameters(an_invocation(), default_max_tokens=77)

    assert parameters["inferenceConfig"]["maxTokens"] == 77
