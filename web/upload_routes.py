"""The REST call about uploads: leave for one PUT to the object store."""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from flask import Response, request
from pydantic import AfterValidator, Field, StringConstraints, ValidationError
from pydantic_core import PydanticCustomError

from jobs.caller import Scope
from jobs.document import MediaType
from jobs.errors import InvalidRequest
from jobs.times import written_time
from jobs.uploads import DEFAULT_NAME, Declared, offer_upload
from web.bodies import Body, Text, invalid_request
from web.json_text import parse_json, write_json
from web.request_body import read_json_body
from web.routes import Route, the_caller

if TYPE_CHECKING:
    from jobs.uploads import Offer
    from web.parts import WebParts

LONGEST_NAME = 200  # as a document block of Bedrock's; in base64 it fits S3's 2 KB of metadata
_SHA256_BYTES = 32


def _is_kind(value: str) -> str:
    if value not in set(MediaType):
        raise PydanticCustomError("kind", "must be one of " + ", ".join(MediaType))
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

    content_type: Annotated[str, AfterValidator(_is_kind)]
    size: Annotated[int, Field(ge=1, alias="bytes")]
    sha256: Annotated[str, AfterValidator(_is_sha256)]
    name: (
        Annotated[Text, StringConstraints(max_length=LONGEST_NAME), AfterValidator(_is_printable)]
        | None
    ) = None


class UploadRoutes:
    """POST /v1/uploads."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    def routes(self) -> tuple[Route, ...]:
        """Name the route."""
        path = "/v1/uploads"
        return (Route(name="upload", method="POST", path=path, view=self.offer, scope=Scope.WRITE),)

    def offer(self) -> Response:
        """Sign a PUT of what the caller declares; nothing is stored before that."""
        data = read_json_body(request, max_bytes=self._parts.max_request_bytes)
        body = read_upload_body(parse_json(data))
        declared = Declared(
            user=the_caller().user,
            name=body.name or DEFAULT_NAME,
            media_type=MediaType(body.content_type),
            size=body.size,
            sha256=body.sha256,
        )
        response = Response(
            write_json(write_offer(offer_upload(declared, self._parts.offer))) + "\n",
            status=HTTPStatus.CREATED,
            content_type="application/json",
        )
        response.headers["Cache-Control"] = "no-store"  # the URL is a right to write
        return response


def read_upload_body(value: object) -> UploadBody:
    """Check a body. Raises InvalidRequest, which names each field that is wrong."""
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be a JSON object")
    try:
        return UploadBody.model_validate(value)
    except ValidationError as error:
        raise invalid_request(error, "the upload cannot be accepted") from error


def write_offer(offer: Offer) -> dict[str, object]:
    """Give the contract's offer of an upload."""
    return {
        "upload_id": offer.upload,
        "method": "PUT",
        "url": offer.put.url,
        "headers": dict(offer.put.headers),
        "expires_at": written_time(offer.expires_at),
    }
