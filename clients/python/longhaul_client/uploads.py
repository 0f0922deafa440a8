"""`client.uploads`: big inputs, which go straight to the object store."""

from __future__ import annotations

import base64
import hashlib
import io
import mimetypes
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from longhaul_client.errors import Problem, UploadRefused
from longhaul_client.models import Offer
from longhaul_client.retry import TRANSIENT
from longhaul_client.transport import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from longhaul_client.api import Api

_PIECE_BYTES = 64 * 1024
_LONGEST_NAME = 200
# What the API takes and not every system knows by its ending.
_BY_ENDING = {
    ".csv": "text/csv",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".htm": "text/html",
    ".html": "text/html",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
}


@dataclass(frozen=True, kw_only=True)
class FileBody:
    """transport.Body over an open file; `on_progress` hears how many bytes have gone, of all."""

    file: BinaryIO
    start: int
    size: int
    on_progress: Callable[[int, int], None] | None

    def __iter__(self) -> Iterator[bytes]:
        """Read from the beginning, to the size that was promised."""
        self.file.seek(self.start)
        sent = 0
        while sent < self.size and (piece := self.file.read(min(_PIECE_BYTES, self.size - sent))):
            yield piece
            sent += len(piece)
            if self.on_progress is not None:
                self.on_progress(sent, self.size)

    def sha256(self) -> str:
        """Give the digest in base64."""
        digest = hashlib.sha256()
        self.file.seek(self.start)
        left = self.size
        while left and (piece := self.file.read(min(_PIECE_BYTES, left))):
            digest.update(piece)
            left -= len(piece)
        return base64.b64encode(digest.digest()).decode()


class AsyncUploads:
    """The call about uploads."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def create(
        self,
        source: str | os.PathLike[str] | bytes | BinaryIO,
        *,
        content_type: str | None = None,
        name: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> str:
        """Upload a file by its path, bytes, or an open file that can seek; give the upload's id.

        The content type follows from the name's ending where you do not say it. `on_progress` is
        called with the bytes sent so far and the bytes in all, from 0 again where the sending is
        repeated. Raises UploadRefused, and OSError for a file that cannot be read.
        """
        with _opened(source, on_progress) as body:
            name = name or _name_of(source)
            declared = {
                "content_type": content_type or guess_content_type(name or ""),
                "bytes": body.size,
                "sha256": await self._api.transport.apart(body.sha256),
                "name": name and name[:_LONGEST_NAME],
            }
            offer = await self._api.ask(
                Offer.from_json,
                "POST",
                "/v1/uploads",
                body={key: value for key, value in declared.items() if value is not None},
            )
            put = Request(
                method="PUT",
                url=offer.url,
                headers={**offer.headers, "Content-Length": str(body.size)},
                content=body,
            )
            try:
                await self._api.send_elsewhere(put, what="the uploads' store")
            except TRANSIENT:
                raise
            except Problem as problem:
                raise UploadRefused(f"the store refused the upload: {problem}") from problem
        return offer.upload_id


def guess_content_type(name: str) -> str:
    """Tell what a file holds from its name's ending; plain text where that says nothing."""
    ending = Path(name).suffix.lower()
    return _BY_ENDING.get(ending) or mimetypes.guess_type(name)[0] or "text/plain"


def _name_of(source: object) -> str | None:
    if isinstance(source, bytes):
        return None
    named = source if isinstance(source, str | os.PathLike) else getattr(source, "name", None)
    return Path(named).name if isinstance(named, str | os.PathLike) else None


@contextmanager
def _opened(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    on_progress: Callable[[int, int], None] | None,
) -> Iterator[FileBody]:
    if isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as file:
            yield _body(file, on_progress)
    else:
        yield _body(io.BytesIO(source) if isinstance(source, bytes) else source, on_progress)


def _body(file: BinaryIO, on_progress: Callable[[int, int], None] | None) -> FileBody:
    """Take an open file from where it stands to its end."""
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start
    return FileBody(file=file, start=start, size=size, on_progress=on_progress)
