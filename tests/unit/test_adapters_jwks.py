"""How an issuer's keys are fetched, over real HTTP on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapters import jwks
from adapters.jwks import MOST_BYTES, fetch_jwks
from jobs.errors import Misconfigured, Unavailable
from tests.free_ports import free_base
from tests.issuer import Issuer, SigningKey, serving_issuer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with serving_issuer() as issuer:
        yield issuer


def test_keys_are_where_the_discovery_document_says(issuer: Issuer) -> None:
    issuer.keys.append(SigningKey.ec("second"))

    assert list(fetch_jwks(issuer=issuer.url, jwks_url=None)) == ["first", "second"]
    assert issuer.asked == ["/.well-known/openid-configuration", "/jwks"]


def test_keys_may_be_named_without_a_discovery_document(issuer: Issuer) -> None:
    assert list(fetch_jwks(issuer="https://x.example", jwks_url=f"{issuer.url}/k")) == ["first"]
    assert issuer.asked == ["/k"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"issuer": "https://evil.example", "jwks_uri": "https://evil.example/jwks"}',
        b'{"issuer": "URL"}',
        b'{"issuer": "URL", "jwks_uri": "http://evil.example/jwks"}',
        b'{"issuer": "URL", "jwks_uri": 7}',
    ],
)
def test_a_discovery_document_that_leads_elsewhere_is_refused(issuer: Issuer, body: bytes) -> None:
    issuer.body = body.replace(b"URL", issuer.url.encode())

    with pytest.raises(Misconfigured):
        fetch_jwks(issuer=issuer.url, jwks_url=None)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (302, b"{}"),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b"[" * 100_000),
        (200, b" " * (MOST_BYTES + 1)),
    ],
)
def test_what_is_no_set_of_keys_is_an_issuer_that_is_away(
    issuer: Issuer, status: int, body: bytes
) -> None:
    issuer.status, issuer.body = status, body

    with pytest.raises(Unavailable):
        fetch_jwks(issuer=issuer.url, jwks_url=f"{issuer.url}/jwks")
    assert "/elsewhere" not in issuer.asked


def test_an_issuer_that_trickles_is_not_waited_for(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "_ALL_SECONDS", 0.2)
    issuer.body, issuer.pause_seconds = b" " * 10_000, 0.01

    with pytest.raises(Unavailable, match="TimeoutError"):
        fetch_jwks(issuer=issuer.url, jwks_url=f"{issuer.url}/jwks")


def test_nobody_at_the_address_is_an_issuer_that_is_away() -> None:
    with pytest.raises(Unavailable):
        fetch_jwks(issuer="", jwks_url=f"http://127.0.0.1:{free_base(1)}/jwks")
