"""Connections to Bedrock without botocore's layers: kept, lost and refused as with boto3."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import urllib3
from botocore.credentials import RefreshableCredentials
from urllib3 import exceptions as lost

from adapters.direct_bedrock import DirectBedrock
from jobs.errors import ModelError
from tests.builders import pieces_of
from tests.certificates import write_certificate
from tests.scripted_bedrock import PATIENCE_SECONDS, WAYS, Bedrock, an_invocation, refusal_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

POOL = urllib3.HTTPConnectionPool("bedrock.invalid")
CONNECTION = urllib3.connection.HTTPConnection("bedrock.invalid")
NEVER_SENT = ("model_unreachable", False)
LOST = ("model_connection_lost", True)


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_whose_answer_has_ended_is_used_again(way: str) -> None:
    bedrock = Bedrock()

    with bedrock.asking(way) as model:
        for _ in range(3):
            with model.invoke(an_invocation()) as answering:
                assert pieces_of(answering) == ["Hello"]

    assert len(bedrock.asked) == 3
    assert len(bedrock.connections) == 1


@pytest.mark.parametrize("way", WAYS)
def test_after_a_refusal_too(way: str) -> None:
    bedrock = Bedrock(status=400, body=b'{"message":"no"}')

    with bedrock.asking(way) as model:
        for _ in range(2):
            with pytest.raises(ModelError), model.invoke(an_invocation()):
                pass

    assert len(bedrock.connections) == 1


@pytest.mark.parametrize("way", WAYS)
def test_one_that_was_closed_while_it_lay_idle_is_not_used(way: str) -> None:
    bedrock = Bedrock(hangs_up_after=True)

    with bedrock.asking(way) as model:
        for _ in range(2):
            with model.invoke(an_invocation()) as answering:
                assert pieces_of(answering) == ["Hello"]
            assert bedrock.hung_up.wait(PATIENCE_SECONDS)
            bedrock.hung_up.clear()

    assert len(bedrock.asked) == len(bedrock.connections) == 2


@pytest.mark.parametrize("way", WAYS)
def test_one_that_ends_under_its_second_request_makes_no_third(way: str) -> None:
    bedrock = Bedrock()

    with bedrock.asking(way) as model:
        with model.invoke(an_invocation()) as answering:
            assert pieces_of(answering) == ["Hello"]
        bedrock.status = None
        with pytest.raises(ModelError) as raised, model.invoke(an_invocation()):
            pass

    assert (raised.value.error_code, raised.value.may_be_paid) == LOST
    assert len(bedrock.asked) == 2
    assert len(bedrock.connections) == 1


ENDS: Mapping[str, tuple[Exception, tuple[str, bool]]] = {
    "certificate": (lost.SSLError("no"), NEVER_SENT),
    "nobody listens": (lost.NewConnectionError(CONNECTION, "no"), NEVER_SENT),
    "no such host": (lost.NameResolutionError("h", CONNECTION, socket.gaierror()), NEVER_SENT),
    "no names": (socket.gaierror(), NEVER_SENT),
    "nobody answers": (lost.ConnectTimeoutError(CONNECTION, "no"), NEVER_SENT),
    "silence": (lost.ReadTimeoutError(POOL, "/", "no"), ("model_read_timeout", True)),
    "hung up": (lost.ProtocolError("no"), LOST),
    "no place": (lost.LocationParseError("no"), LOST),
    "reset": (ConnectionResetError(), LOST),
    "a surprise": (RuntimeError("no"), LOST),
    "no memory": (MemoryError(), LOST),
}


@pytest.mark.parametrize("name", ENDS)
def test_what_was_never_sent_is_told_from_what_may_be_paid(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, expected = ENDS[name]

    def end(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(urllib3.HTTPConnectionPool, "urlopen", end)
    theirs, ours = (refusal_of(Bedrock(), way) for way in WAYS)

    assert (ours.error_code, ours.may_be_paid) == expected
    assert (ours.name, ours.retryable, str(ours)) == (theirs.name, theirs.retryable, str(theirs))
    assert type(ours.__cause__) is type(theirs.__cause__)


@pytest.mark.parametrize("way", WAYS)
def test_authorities_are_those_that_aws_names(way: str, tmp_path: Path) -> None:
    bedrock, certificate = Bedrock(), write_certificate(tmp_path)

    with (
        bedrock.asking(way, certificate=certificate, AWS_CA_BUNDLE=str(certificate)) as model,
        model.invoke(an_invocation()) as answering,
    ):
        assert pieces_of(answering) == ["Hello"]

    assert len(bedrock.asked) == 1


@pytest.mark.parametrize("way", WAYS)
def test_who_cannot_prove_to_be_bedrock_is_asked_nothing(way: str, tmp_path: Path) -> None:
    bedrock = Bedrock()

    with (
        bedrock.asking(way, certificate=write_certificate(tmp_path)) as model,
        pytest.raises(ModelError) as raised,
        model.invoke(an_invocation()),
    ):
        pass

    assert (raised.value.error_code, raised.value.may_be_paid) == NEVER_SENT
    assert bedrock.asked == []


def test_keys_that_ran_out_are_renewed_before_they_sign() -> None:
    bedrock, now = Bedrock(), datetime.now(UTC)
    renewed = {
        "access_key": "RENEWED",
        "secret_key": "secret",
        "token": "token",
        "expiry_time": (now + timedelta(hours=1)).isoformat(),
    }
    keys = RefreshableCredentials(
        "OLD", "secret", "token", now - timedelta(hours=1), lambda: renewed, "test"
    )

    with bedrock.asking("direct") as model:
        assert isinstance(model.client, DirectBedrock)
        renewing = replace(model, client=replace(model.client, credentials=keys))
        with renewing.invoke(an_invocation()):
            pass

    assert "Credential=RENEWED/" in bedrock.asked[0][1]["authorization"]
