"""Uploads on S3: presigned PUTs that S3 itself holds to what was declared.

Content type, length and checksum are among the signed headers, so another request has another
signature, and other bytes have another checksum. What was declared is signed metadata, too, which
is how it is known again without a table.
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypedDict

import botocore.exceptions

from adapters.aws_errors import code_of, translating
from jobs.document import Document, MediaType
from jobs.errors import DocumentRefused, Misconfigured, NoResult, Unavailable
from jobs.uploads import UPLOADS, SignedPut, upload_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from mypy_boto3_s3.client import S3Client

    from jobs.document import UploadId
    from jobs.job import UserId
    from jobs.uploads import Declared

_PART = "objects"
_DECLARED = "longhaul"  # the metadata's name: one header for the client, not three
_PIECE_BYTES = 1024 * 1024
_KINDS = frozenset(MediaType)
_FORBIDDEN = "403"  # the answer to a HEAD has no body, and so no other word
_GONE = frozenset({"404", "NoSuchKey", "NotFound"})


class _Fields(TypedDict):
    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class S3Uploads:
    """jobs.uploads.Uploads under one prefix of a bucket."""

    client: S3Client
    bucket: str

    def sign(self, upload: UploadId, declared: Declared, *, lifetime: timedelta) -> SignedPut:
        """Sign a PUT; costs no request. The length is signed, too, which every client sends."""
        written = _write(declared)
        with translating(_PART):
            url = self.client.generate_presigned_url(
                "put_object",
                Params={
                    "Bucket": self.bucket,
                    "Key": upload_key(declared.user, upload),
                    "ContentType": declared.media_type,
                    "ContentLength": declared.size,
                    "ChecksumSHA256": declared.sha256,
                    "Metadata": {_DECLARED: written},
                },
                ExpiresIn=int(lifetime.total_seconds()),
            )
        headers = {
            "Content-Type": str(declared.media_type),
            "x-amz-checksum-sha256": declared.sha256,
            f"x-amz-meta-{_DECLARED}": written,
        }
        return SignedPut(url=url, headers=headers)

    def find(self, user: UserId, upload: UploadId) -> Document | None:
        """Look at the object's head."""
        key = upload_key(user, upload)
        with translating(_PART):
            try:
                head = self.client.head_object(Bucket=self.bucket, Key=key)
            except botocore.exceptions.ClientError as error:
                if code_of(error) in _GONE:
                    return None
                if code_of(error) == _FORBIDDEN:
                    raise Misconfigured(f"{_PART}: no right to look at {UPLOADS}/") from error
                raise
        declared, kind = _read(head["Metadata"]), head["ContentType"]
        if declared is None or declared["bytes"] != head["ContentLength"] or kind not in _KINDS:
            return None
        return Document(
            upload=upload,
            name=declared["name"],
            media_type=MediaType(kind),
            size=declared["bytes"],
            key=key,
        )

    def copy(self, document: Document, sink: BinaryIO) -> None:
        """Copy piece by piece, and compare with what the object itself was declared to be."""
        digest, size = hashlib.sha256(), 0
        with translating(_PART):
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=document.key)
                for piece in answer["Body"].iter_chunks(_PIECE_BYTES):
                    digest.update(piece)
                    size += len(piece)
                    sink.write(piece)
            except botocore.exceptions.ClientError as error:
                if code_of(error) in _GONE:
                    raise NoResult(f"the object store has no {document.key}") from error
                raise
            except botocore.exceptions.IncompleteReadError as error:
                raise Unavailable(_PART, "broke off in mid-answer") from error
        declared = _read(answer["Metadata"])
        sha256 = base64.b64encode(digest.digest()).decode()
        if declared is None or (declared["sha256"], document.size) != (sha256, size):
            raise DocumentRefused(
                f"{document.name} is not what was declared: upload it again",
                reason="document_broken",
            )

    def load(self, document: Document) -> bytes:
        """Load what is small enough for that."""
        sink = io.BytesIO()
        self.copy(document, sink)
        return sink.getvalue()


def _write(declared: Declared) -> str:
    """Write what is declared as ASCII, which is all that a header takes."""
    fields = _Fields(name=declared.name, bytes=declared.size, sha256=declared.sha256)
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read(metadata: Mapping[str, str]) -> _Fields | None:
    """Read what `_write` wrote; None where the object was not put by a PUT of ours."""
    try:
        declared = json.loads(base64.urlsafe_b64decode(metadata[_DECLARED]))
        return _Fields(name=declared["name"], bytes=declared["bytes"], sha256=declared["sha256"])
    except (KeyError, ValueError, TypeError):
        return None
