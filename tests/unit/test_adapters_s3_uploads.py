"""What S3 refuses, or breaks off, in our words."""

import io
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from adapters.s3_uploads import S3Uploads
from jobs.document import UploadId
from jobs.errors import LonghaulError, Misconfigured, NoResult, Unavailable
from jobs.job import UserId
from tests.builders import a_document

ADA, UPLOAD = UserId("ada"), UploadId("upl_1")


@pytest.fixture
def s3() -> Any:  # noqa: ANN401 - the Stubber's own view of a client
    return boto3.client(
        "s3", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [("403", 403, Misconfigured), ("503", 503, Unavailable), ("NoSuchBucket", 404, Misconfigured)],
)
def test_a_head_that_is_refused_is_an_operators_or_a_matter_of_time(
    s3: Any,  # noqa: ANN401 - as above
    code: str,
    status: int,
    error: type[LonghaulError],
) -> None:
    with Stubber(s3) as stubbed:
        stubbed.add_client_error("head_object", code, http_status_code=status)

        with pytest.raises(error):
            S3Uploads(client=s3, bucket="bucket").find(ADA, UPLOAD)


def test_an_object_that_nobody_offered_is_not_there(s3: Any) -> None:  # noqa: ANN401 - as above
    head = {"Metadata": {}, "ContentType": "text/plain", "ContentLength": 5}
    with Stubber(s3) as stubbed:
        stubbed.add_response("head_object", head)

        assert S3Uploads(client=s3, bucket="bucket").find(ADA, UPLOAD) is None


def test_an_answer_that_breaks_off_may_come_whole_later(s3: Any) -> None:  # noqa: ANN401 - as above
    body = StreamingBody(io.BytesIO(b"half"), content_length=8)
    with Stubber(s3) as stubbed:
        stubbed.add_response("get_object", {"Body": body, "Metadata": {}})

        with pytest.raises(Unavailable):
            S3Uploads(client=s3, bucket="bucket").load(a_document())


def test_what_a_rule_has_removed_is_gone(s3: Any) -> None:  # noqa: ANN401 - as above
    with Stubber(s3) as stubbed:
        stubbed.add_client_error("get_object", "NoSuchKey", http_status_code=404)

        with pytest.raises(NoResult):
            S3Uploads(client=s3, bucket="bucket").load(a_document())
