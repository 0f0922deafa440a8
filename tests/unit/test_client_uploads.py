"""Uploads of the client: what is declared, what is sent, and who is told."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import TYPE_CHECKING

import httpx
import pytest

import longhaul_client as lh
from longhaul_client.uploads import guess_content_type
from tests.client_server import URL, Script, problem
from tests.client_ways import WAYS, client_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Iterable
    from pathlib import Path

CONTENT = b"%PDF" + bytes(200_000)
OFFER = {
    "upload_id": "upl_1",
    "method": "PUT",
    "url": "http://s3.test/uploads/1?X-Amz-Signature=s",
    "headers": {"Content-Type": "application/pdf", "x-amz-checksum-sha256": "sum"},
    "expires_at": "2026-11-24T21:00:00Z",
}
AT_ONCE = lh.Retry(base_seconds=0, longest_asked_seconds=0, tries=4)

pytestmark = pytest.mark.parametrize("way", WAYS)


class Store:
    """Takes uploads as S3 does: reads all of the body, then answers."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.puts = Script.of(*answers)
        self.offers = Script.of(httpx.Response(201, json=OFFER))
        self.bodies: list[bytes] = []

    def blocking(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            stream: Iterable[bytes] = request.stream  # type: ignore[assignment] # of this kind of client
            self.bodies.append(b"".join(stream))
        return self._answer(request)

    async def awaited(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            stream: AsyncIterable[bytes] = request.stream  # type: ignore[assignment] # the same
            self.bodies.append(b"".join([piece async for piece in stream]))
        return self._answer(request)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        return (self.puts if request.method == "PUT" else self.offers)(request)

    def upload(self, way: str, source: Path | bytes | io.BytesIO, **options: object) -> str:
        handler = self.blocking if way == "blocking" else self.awaited
        with client_of(way, URL, "k" * 16, handler=handler, retry=AT_ONCE) as client:
            upload_id: str = client.uploads.create(source, **options)  # type: ignore[arg-type] # the test's own
            return upload_id


def test_a_file_is_declared_and_sent_as_the_offer_says(way: str, tmp_path: Path) -> None:
    path = tmp_path / "report.pdf"
    path.write_bytes(CONTENT)
    store = Store(httpx.Response(200))
    told: list[tuple[int, int]] = []

    def on_progress(sent: int, size: int) -> None:
        told.append((sent, size))

    assert store.upload(way, path, on_progress=on_progress) == "upl_1"

    assert json.loads(store.offers.requests[0].content) == {
        "content_type": "application/pdf",
        "bytes": len(CONTENT),
        "sha256": base64.b64encode(hashlib.sha256(CONTENT).digest()).decode(),
        "name": "report.pdf",
    }
    [put] = store.puts.requests
    assert str(put.url) == OFFER["url"]
    assert put.headers["x-amz-checksum-sha256"] == "sum"
    assert put.headers["Content-Length"] == str(len(CONTENT))
    assert not {"Authorization", "Transfer-Encoding"} & {name.title() for name in put.headers}
    assert store.bodies == [CONTENT]
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert len(told) > 2


def test_a_sending_that_breaks_is_repeated_from_the_beginning(way: str) -> None:
    store = Store(httpx.WriteError("reset (test)"), httpx.Response(503), httpx.Response(200))
    file = io.BytesIO(b"skipped" + CONTENT)
    file.seek(7)

    assert store.upload(way, file, content_type="text/csv") == "upl_1"

    assert store.bodies == [CONTENT, CONTENT, CONTENT]


def test_a_store_that_refuses_is_told_apart_from_the_server(way: str) -> None:
    store = Store(problem(403, "AccessDenied"))

    with pytest.raises(lh.UploadRefused):
        store.upload(way, b"x")


def test_bytes_without_a_name_are_plain_text(way: str) -> None:
    store = Store(httpx.Response(200))

    store.upload(way, b"x")

    declared = json.loads(store.offers.requests[0].content)
    assert "name" not in declared
    assert declared["content_type"] == "text/plain"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.PDF", "application/pdf"),
        ("a.md", "text/markdown"),
        ("a.htm", "text/html"),
        ("a.csv", "text/csv"),
        ("a", "text/plain"),
        ("a.png", "image/png"),
    ],
)
def test_a_names_ending_says_what_is_in_it(way: str, name: str, kind: str) -> None:
    del way

    assert guess_content_type(name) == kind
