"""jobs.uploads.Uploads, in memory and on S3: each promise of its docstrings."""

from __future__ import annotations

import base64
import hashlib
import io
import uuid
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs, urlsplit

import pytest

from adapters.memory import ManualClock
from adapters.memory_uploads import MemoryUploads
from adapters.s3_uploads import S3Uploads
from jobs.document import Document, MediaType, UploadId
from jobs.errors import DocumentRefused, NoResult
from jobs.job import UserId
from jobs.uploads import Declared, SignedPut, Uploads, upload_key
from tests.stack import http, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.stack import Clients, LocalStack

CONTENT = b"# Minutes\n\nAll agreed.\n"
MINUTE = timedelta(minutes=1)
ADA, BOB = UserId("ada"), UserId("bob")


class Store(Protocol):
    """Uploads, with the hands of the client who uploads and of whoever else writes there."""

    @property
    def uploads(self) -> Uploads: ...

    def put(self, signed: SignedPut, content: bytes, headers: Mapping[str, str]) -> int: ...

    def spoil(self, document: Document, content: bytes) -> None: ...

    def delete(self, document: Document) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.uploads = MemoryUploads(ManualClock())

    def put(self, signed: SignedPut, content: bytes, headers: Mapping[str, str]) -> int:
        return self.uploads.put(signed.url, headers, content)

    def spoil(self, document: Document, content: bytes) -> None:
        self.uploads.spoil(document.key, content)

    def delete(self, document: Document) -> None:
        self.uploads.delete(document.key)


class OnS3:
    def __init__(self, clients: Clients, bucket: str) -> None:
        self._s3, self._bucket = clients.s3, bucket
        self.uploads = S3Uploads(client=clients.s3, bucket=bucket)

    def put(self, signed: SignedPut, content: bytes, headers: Mapping[str, str]) -> int:
        return http.put(signed.url, content=content, headers=dict(headers)).status_code

    def spoil(self, document: Document, content: bytes) -> None:
        head = self._s3.head_object(Bucket=self._bucket, Key=document.key)
        self._s3.put_object(
            Bucket=self._bucket,
            Key=document.key,
            Body=content,
            ContentType=head["ContentType"],
            Metadata=head["Metadata"],
        )

    def delete(self, document: Document) -> None:
        self._s3.delete_object(Bucket=self._bucket, Key=document.key)


@pytest.fixture(params=["memory", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        return InMemory()
    real: Store = request.getfixturevalue("on_s3")
    return real


@pytest.fixture
def on_s3(clients: Clients, stand_ins: LocalStack) -> OnS3:
    return OnS3(clients, stand_ins.environ["LONGHAUL_BUCKET"])


def new_id() -> UploadId:
    return UploadId(f"upl_{uuid.uuid4().hex[:26]}")


def declare(content: bytes = CONTENT, **changes: Any) -> Declared:  # noqa: ANN401 - its own fields
    fields: dict[str, Any] = {
        "user": ADA,
        "name": "Zoë's minutes ☕ (final).md",
        "media_type": MediaType.MARKDOWN,
        "size": len(content),
        "sha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
    }
    return Declared(**(fields | changes))


def upload(store: Store, content: bytes = CONTENT) -> Document:
    """Offer, put and find a document of Ada's."""
    one = new_id()
    signed = store.uploads.sign(one, declare(content), lifetime=MINUTE)
    assert store.put(signed, content, signed.headers) == HTTPStatus.OK
    document = store.uploads.find(ADA, one)
    assert document is not None
    return document


def copied(store: Store, document: Document) -> bytes:
    sink = io.BytesIO()
    store.uploads.copy(document, sink)
    return sink.getvalue()


def test_what_was_put_is_found_as_it_was_declared(store: Store) -> None:
    one = new_id()
    signed = store.uploads.sign(one, declare(), lifetime=MINUTE)

    status = store.put(signed, CONTENT, signed.headers)

    assert status == HTTPStatus.OK
    assert store.uploads.find(ADA, one) == Document(
        upload=one,
        name="Zoë's minutes ☕ (final).md",
        media_type=MediaType.MARKDOWN,
        size=len(CONTENT),
        key=upload_key(ADA, one),
    )


@pytest.mark.parametrize("name", ["é" * 200, "👩‍🚀" * 66])
def test_the_longest_name_is_kept(store: Store, name: str) -> None:
    one = new_id()
    signed = store.uploads.sign(one, declare(name=name), lifetime=MINUTE)
    store.put(signed, CONTENT, signed.headers)

    found = store.uploads.find(ADA, one)

    assert found is not None
    assert found.name == name


def test_what_was_offered_and_not_put_is_not_there(store: Store) -> None:
    one = new_id()
    store.uploads.sign(one, declare(), lifetime=MINUTE)

    assert store.uploads.find(ADA, one) is None


def test_another_users_upload_is_not_there(store: Store) -> None:
    document = upload(store)

    assert store.uploads.find(BOB, document.upload) is None


@pytest.mark.parametrize(
    ("content", "changes"),
    [
        (CONTENT + b"x", {}),
        (CONTENT[:-1], {}),
        (CONTENT[::-1], {}),
        (CONTENT, {"Content-Type": "text/html"}),
        (CONTENT, {"x-amz-checksum-sha256": declare(b"other").sha256}),
        (CONTENT, {"x-amz-checksum-sha256": None}),
        (CONTENT[::-1], {"x-amz-checksum-sha256": declare(CONTENT[::-1]).sha256}),
    ],
    ids=["longer", "shorter", "other bytes", "type", "checksum", "unchecked", "bytes and checksum"],
)
def test_a_put_of_anything_else_is_refused(
    store: Store, content: bytes, changes: dict[str, str | None]
) -> None:
    one = new_id()
    signed = store.uploads.sign(one, declare(), lifetime=MINUTE)
    headers = {name: value for name, value in {**signed.headers, **changes}.items() if value}

    status = store.put(signed, content, headers)

    assert status in {HTTPStatus.FORBIDDEN, HTTPStatus.BAD_REQUEST}
    assert store.uploads.find(ADA, one) is None


def test_the_bytes_come_back_as_they_were_put(store: Store) -> None:
    content = bytes(range(256)) * 20_000  # several pieces

    assert copied(store, upload(store, content)) == content


def test_what_is_gone_is_said_to_be(store: Store) -> None:
    document = upload(store)

    store.delete(document)

    assert store.uploads.find(ADA, document.upload) is None
    with pytest.raises(NoResult):
        copied(store, document)


@pytest.mark.parametrize("content", [CONTENT[::-1], CONTENT + b"x", CONTENT[:5]])
def test_bytes_that_were_not_declared_are_refused(store: Store, content: bytes) -> None:
    document = upload(store)

    store.spoil(document, content)

    with pytest.raises(DocumentRefused) as refused:
        copied(store, document)
    assert refused.value.reason == "document_broken"


def test_bytes_of_another_length_are_not_found(store: Store) -> None:
    document = upload(store)

    store.spoil(document, CONTENT[:5])

    assert store.uploads.find(ADA, document.upload) is None


def test_on_s3_type_length_checksum_and_declaration_are_signed(on_s3: OnS3) -> None:
    signed = on_s3.uploads.sign(new_id(), declare(), lifetime=MINUTE)

    query = parse_qs(urlsplit(signed.url).query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-SignedHeaders"] == [
        "content-length;content-type;host;x-amz-checksum-sha256;x-amz-meta-longhaul"
    ]
    assert {name.lower() for name in signed.headers} == {
        "content-type",
        "x-amz-checksum-sha256",
        "x-amz-meta-longhaul",
    }


def test_on_s3_a_put_after_its_time_is_refused(on_s3: OnS3) -> None:
    one = new_id()
    signed = on_s3.uploads.sign(one, declare(), lifetime=timedelta(seconds=1))

    def status() -> int:
        return on_s3.put(signed, CONTENT, signed.headers)

    wait_until(lambda: status() == HTTPStatus.FORBIDDEN, "the URL is refused", within=10)


def test_on_s3_what_longhaul_did_not_offer_is_not_there(on_s3: OnS3, clients: Clients) -> None:
    one = new_id()
    clients.s3.put_object(
        Bucket=on_s3.uploads.bucket, Key=upload_key(ADA, one), Body=b"x", Metadata={"longhaul": "e"}
    )

    assert on_s3.uploads.find(ADA, one) is None
