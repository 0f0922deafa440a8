"""The body of `POST /v1/uploads`, checked where it enters."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from jobs.document import MediaType
from jobs.errors import InvalidRequest
from web.bodies import AS_WHOLE, Body, Text, invalid_request

LONGEST_NAME = 200  # as a document block of Bedrock's; in base64 it fits S3's 2 KB of metadata
_SHA256_BYTES = 32
_SHA256_IN_BASE64 = "^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$"


def _is_kind(value: str) -> str:
    if value not in set(MediaType):
        raise PydanticCustomError(
            "kind", "is not a type that is taken here; these are: " + ", ".join(MediaType)
        )
    return value


def _is_sha256(value: str) -> str:
    """Take S3's own form only: with two, a mistake would be told by S3 and late."""
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _SHA256_BYTES or base64.b64encode(digest).decode() != value:
        raise PydanticCustomError("sha256", "must be the 32 bytes of the SHA-256 in base64")
    return value


def _is_printable(name: str) -> str:
    if not name.isprintable():
        raise PydanticCustomError("name", "must be one printable line")
    return name


class UploadBody(Body):
    """The body of `POST /v1/uploads`."""

    content_type: Annotated[
        str, AfterValidator(_is_kind), Field(json_schema_extra={"enum": list(MediaType)})
    ]
    size: Annotated[int, Field(ge=1, alias="bytes"), AS_WHOLE]
    sha256: Annotated[
        str,
        AfterValidator(_is_sha256),
        Field(description="in base64", json_schema_extra={"pattern": _SHA256_IN_BASE64}),
    ]
    name: (
        Annotated[Text, StringConstraints(max_length=LONGEST_NAME), AfterValidator(_is_printable)]
        | None
    ) = None


def read_upload_body(value: object) -> UploadBody:
    """Check a body. Raises InvalidRequest, which names each field that is wrong."""
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be a JSON object")
    try:
        return UploadBody.model_validate(value)
    except ValidationError as error:
        raise invalid_request(error, "the upload cannot be accepted") from error
