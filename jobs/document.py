"""Documents: what a user uploads and attaches to a job, and what is read of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NewType, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.job import ObjectKey

UploadId = NewType("UploadId", str)

MOST_DOCUMENTS = 5  # of one job, as of one Converse call


class MediaType(StrEnum):
    """The kinds of documents that are taken."""

    PDF = "application/pdf"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    HTML = "text/html"
    MARKDOWN = "text/markdown"
    CSV = "text/csv"
    TEXT = "text/plain"


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A document of a job: where its bytes are, and what its sender says of it.

    `size` is in bytes. `name` is for people and for the model; it names no file of ours.
    """

    upload: UploadId
    name: str
    media_type: MediaType
    size: int
    key: ObjectKey


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentText:
    """What a document says: `pages[0]` is page 1; what has no pages of its own is one page."""

    document: Document
    pages: tuple[str, ...]


class DocumentReader(Protocol):
    """Takes the text out of documents."""

    def read(
        self, document: Document, *, check: Callable[[], object] | None = None
    ) -> DocumentText:
        """Read a stored document in bounded time and memory.

        Raises DocumentRefused where it is encrypted, broken, a bomb or without text, and
        NoResult where its bytes are no longer stored. Calls `check` now and then; what that raises
        ends the reading at once.
        """
