"""What cannot become a job is refused in words that help, whatever it is."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.errors import InvalidRequest
from jobs.job import Inline
from jobs.prompt import Prompt
from tests.web_world import ADA, World
from web.bodies import read_job_body
from web.json_text import text_of_member

PROMPT = {"prompt": "Say hello"}
TURN = {"role": "user", "content": [{"text": "Hi"}]}

OF_ANOTHER = {"document": {"source": {"s3Location": {"uri": "s3://bucket/results/job"}}}}
DEEP = {"toolResult": {"content": [{"image": {"source": {"s3Location": {"uri": "s3://b/k"}}}}]}}
NO_BASE64 = {"image": {"format": "png", "source": {"bytes": "%%%"}}}

INVALID: list[tuple[object, str]] = [
    ({"messages": [{"role": "user", "content": [OF_ANOTHER]}]}, "messages.0.content.0"),
    ({"messages": [{"role": "user", "content": [DEEP]}]}, "messages.0.content.0"),
    ({"messages": [{"role": "user", "content": [NO_BASE64]}]}, "messages.0.content.0"),
    ({"prompt": "x", "metadata": {f"k{n}": "v" * 500 for n in range(40)}}, "metadata"),
    ({"prompt": "x", "retention_s": 3650 * 86_400}, "retention_s"),
    ({}, "prompt"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": " \n"}, "prompt"),
    ({"prompt": 5}, "prompt"),
    ({"prompt": None}, "prompt"),
    ({"prompt": ["x"]}, "prompt"),
    ({"prompt": "x", "messages": [TURN]}, "prompt"),
    ({"prompt": "x", "colour": 1}, "colour"),
    ({"prompt": "\ud800"}, "prompt"),
    ({"prompt": "x", "metadata": {"\udfff": "v"}}, "metadata.\udfff"),
    ({"prompt": "x", "model": ""}, "model"),
    ({"prompt": "x", "model": "a b"}, "model"),
    ({"prompt": "x", "system": " "}, "system"),
    ({"prompt": "x", "body": {"a": 1}}, "prompt"),
    ({"messages": [TURN], "body": {"a": 1}}, "prompt"),
    ({"body": {}}, "body"),
    ({"body": "x"}, "body"),
    ({"body": [1]}, "body"),
    ({"body": {"a": 1}, "system": "Be brief"}, "system"),
    ({"body": {"a": 1}, "inference_config": {}}, "inference_config"),
    ({"body": {"messages": [{"content": [OF_ANOTHER]}]}}, "body"),
    ({"body": {"media": [{"S3_location": {"uri": "s3://b/k"}}]}}, "body"),
    ({"body": {"image": {"s3Uri": "s3://b/k"}}}, "body"),
    ({"body": {"inputText": "\udfff"}}, "body.inputText"),
    ({"prompt": "x", "webhook": "https://x"}, "webhook"),
    ({"prompt": "x", "webhook": {"url": ""}}, "webhook.url"),
    ({"prompt": "x", "webhook": {"url": "https://x", "secret": "y"}}, "webhook.secret"),
    ({"prompt": "x", "start_timeout_s": 0}, "start_timeout_s"),
    ({"prompt": "x", "run_timeout_s": 0}, "run_timeout_s"),
    ({"prompt": "x", "run_timeout_s": 1.5}, "run_timeout_s"),
    ({"prompt": "x", "run_timeout_s": 10**40}, "run_timeout_s"),
    ({"prompt": "x", "retention_s": 59}, "retention_s"),
    ({"prompt": "x", "on_interrupted": "pray"}, "on_interrupted"),
    ({"prompt": "x", "inference_config": 5}, "inference_config"),
    ({"prompt": "x", "inference_config": {"max_tokens": 0}}, "inference_config.max_tokens"),
    ({"prompt": "x", "inference_config": {"max_tokens": True}}, "inference_config.max_tokens"),
    ({"prompt": "x", "inference_config": {"max_tokens": 10**40}}, "inference_config.max_tokens"),
    ({"prompt": "x", "inference_config": {"max_tokens": 1.5}}, "inference_config.max_tokens"),
    ({"prompt": "x", "inference_config": {"temperature": 2}}, "inference_config.temperature"),
    ({"prompt": "x", "inference_config": {"temperature": "0"}}, "inference_config.temperature"),
    ({"prompt": "x", "inference_config": {"temperature": 1e-200}}, "inference_config.temperature"),
    ({"prompt": "x", "inference_config": {"top_p": -0.1}}, "inference_config.top_p"),
    ({"prompt": "x", "inference_config": {"top_k": 1}}, "inference_config.top_k"),
    (
        {"prompt": "x", "inference_config": {"stop_sequences": ["a"] * 5}},
        "inference_config.stop_sequences",
    ),
    (
        {"prompt": "x", "inference_config": {"stop_sequences": [""]}},
        "inference_config.stop_sequences.0",
    ),
    ({"prompt": "x", "metadata": {"a": 1}}, "metadata.a"),
    ({"prompt": "x", "metadata": {"a": "v" * 513}}, "metadata.a"),
    ({"prompt": "x", "metadata": {str(n): "" for n in range(51)}}, "metadata"),
    ({"messages": []}, "messages"),
    ({"messages": [{"role": "system", "content": [{"text": "x"}]}]}, "messages.0.role"),
    ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "messages.0.role"),
    ({"messages": [{"role": "user", "content": []}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": "x"}]}, "messages.0.content"),
    ({"messages": [{"role": "user", "content": [{}]}]}, "messages.0.content.0"),
    ({"messages": [{"role": "user", "content": [{"text": 5}]}]}, "messages.0.content.0"),
    ({"messages": [{"role": "user", "content": [{"text": ""}]}]}, "messages.0.content.0"),
    ({"messages": [{"role": "user", "content": [{"a": 1, "b": 2}]}]}, "messages.0.content.0"),
    ({"messages": [TURN, {"role": "user"}]}, "messages.1.content"),
]


@pytest.mark.parametrize(("body", "field"), INVALID)
def test_an_invalid_body_names_the_field(body: object, field: str) -> None:
    world = World()

    response = _post(world, json.dumps(body))

    problem = response.get_json()
    assert response.status_code == 422
    assert response.content_type == "application/problem+json"
    assert problem["code"] == "invalid_request"
    assert field in [error["field"] for error in problem["errors"]]
    assert all(error["detail"] for error in problem["errors"])
    assert not world.events.told


@pytest.mark.parametrize(
    "sent",
    [
        '{"a":1}',
        '{ "b" : 1.0, "a": [1e2,\n -0.0, 10000000000000000000001], "é": "\\u00e9\\n\\/" }',
        '{"body": {"body": "}, \\"body\\": 1"}}',
    ],
)
@pytest.mark.parametrize(
    "around", ['{{"body":{}}}', ' {{"metadata" : {{}} ,\t"\\u0062ody"\n: {} , "model": "m"}}']
)
def test_a_native_body_is_kept_to_the_character(around: str, sent: str) -> None:
    world = World()

    answer = _post(world, around.format(sent))

    assert answer.status_code == 202, answer.text
    prompt = world.store.get(answer.get_json()["id"]).prompt
    assert isinstance(prompt, Inline)
    assert Prompt.from_json(prompt.text) == Prompt(body=sent)


def test_a_native_tools_own_parameter_may_have_any_name() -> None:
    tool = {"input_schema": {"properties": {"s3Uri": {"type": "string"}}}}

    assert _post(World(), json.dumps({"body": {"tools": [tool]}})).status_code == 202


@settings(deadline=None)
@given(
    body=st.dictionaries(st.text(), st.integers() | st.text(), min_size=1),
    indent=st.none() | st.integers(0, 3),
)
def test_any_native_body_is_found_where_it_stands(body: dict[str, Any], indent: int | None) -> None:
    written = json.dumps({"x": "{", "body": body, "y": []}, indent=indent)

    found = text_of_member(written.encode(), "body")

    assert found is not None
    assert found in written
    assert json.loads(found) == body
    assert text_of_member(written.encode(), "z") is None


@pytest.mark.parametrize("body", ["5", '"x"', "[]", "null", "true"])
def test_a_body_that_is_no_object_is_invalid(body: str) -> None:
    response = _post(World(), body)

    assert (response.status_code, response.get_json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b'{"prompt": "x"',
        b"{'prompt': 'x'}",
        b'{"prompt": "x",}',
        b'{"prompt": "\xff"}',
        b'\xef\xbb\xbf{"prompt": "x"}',
        b'{"prompt": NaN}',
        b'{"prompt": "x", "inference_config": {"temperature": Infinity}}',
        b'{"prompt": "x", "inference_config": {"temperature": 1e400}}',
        b'{"prompt": "x", "prompt": "y"}',
        b'{"prompt": ' + b"[" * 100_000,
        b'{"prompt": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"a":' * 100_000,
        b'{"prompt": ' + b"9" * 5_000 + b"}",
        b"[" + b"0," * 200_000 + b"0]",
    ],
)
def test_a_body_that_is_no_json_is_refused_and_says_why(body: bytes) -> None:
    world = World()

    response = _post(world, body)

    problem = response.get_json()
    assert (response.status_code, problem["code"]) == (400, "malformed_json"), problem
    assert problem["detail"]
    assert not world.log.faults


def test_malformed_json_is_told_with_its_place() -> None:
    assert "line 2 column 1" in _post(World(), '{"prompt":\n!}').get_json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": ""},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "multipart/form-data; boundary=x"},
    ],
)
def test_what_does_not_say_it_is_json_is_415(headers: dict[str, str]) -> None:
    response = World().client.post("/v1/jobs", data=json.dumps(PROMPT), headers={**ADA, **headers})

    assert response.status_code == 415


@pytest.mark.parametrize(
    "kind",
    ["application/json; charset=UTF-8", "application/json", "application/vnd.longhaul+json"],
)
def test_json_under_any_of_its_names_is_taken(kind: str) -> None:
    headers = {**ADA, "Content-Type": kind}

    response = World().client.post("/v1/jobs", data=json.dumps(PROMPT), headers=headers)

    assert response.status_code == 202


def test_a_body_of_exactly_the_bound_is_taken_and_one_byte_more_is_413() -> None:
    world = World(max_request_bytes=1_000)
    body = json.dumps({"prompt": "x" * 900})
    fits = body + " " * (1_000 - len(body))

    assert _post(world, fits).status_code == 202
    assert _post(world, fits + " ").status_code == 413


def test_a_body_of_unknown_length_is_bound_as_well() -> None:
    world = World(max_request_bytes=1_000)

    response = world.client.post(
        "/v1/jobs",
        input_stream=io.BytesIO(b'{"prompt": "' + b"x" * 2_000 + b'"}'),
        headers={**ADA, "Content-Type": "application/json", "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert (response.status_code, response.get_json()["code"]) == (413, "payload_too_large")


def test_a_body_that_breaks_off_is_the_clients_problem() -> None:
    response = World().client.post(
        "/v1/jobs",
        input_stream=io.BytesIO(b'{"prompt"'),
        headers={**ADA, "Content-Type": "application/json", "Content-Length": "500"},
    )

    assert response.status_code == 400


def test_a_prompt_is_never_told_back() -> None:
    for body in ({"prompt": ["my secret"]}, {"messages": [{"role": "my secret"}]}):
        assert "secret" not in _post(World(), json.dumps(body)).text


def test_text_may_hold_any_unicode_even_nul() -> None:
    world = World()

    job_id = world.submit(prompt="\x00 \U0001f600 é")["id"]

    assert "\\u0000 \U0001f600 é" in getattr(world.store.get(job_id).prompt, "text", "")


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nothing", 404, None),
        ("GET", "/v1/jobs/", 404, None),
        ("GET", "//v1/jobs", 404, None),
        ("POST", "/v1/nowhere", 404, None),
        ("DELETE", "/v1/jobs", 405, "GET, HEAD, POST"),
        ("OPTIONS", "/v1/jobs", 405, "GET, HEAD, POST"),
        ("PUT", "/healthz", 405, "GET, HEAD"),
        ("FROBNICATE", "/v1/jobs/x", 405, "DELETE, GET, HEAD"),
    ],
)
def test_other_addresses_and_methods_are_problems_too(
    method: str, path: str, status: int, allow: str | None
) -> None:
    response = World().client.open(path, method=method, headers=ADA)

    problem = response.get_json()
    assert (response.status_code, response.headers.get("Allow")) == (status, allow)
    assert response.content_type == "application/problem+json"
    assert set(problem) == {"type", "title", "status", "detail", "code", "trace_id", "instance"}


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None))
    | st.sampled_from(["user", "x"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec=None)), inner, max_size=4)
    ),
    max_leaves=8,
)
_NAMES = [
    "prompt",
    "model",
    "messages",
    "system",
    "metadata",
    "inference_config",
    "body",
    "webhook",
    "on_interrupted",
    "other",
]
_BODIES = st.dictionaries(st.sampled_from(_NAMES), _JSON, max_size=5)


@pytest.fixture(scope="module")
def any_world() -> World:
    """One for all examples: making an app takes ten times as long as asking it."""
    return World(allow_anonymous=True)


@settings(max_examples=300, deadline=None)
@given(body=_BODIES | _JSON)
def test_no_json_makes_a_5xx(any_world: World, body: Any) -> None:  # noqa: ANN401 - any JSON
    any_world.log.lines.clear()

    response = _post(any_world, json.dumps(body))

    assert response.status_code in {202, 400, 422}
    assert not any_world.log.faults


@settings(max_examples=300, deadline=None)
@given(body=st.binary() | st.text().map(str.encode))
def test_no_bytes_make_a_5xx(any_world: World, body: bytes) -> None:
    assert _post(any_world, body).status_code in {400, 422}


@settings(max_examples=200, deadline=None)
@given(name=st.text(st.characters(codec="latin-1", exclude_characters="\r\n")))
def test_no_header_makes_a_5xx(any_world: World, name: str) -> None:
    headers = ("Authorization", "X-Amzn-Trace-Id", "traceparent", "If-None-Match", "Content-Type")
    client = any_world.client
    job_id = any_world.submit({})["id"]

    answers = [client.get(f"/v1/jobs/{job_id}", headers={header: name}) for header in headers] + [
        client.post("/v1/jobs", data=b"{}", headers={header: name}) for header in headers
    ]

    assert all(answer.status_code < 500 for answer in answers)


def _post(world: World, body: str | bytes) -> Any:  # noqa: ANN401 - werkzeug's test response
    headers = {**ADA, "Content-Type": "application/json"}
    return world.client.post("/v1/jobs", data=body, headers=headers)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"a": {"s3Uri": "s3://b/k"}}, "s3Uri is not accepted: send the bytes"),
        ({"a": [{"s3Location": {"uri": "x"}}]}, "s3Location is not accepted: send the bytes"),
        ({"s3" + "_" * 90 + "uri": "x"}, "s3" + "_" * 38 + " is not accepted: send the bytes"),
        ({}, "must not be empty: send what the model's InvokeModel takes"),
    ],
    ids=["uri", "location", "long", "empty"],
)
def test_what_is_wrong_with_a_native_body_is_said_in_its_own_words(
    body: dict[str, object], detail: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_job_body({"body": body}, b"")

    assert [(one.field, one.detail) for one in refusal.value.problems] == [("body", detail)]


def test_a_tools_own_json_may_name_anything() -> None:
    tools = {"bytes": 5, "s3Location": "x", "more": [{"bytes": "eA=="}]}
    call = {"toolUse": {"toolUseId": "t1", "name": "fetch", "input": tools}}
    answer = {"toolResult": {"toolUseId": "t1", "content": [{"json": tools}]}}

    sent = {"messages": [{"role": "user", "content": [call, answer]}]}

    assert World().client.post("/v1/jobs", json=sent, headers=ADA).status_code == 202


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("model", "no such model", "must be letters, digits and signs, without spaces"),
        ("model", "m" * 2049, "must have a length of 2048 or less"),
        ("system", 5, "must be a string"),
        ("inference_config", 0, "must be an object"),
        ("inference_config", {"temperature": 2}, "must be 1 or less"),
        ("inference_config", {"temperature": "warm"}, "must be a number"),
        ("inference_config", {"max_tokens": 0}, "must be 1 or more"),
        ("inference_config", {"max_tokens": 1.5}, "must be a whole number"),
        ("inference_config", {"stop_sequences": "x"}, "must be an array"),
        ("inference_config", {"stop_sequences": ["x"] * 5}, "must have a length of 4 or less"),
        ("inference_config", {"heat": 1}, "is not a known field"),
        ("metadata", [], "must be an object"),
        ("webhook", {}, "must be there"),
        ("on_interrupted", "cry", "must be 'retry' or 'fail'"),
    ],
)
def test_what_is_wrong_with_a_field_is_said_in_plain_words(
    field: str, value: object, told: str
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_job_body({**PROMPT, field: value}, b"")

    assert [one.detail for one in refusal.value.problems] == [told]


def test_a_mistyped_prompt_is_told_as_unknown_and_as_missing() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_job_body({"promt": "Hi"}, b"")

    assert [(one.field, one.detail) for one in refusal.value.problems] == [
        ("promt", "is not a known field"),
        ("prompt", "send exactly one of prompt, messages and body"),
    ]
    assert str(refusal.value).endswith("promt: is not a known field (and 1 more)")


def test_a_missing_prompt_is_told_once_and_also_behind_many_others() -> None:
    for body, count in (({}, 1), ({f"f{number}": 1 for number in range(50)}, 20)):
        with pytest.raises(InvalidRequest) as refusal:
            read_job_body(body, b"")

        told = [one.field for one in refusal.value.problems]
        assert (len(told), told.count("prompt")) == (count, 1)
