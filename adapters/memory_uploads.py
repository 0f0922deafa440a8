"""Uploads and their reader in memory, with the part of S3 that holds a PUT to its signature."""

from __future__ import annotations

import base64
import hashlib
import io
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from jobs.document import Document, DocumentText
from jobs.errors import DocumentRefused, NoResult
from jobs.uploads import SignedPut, upload_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from jobs.document import UploadId
    from jobs.job import ObjectKey, UserId
    from jobs.ports import Clock
    from jobs.uploads import Declared, Uploads


class _Signed(NamedTuple):
    key: ObjectKey
    declared: Declared
    until: datetime


class MemoryUploads:
    """jobs.uploads.Uploads in a dict."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._signed: dict[str, _Signed] = {}
        self._kept: dict[ObjectKey, tuple[Declared, bytes]] = {}

    def sign(self, upload: UploadId, declared: Declared, *, lifetime: timedelta) -> SignedPut:
        """Remember what is allowed."""
        key = upload_key(declared.user, upload)
        url = f"https://objects.invalid/{key}?signed={len(self._signed)}"
        self._signed[url] = _Signed(key, declared, self._clock.now() + lifetime)
        return SignedPut(url=url, headers=_headers(declared))

    def put(self, url: str, headers: Mapping[str, str], content: bytes) -> HTTPStatus:
        """Do a client's PUT, and answer as S3 does."""
        key, declared, until = self._signed[url]
        is_signed = headers == _headers(declared) and len(content) == declared.size
        if not is_signed or self._clock.now() > until:
            return HTTPStatus.FORBIDDEN
        if _sha256(content) != declared.sha256:
            return HTTPStatus.BAD_REQUEST
        self._kept[key] = declared, content
        return HTTPStatus.OK

    def find(self, user: UserId, upload: UploadId) -> Document | None:
        """Find what was put."""
        key = upload_key(user, upload)
        if key not in self._kept:
            return None
        declared, content = self._kept[key]
        if len(content) != declared.size:
            return None
        return Document(
            upload=upload,
            name=declared.name,
            media_type=declared.media_type,
            size=declared.size,
            key=key,
        )

    def copy(self, document: Document, sink: BinaryIO) -> None:
        """Copy what was put."""
        if document.key not in self._kept:
            raise NoResult(f"the object store has no {document.key}")
        declared, content = self._kept[document.key]
        if (_sha256(content), len(content)) != (declared.sha256, document.size):
            raise DocumentRefused("it is not what was declared", reason="document_broken")
        sink.write(content)

    def load(self, document: Document) -> bytes:
        """Load what is small enough for that."""
        sink = io.BytesIO()
        self.copy(document, sink)
        return sink.getvalue()

    def spoil(self, key: ObjectKey, content: bytes) -> None:
        """Put other bytes in the place of those that were declared, as nobody should."""
        self._kept[key] = self._kept[key][0], content

    def delete(self, key: ObjectKey) -> None:
        """Let a lifecycle rule take it."""
        del self._kept[key]


class PlainReader:
    """jobs.document.DocumentReader of plain text alone; a form feed begins a page."""

    def __init__(self, *, uploads: Uploads) -> None:
        self._uploads = uploads

    def read(
        self, document: Document, *, check: Callable[[], object] | None = None
    ) -> DocumentText:
        """Read a document whose bytes are its text."""
        if check is not None:
            check()
        try:
            text = self._uploads.load(document).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DocumentRefused("is not text", reason="document_broken") from error
        if not text.strip():
            raise DocumentRefused("has no text", reason="document_without_text")
        return DocumentText(document=document, pages=tuple(text.split("\f")))


def _headers(declared: Declared) -> dict[str, str]:
    return {"Content-Type": str(declared.media_type), "x-amz-checksum-sha256": declared.sha256}


def _sha256(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()
