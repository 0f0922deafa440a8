"""The object store on S3: payloads too large for a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import botocore.exceptions

from adapters.aws_errors import code_of, translating
from adapters.schema import ANSWERS
from jobs.errors import NoResult

if TYPE_CHECKING:
    from datetime import timedelta

    from mypy_boto3_s3.client import S3Client

    from jobs.job import JobId, ObjectKey

_PART = "objects"


@dataclass(frozen=True, kw_only=True)
class S3ObjectStore:
    """jobs.ports.ObjectStore on one bucket."""

    client: S3Client
    bucket: str

    def put(self, key: ObjectKey, text: str, *, content_type: str) -> None:
        """Store a text whole."""
        with translating(_PART):
            self.client.put_object(
                Bucket=self.bucket, Key=key, Body=text.encode(), ContentType=content_type
            )

    def get(self, key: ObjectKey) -> str:
        """Read a text back."""
        with translating(_PART):
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=key)
            except botocore.exceptions.ClientError as error:
                if code_of(error) == "NoSuchKey":
                    raise NoResult(f"the object store has no {key}") from error
                raise
            return answer["Body"].read().decode()

    def delete(self, key: ObjectKey) -> None:
        """Remove a text; one that is not there is removed already."""
        with translating(_PART):
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def delete_all_of(self, job_id: JobId) -> None:
        """Remove every text of a job, by the prefixes under which they are put."""
        for prefix in (f"prompts/{job_id}", f"results/{job_id}/", f"{ANSWERS}/{job_id}/"):
            with translating(_PART):
                pages = self.client.get_paginator("list_objects_v2").paginate(
                    Bucket=self.bucket, Prefix=prefix
                )
                for key in [one["Key"] for page in pages for one in page.get("Contents", [])]:
                    self.client.delete_object(Bucket=self.bucket, Key=key)

    def sign(self, key: ObjectKey, *, lifetime: timedelta) -> str:
        """Make a URL that anyone may GET within `lifetime`; costs no request."""
        with translating(_PART):
            return self.client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self.bucket, "Key": key},
                ExpiresIn=int(lifetime.total_seconds()),
            )
