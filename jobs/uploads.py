"""Uploads: big inputs go straight to the object store, each bound to the user who offered it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta  # noqa: TC003 - a dataclass's field types
from typing import TYPE_CHECKING, BinaryIO, Protocol

from jobs.document import UploadId
from jobs.errors import FieldProblem, InvalidRequest
from jobs.job import CROCKFORD, ObjectKey, sortable_digits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobs.document import Document, MediaType
    from jobs.job import UserId
    from jobs.ports import Chance, Clock, Log

UPLOADS = "uploads"  # the keys' prefix
DEFAULT_NAME = "document"
_UPLOAD_ID = re.compile(rf"upl_[{CROCKFORD}]{{26}}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Declared:
    """What a user says of what they are about to upload; `sha256` is base64, `size` bytes."""

    user: UserId
    name: str
    media_type: MediaType
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedPut:
    """A `PUT` that is allowed: to this URL, with exactly these headers."""

    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """An upload that may be made until `expires_at`."""

    upload: UploadId
    put: SignedPut
    expires_at: datetime


class Uploads(Protocol):
    """What users have uploaded, by user."""

    def sign(self, upload: UploadId, declared: Declared, *, lifetime: timedelta) -> SignedPut:
        """Allow one upload within `lifetime`, of this very type, length and content only."""

    def find(self, user: UserId, upload: UploadId) -> Document | None:
        """Find what this user has put there, whole and as it was declared; None where nothing is.

        Another user's is not there.
        """

    def copy(self, document: Document, sink: BinaryIO) -> None:
        """Write a document's bytes to `sink`, once their length and content are as declared.

        Raises NoResult where they are no longer stored, and DocumentRefused where they are others;
        then what `sink` holds is worth nothing.
        """

    def load(self, document: Document) -> bytes:
        """Give a document's bytes under the same promises."""


@dataclass(frozen=True, kw_only=True)
class OfferParts:
    """What offering an upload needs."""

    uploads: Uploads
    clock: Clock
    chance: Chance
    log: Log
    most_bytes: int
    lifetime: timedelta


def offer_upload(declared: Declared, parts: OfferParts) -> Offer:
    """Let a user upload what they declare. Raises InvalidRequest where that is too large."""
    if declared.size > parts.most_bytes:
        detail = f"must be {parts.most_bytes} at most here"
        problem = FieldProblem(field="bytes", detail=detail)
        raise InvalidRequest(f"bytes {detail}", problems=(problem,))
    now = parts.clock.now()
    upload = UploadId(f"upl_{sortable_digits(now, parts.chance.entropy(10))}")
    put = parts.uploads.sign(upload, declared, lifetime=parts.lifetime)
    parts.log.info(
        "upload_offered", upload_id=upload, kind=declared.media_type, bytes=declared.size
    )
    return Offer(upload=upload, put=put, expires_at=now + parts.lifetime)


def parse_upload_id(text: str) -> UploadId | None:
    """Take a caller's word for an upload's id, or None where no upload can have it."""
    return UploadId(text) if _UPLOAD_ID.fullmatch(text) else None


def upload_key(user: UserId, upload: UploadId) -> ObjectKey:
    """Name where a user's upload is; under another user's name nothing of it can be found."""
    owner = hashlib.sha256(user.encode()).hexdigest()
    return ObjectKey(f"{UPLOADS}/{owner}/{upload}")


def find_documents(user: UserId, asked: Sequence[str], uploads: Uploads) -> tuple[Document, ...]:
    """Find what a request wants attached. Raises InvalidRequest, naming each that is not there."""
    found: list[Document] = []
    problems: list[FieldProblem] = []
    for index, text in enumerate(asked):
        detail = "there is no such upload of yours, or its PUT has not been done"
        if text in asked[:index]:
            detail = "names the same upload twice"
        elif (upload := parse_upload_id(text)) and (document := uploads.find(user, upload)):
            found.append(document)
            continue
        problems.append(FieldProblem(field=f"documents.{index}.upload_id", detail=detail))
    if problems:
        first = problems[0]
        message = f"the job cannot be accepted: {first.field}: {first.detail}"
        raise InvalidRequest(message, problems=tuple(problems))
    return tuple(found)
