"""The call about uploads, described."""

from __future__ import annotations

from jobs.errors import InvalidRequest, PayloadTooLarge
from web import examples
from web.calls import Body, Call, Told
from web.errors import MalformedBody, UnsupportedMediaType
from web.rest_models import UploadOffer
from web.upload_bodies import UploadBody

OFFER = Call(
    operation="offer_upload",
    tag="jobs",
    summary="Leave to upload a document",
    description=(
        "The answer is a presigned `PUT` of exactly what is declared, straight into the bucket. "
        "Name `upload_id` in `documents` of a job once that is done."
    ),
    body=Body(model=UploadBody, examples={"pdf": examples.UPLOAD}),
    answers={
        201: Told(
            description="send the bytes to `url` with exactly these `headers`, and no others",
            model=UploadOffer,
            example=examples.UPLOAD_OFFER,
            headers=("Cache-Control",),
        )
    },
    refusals=(MalformedBody, PayloadTooLarge, UnsupportedMediaType, InvalidRequest),
)
