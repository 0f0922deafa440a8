import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from botocore.config import Config
from botocore.eventstream import ChecksumMismatch
from botocore.exceptions import ClientError, EventStreamError
from urllib3.exceptions import ProtocolError

if TYPE_CHECKING:
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_bedrock_runtime.type_defs import ConverseStreamOutputTypeDef

MODEL = "anthropic.claude-3-haiku-20240307-v1:0"
PROFILE_ARN = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0"
FAST = "first_token_s=0; tokens_per_second=1000"
DEADLINE_S = 30
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """A running stand-in: a boto3 client of it, and its controls."""

    url: str
    bedrock: "BedrockRuntimeClient"

    def control(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        return post(f"{self.url}/_stand-in/{path}", body, method=method)[1]

    def calls(self, job: str) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = self.control("GET", f"calls?job={job}")["calls"]
        return calls

    def outcomes(self, job: str) -> list[str]:
        return [call["outcome"] for call in self.calls(job)]

    def stream(
        self, directive: str, *, job: str, attempt: int = 1, **inference: object
    ) -> Iterator["ConverseStreamOutputTypeDef"]:
        answer = self.bedrock.converse_stream(
            modelId=MODEL,
            messages=[user(f"Say hello. <<stand-in: {FAST}; {directive}>>")],
            inferenceConfig=inference,  # type: ignore[arg-type]  # what a test passes, as it is
            requestMetadata={"longhaul-job-id": job, "longhaul-attempt": str(attempt)},
        )
        with closing(answer["stream"]) as events:
            yield from events

    def converse(self, directive: str, *, job: str) -> str:
        answer = self.bedrock.converse(
            modelId=MODEL,
            messages=[user(f"Say hello. <<stand-in: {FAST}; {directive}>>")],
            requestMetadata={"longhaul-job-id": job},
        )
        return answer["output"]["message"]["content"][0]["text"]


def user(text: str) -> Any:  # noqa: ANN401 - boto3-stubs' message has forty optional members
    return {"role": "user", "content": [{"text": text}]}


def post(
    url: str, body: object, *, method: str = "POST", headers: Mapping[str, str] | None = None
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Send what boto3 would not; a body that is bytes is sent as it is."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - the test's own server
        url, data=None if body is None else data, method=method, headers=dict(headers or {})
    )
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:  # noqa: S310 - the same
            return answer.status, json.loads(answer.read()), dict(answer.headers.items())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read()), dict(error.headers.items())


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def start(*arguments: str, **environ: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603 - the program under test
        [sys.executable, "-m", "deploy.local.bedrock", *arguments],
        cwd=ROOT,
        env={**os.environ, **environ},
        stderr=subprocess.PIPE,
        text=True,
    )


def address(process: "subprocess.Popen[str]") -> str:
    assert process.stderr is not None
    return process.stderr.readline().split()[-1]


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    process = start("--port", "0", "--first-token-seconds", "0", "--tokens-per-second", "1000")
    with process:
        url = address(process)
        bedrock = boto3.client(
            "bedrock-runtime",
            endpoint_url=url,
            region_name="eu-west-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(
                retries={"total_max_attempts": 1}, read_timeout=60, max_pool_connections=320
            ),
        )
        try:
            yield StandIn(url=url, bedrock=bedrock)
        finally:
            bedrock.close()
            process.terminate()


@pytest.fixture
def job() -> str:
    return f"job-{uuid4()}"


def texts(events: "list[ConverseStreamOutputTypeDef]") -> list[str]:
    return [
        event["contentBlockDelta"]["delta"]["text"]
        for event in events
        if "contentBlockDelta" in event
    ]


# --- The four operations


def test_converse_answers_with_text_usage_and_stop_reason(stand_in: StandIn) -> None:
    answer = stand_in.bedrock.converse(modelId=MODEL, messages=[user("Say hello to the world.")])

    text = answer["output"]["message"]["content"][0]["text"]
    assert text.startswith("Extractive summary by the local stand-in (no model was called).")
    assert answer["stopReason"] == "end_turn"
    assert answer["usage"]["inputTokens"] == 6
    assert answer["usage"]["outputTokens"] == len(text.split())
    assert answer["ResponseMetadata"]["RequestId"]


def test_a_stream_carries_the_events_of_converse_in_order(stand_in: StandIn, job: str) -> None:
    events = list(stand_in.stream("tokens=20; tokens_per_second=200", job=job))

    kinds = [next(iter(event)) for event in events]
    assert kinds == [
        "messageStart",
        *["contentBlockDelta"] * 20,
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert events[-2]["messageStop"] == {"stopReason": "end_turn"}
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 20


def test_the_text_of_a_stream_is_the_text_of_the_whole_answer(stand_in: StandIn, job: str) -> None:
    streamed = "".join(texts(list(stand_in.stream("tokens=77", job=job))))

    assert streamed == stand_in.converse("tokens=77", job=job)
    assert len(streamed.split()) == 77


def test_a_document_block_is_summarised_and_a_pdf_is_named(stand_in: StandIn) -> None:
    tides = " ".join(f"The tide at pier {number} rises in the evening." for number in range(99))
    message: Any = user("Summarise.")
    message["content"] += [
        {"document": {"format": "md", "name": "tides", "source": {"bytes": tides.encode()}}},
        {"document": {"format": "pdf", "name": "charts", "source": {"bytes": b"%PDF"}}},
    ]

    answer = stand_in.bedrock.converse(modelId=MODEL, messages=[message])

    text = answer["output"]["message"]["content"][0]["text"]
    assert "Not read by the stand-in: charts (pdf)." in text
    assert "The tide at pier" in text


@dataclass(frozen=True, kw_only=True)
class Native:
    """A family's request, and where the text and the reason are in its answer and its chunks."""

    model: str
    body: Mapping[str, object]
    text: Callable[[Any], str]
    chunk_text: Callable[[Any], str | None]


PROMPT = "Say it. <<stand-in: echo=one two three four; first_token_s=0>>"
NATIVE = {
    "anthropic": Native(
        model=MODEL,
        body={
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 3,
            "system": "Be brief.",
            "messages": [{"role": "user", "content": PROMPT}],
        },
        text=lambda answer: answer["content"][0]["text"],
        chunk_text=lambda chunk: chunk.get("delta", {}).get("text"),
    ),
    "nova": Native(
        model=PROFILE_ARN,
        body={
            "schemaVersion": "messages-v1",
            "messages": [user(PROMPT)],
            "inferenceConfig": {"max_new_tokens": 3},
        },
        text=lambda answer: answer["output"]["message"]["content"][0]["text"],
        chunk_text=lambda chunk: chunk.get("contentBlockDelta", {}).get("delta", {}).get("text"),
    ),
    "titan": Native(
        model="amazon.titan-text-express-v1",
        body={"inputText": PROMPT, "textGenerationConfig": {"maxTokenCount": 3}},
        text=lambda answer: answer["results"][0]["outputText"],
        chunk_text=lambda chunk: chunk["outputText"],
    ),
    "llama": Native(
        model="us.meta.llama3-2-3b-instruct-v1:0",
        body={"prompt": PROMPT, "max_gen_len": 3},
        text=lambda answer: answer["generation"],
        chunk_text=lambda chunk: chunk["generation"],
    ),
    "mistral": Native(
        model="mistral.mistral-7b-instruct-v0:2",
        body={"prompt": PROMPT, "max_tokens": 3},
        text=lambda answer: answer["outputs"][0]["text"],
        chunk_text=lambda chunk: chunk["outputs"][0]["text"],
    ),
    "cohere": Native(
        model="cohere.command-text-v14",
        body={"prompt": PROMPT, "max_tokens": 3},
        text=lambda answer: answer["generations"][0]["text"],
        chunk_text=lambda chunk: chunk.get("text"),
    ),
    "cohere-r": Native(
        model="cohere.command-r-v1:0",
        body={"message": PROMPT, "max_tokens": 3},
        text=lambda answer: answer["text"],
        chunk_text=lambda chunk: chunk.get("text"),
    ),
}


@pytest.mark.parametrize("native", NATIVE.values(), ids=NATIVE.keys())
def test_invoke_model_answers_in_its_family_s_shape(stand_in: StandIn, native: Native) -> None:
    answer = stand_in.bedrock.invoke_model(modelId=native.model, body=json.dumps(native.body))

    assert native.text(json.loads(answer["body"].read())) == "one two three"


@pytest.mark.parametrize("native", NATIVE.values(), ids=NATIVE.keys())
def test_invoke_model_streams_in_its_family_s_chunks(stand_in: StandIn, native: Native) -> None:
    answer = stand_in.bedrock.invoke_model_with_response_stream(
        modelId=native.model, body=json.dumps(native.body)
    )

    chunks = [json.loads(event["chunk"]["bytes"]) for event in answer["body"]]
    assert "".join(native.chunk_text(chunk) or "" for chunk in chunks) == "one two three"
    metrics = chunks[-1]["amazon-bedrock-invocationMetrics"]
    assert metrics["outputTokenCount"] == 3
    assert metrics["inputTokenCount"] >= 1


def test_a_native_body_of_no_known_family_is_refused(stand_in: StandIn) -> None:
    with pytest.raises(ClientError) as refused:
        stand_in.bedrock.invoke_model(modelId="ai21.jamba", body=b'{"prompt": "x"}')

    assert refused.value.response["Error"]["Code"] == "ValidationException"


# --- Limits


def test_max_tokens_is_kept_and_told(stand_in: StandIn, job: str) -> None:
    events = list(stand_in.stream("tokens=50", job=job, maxTokens=9))

    assert events[-2]["messageStop"]["stopReason"] == "max_tokens"
    assert events[-1]["metadata"]["usage"]["outputTokens"] == 9
    assert len("".join(texts(events)).split()) == 9


def test_a_stop_sequence_ends_the_text_before_it(stand_in: StandIn, job: str) -> None:
    events = list(stand_in.stream("echo=one STOP two", job=job, stopSequences=["STOP"]))

    assert "".join(texts(events)) == "one "
    assert events[-2]["messageStop"]["stopReason"] == "stop_sequence"


# --- Refusals


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "Malformed"),
        ([], "an object"),
        ({}, "messages"),
        ({"messages": []}, "empty"),
        ({"messages": [{"role": "user", "content": []}]}, "messages.0 is empty"),
        ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, "blank"),
        ({"messages": [{"role": "user", "content": [{"text": 5}]}]}, "a string"),
        ({"messages": [{"role": "user", "content": [{"noise": {}}]}]}, "known member"),
        ({"messages": [{"role": "king", "content": [{"text": "x"}]}]}, "enum"),
        ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "start with a user"),
        ({"messages": [user("x"), user("y")]}, "alternate"),
        ({"messages": [user("x")], "inferenceConfig": {"maxTokens": 0}}, "maxTokens"),
        ({"messages": [user("x")], "inferenceConfig": {"maxTokens": "9"}}, "maxTokens"),
        ({"messages": [user("x")], "inferenceConfig": {"temperature": 1.5}}, "temperature"),
        ({"messages": [user("x")], "inferenceConfig": {"topP": -1}}, "topP"),
        ({"messages": [user("x")], "inferenceConfig": {"stopSequences": ["s"] * 2501}}, "2500"),
        ({"messages": [user("<<stand-in: nonsense=1>>")]}, "nonsense"),
    ],
)
def test_a_bad_request_is_refused_as_bedrock_does(
    stand_in: StandIn, body: object, said: str
) -> None:
    status, answer, headers = post(f"{stand_in.url}/model/{MODEL}/converse", body)

    assert status == 400
    assert headers["x-amzn-ErrorType"] == "ValidationException"
    assert headers["x-amzn-RequestId"]
    assert said in answer["message"]


@pytest.mark.parametrize(
    ("model", "name", "status"),
    [
        ("missing.model", "ResourceNotFoundException", 404),
        ("denied.model", "AccessDeniedException", 403),
        ("no such model!", "ValidationException", 400),
    ],
)
def test_some_models_cannot_be_called(
    stand_in: StandIn, model: str, name: str, status: int
) -> None:
    with pytest.raises(ClientError) as refused:
        stand_in.bedrock.converse(modelId=model, messages=[user("x")])

    assert refused.value.response["Error"]["Code"] == name
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/model/m/chat"), ("GET", "/"), ("PUT", "/x")]
)
def test_an_unknown_path_is_an_unknown_operation(stand_in: StandIn, method: str, path: str) -> None:
    status, answer, headers = post(stand_in.url + path, None, method=method)

    assert status == 404
    assert headers["x-amzn-ErrorType"] == "UnknownOperationException"
    assert "message" in answer


# --- Faults before the answer


@pytest.mark.parametrize(
    ("directive", "name", "status"),
    [
        ("throttle_first=1", "ThrottlingException", 429),
        ("internal_error_first=1", "InternalServerException", 500),
        ("unavailable_first=1", "ServiceUnavailableException", 503),
        ("error_first=1; error=ModelTimeoutException", "ModelTimeoutException", 408),
        ("error_first=1; error=ModelNotReadyException", "ModelNotReadyException", 429),
        ("error_first=1; error=ModelErrorException", "ModelErrorException", 424),
    ],
)
def test_the_first_call_of_a_job_is_refused_and_the_second_answered(
    stand_in: StandIn, job: str, directive: str, name: str, status: int
) -> None:
    with pytest.raises(ClientError) as refused:
        list(stand_in.stream(directive, job=job))
    events = list(stand_in.stream(directive, job=job, attempt=2))

    assert refused.value.response["Error"]["Code"] == name
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert next(iter(events[-1])) == "metadata"
    first = "throttled" if name == "ThrottlingException" else f"error:{name}"
    assert stand_in.outcomes(job) == [first, "completed"]


def test_a_validation_error_comes_every_time(stand_in: StandIn, job: str) -> None:
    for _ in range(2):
        with pytest.raises(ClientError, match="too long for me"):
            stand_in.converse("validation_error=too long for me", job=job)

    assert stand_in.outcomes(job) == ["error:ValidationException"] * 2


def test_faults_are_set_for_one_job_and_cleared(stand_in: StandIn, job: str) -> None:
    stand_in.control("POST", "faults", {"job": job, "error": "ModelTimeoutException"})

    with pytest.raises(ClientError, match="ModelTimeoutException"):
        stand_in.converse("tokens=1", job=job)
    stand_in.converse("tokens=1", job="another")
    stand_in.control("DELETE", f"faults?job={job}")
    assert stand_in.converse("tokens=1", job=job)


def test_faults_are_set_for_every_job(stand_in: StandIn, job: str) -> None:
    stand_in.control("POST", "faults", {"job": "*", "echo": "for all"})

    try:
        assert stand_in.converse("first_token_s=0", job=job) == "for all"
    finally:
        stand_in.control("DELETE", "faults")


def test_a_bad_fault_is_refused_by_the_name_of_its_key(stand_in: StandIn) -> None:
    status, answer, _ = post(f"{stand_in.url}/_stand-in/faults", {"job": "*", "oops": 1})

    assert status == 400
    assert "oops" in answer["message"]


def test_calls_over_the_quota_are_throttled(stand_in: StandIn, job: str) -> None:
    stand_in.control("POST", "quota", {"calls_per_second": 0.001})

    try:
        stand_in.converse("tokens=1", job=job)
        with pytest.raises(ClientError, match="ThrottlingException"):
            stand_in.converse("tokens=1", job=job)
    finally:
        stand_in.control("POST", "quota", {"calls_per_second": None})
    assert stand_in.converse("tokens=1", job=job)


# --- Faults inside a stream


def test_a_stream_breaks_off_with_an_exception_frame(stand_in: StandIn, job: str) -> None:
    got: list[ConverseStreamOutputTypeDef] = []

    with pytest.raises(EventStreamError) as broken:
        got.extend(
            stand_in.stream(
                "tokens=9; tokens_per_second=99; stream_error_after=3; "
                "stream_error=throttlingException",
                job=job,
            )
        )

    assert broken.value.response["Error"]["Code"] == "throttlingException"
    assert stand_in.outcomes(job) == ["error:throttlingException"]
    assert stand_in.calls(job)[0]["output_tokens"] == 3


def test_a_cut_stream_ends_without_its_last_chunk(stand_in: StandIn, job: str) -> None:
    stream = stand_in.stream("tokens=9; tokens_per_second=99; cut_after=3", job=job)

    got = [next(stream) for _ in range(4)]
    with pytest.raises(ProtocolError):
        next(stream)

    assert len(texts(got)) == 3
    assert stand_in.outcomes(job) == ["cut"]


def test_a_whole_answer_can_be_cut_too(stand_in: StandIn, job: str) -> None:
    with pytest.raises(Exception, match="Connection was closed"):
        stand_in.converse("cut_after=1", job=job)

    assert stand_in.outcomes(job) == ["cut"]


def test_a_garbled_frame_fails_boto3_s_checksum(stand_in: StandIn, job: str) -> None:
    stream = stand_in.stream("tokens=9; tokens_per_second=99; garble_after=2", job=job)

    got = [next(stream) for _ in range(3)]
    with pytest.raises(ChecksumMismatch):
        next(stream)

    assert len(texts(got)) == 2
    assert stand_in.outcomes(job) == ["error:garbled"]


def test_stream_faults_can_end_with_the_first_calls(stand_in: StandIn, job: str) -> None:
    directive = "tokens=5; stream_error_after=1; stream_faults_first=1"

    with pytest.raises(EventStreamError):
        list(stand_in.stream(directive, job=job))
    list(stand_in.stream(directive, job=job))

    assert stand_in.outcomes(job) == ["error:modelStreamErrorException", "completed"]


def test_a_stalled_stream_goes_on_after_its_pause(stand_in: StandIn, job: str) -> None:
    began = time.monotonic()

    events = list(stand_in.stream("tokens=9; stall_after=1; stall_s=0.5", job=job))

    assert time.monotonic() - began >= 0.5
    assert next(iter(events[-1])) == "metadata"


def test_a_stream_lasts_as_long_as_it_is_told(stand_in: StandIn, job: str) -> None:
    began = time.monotonic()

    events = list(stand_in.stream("tokens=5; first_token_s=0.2; duration_s=0.6", job=job))

    assert time.monotonic() - began >= 0.8
    assert len(texts(events)) == 5


# --- The ledger


def test_the_ledger_tells_each_call_of_a_job(stand_in: StandIn, job: str) -> None:
    list(stand_in.stream("tokens=5", job=job, attempt=3))

    (call,) = stand_in.calls(job)
    assert call["n"] == 1
    assert call["job"] == job
    assert call["attempt"] == 3
    assert call["operation"] == "ConverseStream"
    assert call["model"] == MODEL
    assert call["outcome"] == "completed"
    assert call["output_tokens"] == 5
    assert call["input_tokens"] > 0
    assert call["started_at"] <= call["first_token_at"] <= call["ended_at"]


def test_a_native_call_names_its_job_in_a_header(stand_in: StandIn, job: str) -> None:
    post(
        f"{stand_in.url}/model/meta.llama3/invoke",
        {"prompt": "x"},
        headers={"x-longhaul-job-id": job, "x-longhaul-attempt": "2"},
    )

    assert [call["attempt"] for call in stand_in.calls(job)] == [2]


def test_a_native_call_names_its_job_in_request_metadata(stand_in: StandIn, job: str) -> None:
    stand_in.bedrock.invoke_model(
        modelId="meta.llama3",
        body=b'{"prompt": "x"}',
        requestMetadata=json.dumps({"longhaul-job-id": job}),
    )

    assert stand_in.outcomes(job) == ["completed"]


def test_the_ledger_notices_a_client_that_hangs_up(stand_in: StandIn, job: str) -> None:
    answer = stand_in.bedrock.converse_stream(
        modelId=MODEL,
        messages=[user("Hi <<stand-in: tokens=9; first_token_s=0; stall_after=1>>")],
        requestMetadata={"longhaul-job-id": job},
    )
    assert "messageStart" in next(iter(answer["stream"]))
    assert stand_in.outcomes(job) == ["running"]

    answer["stream"].close()

    wait_until(lambda: stand_in.outcomes(job) == ["client_gone"])


def test_the_ledger_notices_a_client_that_hangs_up_before_the_first_token(
    stand_in: StandIn, job: str
) -> None:
    prompt = json.dumps({"messages": [user("Hi <<stand-in: first_token_s=3600>>")]}).encode()
    host, port = stand_in.url.removeprefix("http://").split(":")
    request = (
        f"POST /model/m/converse HTTP/1.1\r\nHost: {host}\r\nx-longhaul-job-id: {job}\r\n"
        f"Content-Length: {len(prompt)}\r\n\r\n"
    )

    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(request.encode() + prompt)
        wait_until(lambda: stand_in.outcomes(job) == ["running"])

    wait_until(lambda: stand_in.outcomes(job) == ["client_gone"])


def test_the_ledger_sums_up_and_is_cleared(stand_in: StandIn, job: str) -> None:
    wait_until(lambda: stand_in.control("GET", "calls/summary")["in_flight"] == 0)
    stand_in.control("DELETE", "calls")

    stand_in.converse("tokens=1", job=job)

    assert stand_in.control("GET", "calls/summary") == {
        "calls": 1,
        "outcomes": {"completed": 1},
        "in_flight": 0,
        "max_in_flight": 1,
    }


def test_three_hundred_streams_are_open_at_once_and_all_complete(
    stand_in: StandIn, job: str
) -> None:
    open_streams = 300
    everyone = Barrier(open_streams, timeout=DEADLINE_S)

    def read(number: int) -> int:
        stream = stand_in.stream("tokens=20; duration_s=1", job=f"{job}-{number}")
        next(stream)
        everyone.wait()  # none is read on before every one has begun
        return len(texts(list(stream)))

    with ThreadPoolExecutor(open_streams) as threads:
        lengths = list(threads.map(read, range(open_streams)))

    assert lengths == [20] * open_streams


def test_a_large_document_is_answered(stand_in: StandIn, job: str) -> None:
    sentences = (
        f"Keeper {number} of the northern lighthouses wrote a log every evening of the year."
        for number in range(11_000)
    )

    answer = stand_in.bedrock.converse(
        modelId="amazon.nova-lite-v1:0",  # takes 300,000 tokens
        messages=[user("\n".join(sentences))],
        requestMetadata={"longhaul-job-id": job},
    )

    assert answer["usage"]["inputTokens"] > 200_000
    assert 250 <= answer["usage"]["outputTokens"] <= 400


# --- The process


def test_the_stand_in_is_healthy(stand_in: StandIn) -> None:
    assert stand_in.control("GET", "health") == {"status": "ok"}


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        ((), {}, "--port"),
        (("--port", "70000"), {}, "70000"),
        (("--port", "0", "--tokens-per-second", "0"), {}, "--tokens-per-second"),
        (("--port", "0", "--noise"), {}, "--noise"),
        (
            ("--port", "0"),
            {"LONGHAUL_BEDROCK_FIRST_TOKEN_SECONDS": "soon"},
            "LONGHAUL_BEDROCK_FIRST_TOKEN_SECONDS",
        ),
    ],
)
def test_a_bad_setting_ends_the_process_with_one_line(
    arguments: tuple[str, ...], environ: Mapping[str, str], said: str
) -> None:
    with start(*arguments, **environ) as process:
        _, told = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 2
    assert len(told.splitlines()) == 1
    assert said in told


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start("--port", str(port)) as process:
            _, told = process.communicate(timeout=DEADLINE_S)

    assert process.returncode == 1
    assert f"127.0.0.1:{port}" in told


def test_a_signal_ends_the_process_with_streams_open() -> None:
    with start("--port", "0") as process:
        host, port = address(process).removeprefix("http://").split(":")
        prompt = json.dumps({"messages": [user("<<stand-in: first_token_s=0; stall_after=0>>")]})
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(
                f"POST /model/m/converse-stream HTTP/1.1\r\nHost: {host}\r\n"
                f"Content-Length: {len(prompt)}\r\n\r\n{prompt}".encode()
            )
            assert connection.recv(12) == b"HTTP/1.1 200"

            process.terminate()

            assert process.wait(timeout=DEADLINE_S) == 0


def test_input_that_is_longer_than_the_model_takes_is_refused_as_bedrock_does(
    stand_in: StandIn, job: str
) -> None:
    with pytest.raises(ClientError, match="Input is too long for requested model") as refused:
        stand_in.bedrock.converse_stream(
            modelId="mistral.mistral-7b-instruct-v0:2",
            messages=[user("word " * 30_000)],
            requestMetadata={"longhaul-job-id": job},
        )

    assert refused.value.response["Error"]["Code"] == "ValidationException"
