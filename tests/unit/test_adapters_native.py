"""Native answers: what each family's chunks say, and what they are put together to."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.response import StreamingBody

from adapters.bedrock import BedrockModel
from adapters.bedrock_native import NativeAnswering, does_stream, native_parameters
from adapters.native_families import METRICS
from deploy.local.bedrock.answer import Answer, StopReason
from deploy.local.bedrock.native import Family, family_of
from jobs.errors import ModelError
from jobs.job import InferenceConfig, ModelId
from jobs.model_ports import Invocation
from jobs.prompt import Prompt
from tests.bedrock_streams import FrameBodies, Frames, event_stream, native_frames
from tests.builders import JOB_ID, a_trace, pieces_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from jobs.model_ports import Answering

TOKENS = ("Zoë", " drinks", " ☕")
STREAMING = "InvokeModelWithResponseStream"
METRICS_TOLD = {METRICS: {"inputTokenCount": 7, "outputTokenCount": 3}}

# A model of each family, and the word with which its answer ends.
FAMILIES = {
    "anthropic.claude-sonnet-4-v1:0": "end_turn",
    "amazon.nova-lite-v1:0": "end_turn",
    "amazon.titan-text-express-v1": "FINISH",
    "meta.llama3-70b-instruct-v1:0": "stop",
    "mistral.mistral-7b-instruct-v0:2": "stop",
    "cohere.command-text-v14": "COMPLETE",
    "cohere.command-r-v1:0": "COMPLETE",
}


def answering(*documents: object) -> NativeAnswering:
    frames = Frames(*native_frames(*documents))
    return NativeAnswering(event_stream(frames, STREAMING), FrameBodies())


def raw_of(answer: NativeAnswering) -> Any:  # noqa: ANN401 - any JSON
    assert answer.raw is not None
    return json.loads(answer.raw)


def an_answer() -> Answer:
    return Answer(
        tokens=TOKENS, stop_reason=StopReason.END_TURN, stop_sequence=None, input_tokens=7
    )


def chunks_of(family: Family) -> list[dict[str, object]]:
    *before, last = family.closing(an_answer())
    deltas = [family.delta(token) for token in TOKENS]
    return [*family.opening(an_answer()), *deltas, *before, {**last, **METRICS_TOLD}]


@pytest.mark.parametrize(("model", "stop_reason"), FAMILIES.items())
def test_a_familys_chunks_give_text_usage_reason_and_what_invoke_model_would_answer(
    model: str, stop_reason: str
) -> None:
    family = family_of(model, {})
    answer = answering(*chunks_of(family))

    assert pieces_of(answer) == list(TOKENS)
    assert (answer.usage, answer.stop_reason) == ((7, 3), stop_reason)
    whole = family.whole(an_answer())
    if model == "cohere.command-text-v14":  # its chunks do not tell the ids
        whole = {"generations": [{"text": "".join(TOKENS), "finish_reason": "COMPLETE"}]}
    assert raw_of(answer) == whole


@pytest.mark.parametrize("model", FAMILIES)
def test_nothing_of_the_end_is_known_before_it(model: str) -> None:
    answer = answering(*chunks_of(family_of(model, {})))

    known: list[object] = []
    answer.read(lambda _: known.append((answer.usage, answer.raw)))

    assert known == [(None, None)] * len(TOKENS)


@pytest.mark.parametrize("model", FAMILIES)
def test_a_stream_without_its_last_words_broke_off(model: str) -> None:
    family = family_of(model, {})
    kept = [*family.opening(an_answer()), *(family.delta(token) for token in TOKENS)]
    answer = answering(*kept)

    with pytest.raises(ModelError) as raised:
        pieces_of(answer)

    assert (raised.value.name, raised.value.may_be_paid) == ("Longhaul.ConnectionLost", True)
    assert (answer.usage, answer.raw) == (None, None)


def test_a_stream_without_a_chunk_broke_off() -> None:
    with pytest.raises(ModelError):
        pieces_of(answering())


def test_an_answer_of_no_known_family_has_its_chunks_as_they_came() -> None:
    chunks = (b'{"wort": 1.0}', json.dumps({"wort": 2, **METRICS_TOLD}).encode())
    answer = answering(*chunks)

    assert pieces_of(answer) == []
    assert (answer.usage, answer.stop_reason) == ((7, 3), None)
    assert answer.raw == f"[{chunks[0].decode()},{chunks[1].decode()}]"


def test_an_answer_of_no_known_family_may_end_without_metrics() -> None:
    answer = answering({"wort": 1})

    assert pieces_of(answer) == []
    assert (answer.usage, raw_of(answer)) == (None, [{"wort": 1}])


@pytest.mark.parametrize("chunk", [b"{", b"\xff", b"null x"])
def test_a_chunk_that_is_no_json_breaks_the_answer_off(chunk: bytes) -> None:
    with pytest.raises(ModelError) as raised:
        pieces_of(answering(chunk))

    assert raised.value.may_be_paid


@pytest.mark.parametrize("odd", [[], 5, None, "text", {"choices": 5}, {"choices": []}, {"type": 5}])
def test_json_of_any_shape_is_kept(odd: object) -> None:
    answer = answering(odd, METRICS_TOLD)

    assert pieces_of(answer) == []
    assert raw_of(answer)[0] == odd


def test_what_is_no_object_among_a_familys_chunks_leaves_them_as_they_came() -> None:
    answer = answering([], {"generation": "Tea", "stop_reason": "stop"})

    assert pieces_of(answer) == ["Tea"]
    assert raw_of(answer)[0] == []


def anthropic(*events: dict[str, object]) -> NativeAnswering:
    message = {"id": "msg_1", "role": "assistant", "content": [], "usage": {"input_tokens": 7}}
    delta = {"stop_reason": "tool_use", "stop_sequence": None}
    return answering(
        {"type": "message_start", "message": message},
        {"type": "ping"},
        *events,
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 3}},
        {"type": "message_stop"},
    )


def started(index: int, **block: object) -> dict[str, object]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta_of(index: int, **delta: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def test_anthropics_thinking_and_tools_are_put_together_and_only_text_is_told() -> None:
    answer = anthropic(
        started(0, type="thinking", thinking=""),
        delta_of(0, type="thinking_delta", thinking="Hm"),
        delta_of(0, type="thinking_delta", thinking="m."),
        delta_of(0, type="signature_delta", signature="abc"),
        started(1, type="text", text=""),
        delta_of(1, type="text_delta", text="Let me look."),
        {"type": "content_block_stop", "index": 1},
        started(2, type="tool_use", id="t1", name="look", input={}),
        delta_of(2, type="input_json_delta", partial_json='{"at": '),
        delta_of(2, type="input_json_delta", partial_json='"tea"}'),
    )

    assert "".join(pieces_of(answer)) == "Let me look."
    assert answer.stop_reason == "tool_use"
    assert raw_of(answer) == {
        "id": "msg_1",
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "Hmm.", "signature": "abc"},
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "t1", "name": "look", "input": {"at": "tea"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 7, "output_tokens": 3},
    }


@pytest.mark.parametrize(
    "newer",
    [
        {"type": "somethingNew"},
        delta_of(0, type="citations_delta", citation={}),
        delta_of(0, type="input_json_delta", partial_json='{"broken'),
        delta_of(0, type="text_delta"),
        {"type": "content_block_delta", "index": 0, "delta": {}},
    ],
)
def test_what_cannot_be_put_together_for_sure_stays_in_its_chunks(newer: dict[str, object]) -> None:
    answer = anthropic(started(0, type="text", text=""), newer)

    assert pieces_of(answer) == []
    assert newer in raw_of(answer)
    assert (answer.usage, answer.stop_reason) == ((7, 3), "tool_use")


def test_anthropics_text_completion_is_put_together() -> None:
    answer = answering(
        {"type": "completion", "completion": " Tea", "stop_reason": None, "stop": None},
        {"type": "completion", "completion": ".", "stop_reason": "stop_sequence", "stop": "\n"},
    )

    assert "".join(pieces_of(answer)) == " Tea."
    assert raw_of(answer) == {
        "type": "completion",
        "completion": " Tea.",
        "stop_reason": "stop_sequence",
        "stop": "\n",
    }


def test_novas_tools_are_put_together() -> None:
    tool = {"toolUse": {"toolUseId": "t1", "name": "look"}}
    answer = answering(
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "Tea"}, "contentBlockIndex": 0}},
        {"contentBlockStart": {"start": tool, "contentBlockIndex": 1}},
        {"contentBlockDelta": {"delta": {"toolUse": {"input": "{}"}}, "contentBlockIndex": 1}},
        {"messageStop": {"stopReason": "tool_use"}},
    )

    assert pieces_of(answer) == ["Tea"]
    assert raw_of(answer)["output"]["message"]["content"] == [
        {"text": "Tea"},
        {"toolUse": {"toolUseId": "t1", "name": "look", "input": {}}},
    ]


def test_mistrals_chat_is_put_together_and_its_tools_stay_in_chunks() -> None:
    def chunk(reason: str | None, **message: object) -> dict[str, object]:
        return {"choices": [{"index": 0, "message": message, "stop_reason": reason}]}

    plain = answering(chunk(None, content="Te"), chunk("stop", content="a"))
    tools = answering(chunk("tool_calls", content="", tool_calls=[{"id": "1"}]))

    assert pieces_of(plain) == ["Te", "a"]
    assert raw_of(plain) == {
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Tea"},
                "stop_reason": "stop",
            }
        ]
    }
    assert pieces_of(tools) == []
    assert raw_of(tools) == [chunk("tool_calls", content="", tool_calls=[{"id": "1"}])]


def test_openais_chunks_tell_their_text_and_stay_as_they_came() -> None:
    chunks = (
        {"choices": [{"delta": {"content": "Tea"}, "finish_reason": None}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1}},
    )
    answer = answering(*chunks)

    assert pieces_of(answer) == ["Tea"]
    assert (answer.usage, answer.stop_reason) == ((7, 1), "stop")
    assert raw_of(answer) == list(chunks)


def test_the_whole_that_command_r_sends_itself_is_the_answer() -> None:
    response = {"text": "Tea", "chat_history": [], "finish_reason": "COMPLETE"}
    answer = answering(
        {"event_type": "text-generation", "text": "Tea"},
        {"event_type": "stream-end", "finish_reason": "COMPLETE", "response": response},
    )

    assert pieces_of(answer) == ["Tea"]
    assert raw_of(answer) == response


def test_a_character_in_two_chunks_is_whole_in_text_and_json() -> None:
    answer = answering(
        b'{"generation": "Hi \\ud83d"}',
        b'{"generation": "\\ude00\\udc00", "stop_reason": "stop"}',
    )

    assert "".join(pieces_of(answer)) == "Hi 😀\ufffd"
    assert raw_of(answer)["generation"] == "Hi 😀\ufffd"


@pytest.mark.parametrize(
    ("model", "streams"),
    [
        ("anthropic.claude-sonnet-4-v1:0", True),
        ("some.model-that-nobody-knows", True),
        ("amazon.titan-embed-text-v2:0", False),
        ("us.stability.stable-image-ultra-v1:1", False),
        ("arn:aws:bedrock:us-east-1::foundation-model/cohere.embed-english-v3", False),
    ],
)
def test_only_models_that_cannot_stream_are_invoked_whole(model: str, streams: bool) -> None:  # noqa: FBT001 - a case's own
    assert does_stream(ModelId(model)) is streams


def body_of(sent: bytes, *, length: int | None = None) -> StreamingBody:
    return StreamingBody(cast("Any", io.BytesIO(sent)), len(sent) if length is None else length)


def an_invocation(model: str, body: str) -> Invocation:
    return Invocation(
        job=JOB_ID,
        attempt=2,
        model=ModelId(model),
        prompt=Prompt(body=body),
        inference=InferenceConfig(),
        trace=a_trace(),
    )


def test_the_body_goes_out_as_it_is_and_the_metadata_says_whose_it_is() -> None:
    body = '{ "b": 1.0,\n "a": 1e0, "é": "\\u00e9" }'

    parameters = native_parameters(an_invocation("meta.llama3", body))

    assert parameters["body"] == body.encode()
    assert parameters["modelId"] == "meta.llama3"
    assert json.loads(parameters["requestMetadata"]) == {
        "longhaul-job-id": JOB_ID,
        "longhaul-attempt": "2",
        "longhaul-trace-id": a_trace().id,
    }


class Client:
    """Gives one answer to whichever native call comes."""

    def __init__(
        self, body: StreamingBody | None = None, headers: dict[str, str] | None = None
    ) -> None:
        self.calls: list[str] = []
        self.frames = Frames(*native_frames({"generation": "Tea", "stop_reason": "stop"}))
        self._body = body or body_of(b"{}")
        self._headers = headers or {}

    def invoked(self, invocation: Invocation) -> AbstractContextManager[Answering]:
        model = BedrockModel(client=cast("Any", self), bodies=FrameBodies())
        return model.invoke(invocation)

    def invoke_model_with_response_stream(self, **_: object) -> dict[str, object]:
        self.calls.append("stream")
        return {"body": event_stream(self.frames, STREAMING)}

    def invoke_model(self, **_: object) -> dict[str, object]:
        self.calls.append("whole")
        return {"body": self._body, "ResponseMetadata": {"HTTPHeaders": self._headers}}


@pytest.mark.parametrize(
    ("model", "calls"), [("meta.llama3", ["stream"]), ("amazon.titan-embed-g1", ["whole"])]
)
def test_a_native_body_is_one_call_whose_stream_is_closed(model: str, calls: list[str]) -> None:
    client = Client()

    with client.invoked(an_invocation(model, "{}")) as answer:
        pieces_of(answer)

    assert client.calls == calls
    assert client.frames.closed == (calls == ["stream"])


EMBEDDING = b'{"embedding":[1.0,2e0],"inputTextTokenCount":5}'


def test_an_embedding_is_its_json_and_costs_its_input() -> None:
    client = Client(body_of(EMBEDDING), {"x-amzn-bedrock-input-token-count": "5"})

    with client.invoked(an_invocation("amazon.titan-embed-g1", "{}")) as answer:
        before = (answer.usage, answer.raw)
        answer.close()
        text = "".join(pieces_of(answer))

    assert (text, before) == ("", (None, None))
    assert (answer.usage, answer.stop_reason, answer.raw) == ((5, 0), None, EMBEDDING.decode())


@pytest.mark.parametrize("whole", [b"[1]", b'{"images":["aGk="],"error":null}'])
def test_a_whole_answer_of_any_shape_is_kept_as_it_came(whole: bytes) -> None:
    with Client(body_of(whole)).invoked(an_invocation("stability.sd3", "{}")) as answer:
        assert pieces_of(answer) == []

    assert (answer.usage, answer.stop_reason, answer.raw) == (None, None, whole.decode())


@pytest.mark.parametrize(("sent", "length"), [(b'{"a":1', 99), (b'{"a":1', 6), (b"\xff", 1)])
def test_a_whole_answer_that_breaks_off_may_be_paid(sent: bytes, length: int) -> None:
    client = Client(body_of(sent, length=length))

    with pytest.raises(ModelError) as raised, client.invoked(an_invocation("cohere.embed", "{}")):
        pytest.fail("there is no answer")

    assert (raised.value.retryable, raised.value.may_be_paid) == (True, True)
