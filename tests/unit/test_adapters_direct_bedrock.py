"""Bedrock's streamed calls without botocore's layers: as boto3 sends, reads and raises."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.utils import percent_encode
from hypothesis import given
from hypothesis import strategies as st

from adapters.aws_signature import Signer
from adapters.bedrock import BedrockModel
from adapters.direct_bedrock import DirectBedrock, connect_direct_bedrock
from jobs.errors import ModelError
from jobs.prompt import Prompt
from tests.builders import pieces_of
from tests.scripted_bedrock import (
    HELLO,
    KEYS,
    SILENCE_SECONDS,
    WAYS,
    Bedrock,
    an_invocation,
    refusal_of,
)
from tests.serving import serving
from tests.stack import environ_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.model_ports import Invocation

NOW = datetime(2026, 11, 25, 23, 59, 59, tzinfo=UTC)
ENDPOINT = "https://bedrock-runtime.eu-west-1.amazonaws.com"
PROFILE = "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.x.y-v1:0"
SENT = {
    "text": an_invocation(temperature=0.5, top_p=1.0, stop_sequences=("Zoë", "  two  ")),
    "conversation": an_invocation(
        Prompt(
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"text": "Zoë ☕ \ud83d"},
                        {"image": {"format": "png", "source": {"bytes": "AAEC/w=="}}},
                    ],
                }
            ],
            system="Be  brief",
        )
    ),
    "profile": an_invocation(model=PROFILE),
    "native": an_invocation(Prompt(body='{ "prompt":  "Zoë", "n": 1e0 }'), "meta.llama3-70b:0"),
    "native profile": an_invocation(Prompt(body="{}"), PROFILE),
}
OF_A_REQUEST = ("content-type", "x-amzn-bedrock-accept", "x-amzn-bedrock-request-metadata")


@pytest.mark.parametrize("invocation", SENT.values(), ids=SENT)
def test_what_is_sent_is_what_boto3_sends(invocation: Invocation) -> None:
    sent = []
    for way in WAYS:
        bedrock = Bedrock(status=400, body=b"{}")
        refusal_of(bedrock, way, invocation)
        [(path, headers, body)] = bedrock.asked
        assert headers["user-agent"].startswith("longhaul")
        signed = headers["authorization"].split(", ")[0]
        sent.append((path, [headers.get(name) for name in OF_A_REQUEST], signed, body))

    theirs, ours = sent
    assert ours == theirs


@given(
    model=st.text(min_size=1) | st.sampled_from([".", "..", "a/../b", "a//b", PROFILE]),
    metadata=st.text(st.characters(codec="ascii", exclude_categories=["Cc"])),
    body=st.binary(),
    token=st.none() | st.text(st.sampled_from("abc/+="), min_size=1),
)
def test_a_signature_is_botocores_own(
    model: str, metadata: str, body: bytes, token: str | None
) -> None:
    keys = Credentials("AKID", "secret", token)
    headers = {"content-type": "application/json", "x-amzn-bedrock-request-metadata": metadata}
    path = f"/model/{percent_encode(model)}/converse-stream"  # as botocore's serializer does

    ours = Signer.of(ENDPOINT, service="bedrock", region="eu-west-1").sign(
        headers, body, keys=keys.get_frozen_credentials(), now=NOW, path=path
    )

    request = AWSRequest("POST", ENDPOINT + path, headers=headers, data=body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda **_: NOW)
        SigV4Auth(keys, "bedrock", "eu-west-1").add_auth(request)
    assert ours["authorization"] == str(request.headers["Authorization"])


REFUSALS: Mapping[str, Bedrock] = {
    "throttled": Bedrock(
        status=429,
        headers={"x-amzn-ErrorType": "ThrottlingException:http://internal.amazon.com/x/"},
        body=b'{"message":"Too many tokens"}',
    ),
    "rejected": Bedrock(
        status=400, headers={"x-amzn-ErrorType": "ValidationException"}, body=b'{"message":"no"}'
    ),
    "named in its body": Bedrock(
        status=403, body=b'{"__type":"com.amazon#AccessDeniedException","Message":"who?"}'
    ),
    "model's": Bedrock(
        status=424,
        headers={"x-amzn-ErrorType": "ModelErrorException"},
        body=b'{"message":"no","originalStatusCode":500,"resourceName":"x"}',
    ),
    "gateway's": Bedrock(status=502, body=b"<html>Bad gateway</html>"),
    "gateway's without a word": Bedrock(status=503, body=b""),
    "no": Bedrock(status=404, body=b"[]"),
    "elsewhere": Bedrock(status=307, headers={"Location": "http://127.0.0.1:1/"}, body=b""),
    "ambiguous": Bedrock(status=300, body=b""),
    "no object": Bedrock(status=400, body=b"null"),
    "no text": Bedrock(status=400, body=b"\xff"),
    "refused, and hung up": Bedrock(status=400, body=b'{"message":', cut_by=9),
    "internal": Bedrock(status=500, body=b'{"message":"broken"}'),
    "hung up": Bedrock(status=None),
    "silent": Bedrock(is_silent=True),
    "garbage": Bedrock(body=b"no frames"),
    "cut": Bedrock(body=HELLO[:-20]),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_goes_wrong_is_what_it_is_with_boto3_and_is_one_call(name: str) -> None:
    told = []
    for way in WAYS:
        bedrock = REFUSALS[name]
        bedrock.asked.clear()
        error = refusal_of(bedrock, way)
        assert len(bedrock.asked) == 1
        facts = (error.name, error.error_code, error.retryable, error.may_be_paid, str(error))
        told.append((*facts, *_read_by_us(error.__cause__)))

    theirs, ours = told
    assert ours == theirs


def _read_by_us(cause: BaseException | None) -> tuple[object, ...]:
    response = cause.response if isinstance(cause, ClientError) else {}
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return type(cause).__name__, response.get("Error"), status


@pytest.mark.parametrize("way", WAYS)
def test_parameters_that_botocore_refuses_are_never_sent(way: str) -> None:
    bedrock = Bedrock()
    odd = Prompt(messages=[{"role": "user", "content": [{"noSuchBlock": 1}]}])

    error = refusal_of(bedrock, way, an_invocation(odd))

    assert (error.name, error.error_code) == ("Longhaul.NotInvoked", "model_rejected_request")
    assert bedrock.asked == []


def test_a_session_token_goes_along() -> None:
    bedrock = Bedrock()

    with (
        bedrock.asking("direct", AWS_SESSION_TOKEN="session") as model,
        model.invoke(an_invocation()),
    ):
        pass

    assert bedrock.asked[0][1]["x-amz-security-token"] == "session"


def test_an_endpoint_may_have_a_path_of_its_own() -> None:
    paths = []
    for way in WAYS:
        bedrock = Bedrock()
        with serving(bedrock._handler()) as address:  # noqa: SLF001 - its own test
            named = {**KEYS, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"{address}/gate/"}
            with environ_of(named):
                client = WAYS[way](connections=1, read_timeout=SILENCE_SECONDS)
            with BedrockModel(client=client).invoke(an_invocation()) as answering:
                assert pieces_of(answering) == ["Hello"]
            client.close()
        paths.append(bedrock.asked[0][0])

    assert paths == ["/gate/model/amazon.nova-lite-v1%3A0/converse-stream"] * 2


def test_who_has_no_keys_never_asks(tmp_path_factory: pytest.TempPathFactory) -> None:
    nowhere = str(tmp_path_factory.mktemp("none") / "none")
    environ = {
        "AWS_REGION": "eu-west-1",
        "AWS_SHARED_CREDENTIALS_FILE": nowhere,
        "AWS_CONFIG_FILE": nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with environ_of(environ):
        client = connect_direct_bedrock(connections=1, read_timeout=1)

    with (
        pytest.raises(ModelError) as raised,
        BedrockModel(client=client).invoke(an_invocation()),
    ):
        pass

    assert raised.value.error_code == "model_access_denied"
    client.close()


@pytest.mark.parametrize(
    "environ",
    [
        {"https_proxy": "http://proxy.invalid:3128"},
        {"AWS_BEARER_TOKEN_BEDROCK": "bearer"},
        {"AWS_AUTH_SCHEME_PREFERENCE": "httpBearerAuth"},
    ],
    ids=["proxy", "bearer token", "another token"],
)
def test_a_way_that_is_not_ours_is_boto3s(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)

    with environ_of({**KEYS, **environ}):
        client = connect_direct_bedrock(connections=1, read_timeout=1)

    assert not isinstance(client, DirectBedrock)
    client.close()


def test_what_does_not_stream_is_boto3s() -> None:
    bedrock = Bedrock(body=b'{"embedding":[1.0]}')
    embedding = an_invocation(Prompt(body='{"inputText":"tea"}'), "amazon.titan-embed-text-v2:0")

    with bedrock.asking("direct") as model, model.invoke(embedding) as answering:
        assert pieces_of(answering) == []

    assert answering.raw == '{"embedding":[1.0]}'
