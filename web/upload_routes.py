"""The REST call about uploads: leave for one PUT to the object store."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response, request

from jobs.caller import Scope
from jobs.document import MediaType
from jobs.times import written_time
from jobs.uploads import DEFAULT_NAME, Declared, offer_upload
from web.json_text import parse_json, write_json
from web.request_body import read_json_body
from web.routes import Route, the_caller
from web.upload_bodies import read_upload_body
from web.upload_calls import OFFER

if TYPE_CHECKING:
    from jobs.uploads import Offer
    from web.parts import WebParts


class UploadRoutes:
    """POST /v1/uploads."""

    def __init__(self, parts: WebParts) -> None:
        self._parts = parts

    def routes(self) -> tuple[Route, ...]:
        """Name the route."""
        path = "/v1/uploads"
        return (
            Route(
                name="upload",
                method="POST",
                path=path,
                view=self.offer,
                scope=Scope.WRITE,
                call=OFFER,
            ),
        )

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


def write_offer(offer: Offer) -> dict[str, object]:
    """Give the contract's offer of an upload."""
    return {
        "upload_id": offer.upload,
        "method": "PUT",
        "url": offer.put.url,
        "headers": dict(offer.put.headers),
        "expires_at": written_time(offer.expires_at),
    }
