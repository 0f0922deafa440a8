"""The doctor's look at the stores, the stream and the rest of AWS; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

import botocore.exceptions

from adapters.aws_errors import DENIED, code_of, translating, translating_all
from adapters.bootstrap import check_objects, check_table
from adapters.checks_redis import clock_finding
from adapters.schema import (
    CORS_ID,
    TTL_ATTRIBUTE,
    bucket_lifecycle,
    expiring_tables,
    tables,
)
from jobs.checkup import Finding, fail, ok, warn
from jobs.errors import LonghaulError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_bedrock_runtime.client import BedrockRuntimeClient
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodbstreams.client import DynamoDBStreamsClient
    from mypy_boto3_s3.client import S3Client

    from adapters.settings import Settings

T = TypeVar("T")

_BOOTSTRAP = "run `longhaul bootstrap` with the same environment"


@dataclass(frozen=True, kw_only=True)
class AwsChecks:
    """What has to be there, and fit."""

    settings: Settings
    dynamodb: DynamoDBClient
    streams: DynamoDBStreamsClient
    s3: S3Client

    def look_at_tables(self) -> Iterator[Finding]:
        """Look at each table: its key, its indexes, its stream and how rows expire."""
        for wanted in tables(self.settings.table):
            name = wanted["TableName"]
            try:
                check_table(self.dynamodb, wanted)
            except LonghaulError as error:
                yield fail(f"table {name}", str(error), _BOOTSTRAP)
                continue
            yield self._expiry_of(name)

    def look_at_clock(self) -> Iterator[Finding]:
        """Compare this machine's clock with AWS's."""
        began = datetime.now(UTC)
        with translating_all("store"):
            answer = self.dynamodb.describe_table(TableName=self.settings.table)
        headers = answer["ResponseMetadata"].get("HTTPHeaders", {})
        if "date" in headers:
            theirs = parsedate_to_datetime(headers["date"])  # to the second
            yield clock_finding("aws clock", theirs, began)

    def look_at_stream(self) -> Iterator[Finding]:
        """Look whether the jobs' table has a stream; reading it is a feed's right."""
        with translating_all("stream"):
            table = self.dynamodb.describe_table(TableName=self.settings.table)["Table"]
        if "LatestStreamArn" not in table:
            yield fail("stream", f"table {self.settings.table} has none", _BOOTSTRAP)
            return
        yield ok("stream", table["LatestStreamArn"].rpartition("/")[2])

    def look_at_bucket(self) -> Iterator[Finding]:
        """Look at the bucket, its lifecycle rules and, where pages may use it, its CORS rule."""
        bucket, name = self.settings.bucket, f"bucket {self.settings.bucket}"
        check_objects(self.s3, bucket)
        yield ok(name, "is there")
        yield self._lifecycle_of(bucket)
        yield self._cors_of(bucket)

    def _expiry_of(self, table: str) -> Finding:
        name = f"table {table}"
        if table not in expiring_tables(self.settings.table):
            return ok(name, "is there and fits")
        try:
            state = self.dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        except botocore.exceptions.ClientError as error:
            if code_of(error) in DENIED:
                return ok(name, "is there and fits; how it expires rows is not ours to look at")
            raise
        if state.get("AttributeName") == TTL_ATTRIBUTE:
            return ok(name, "is there, fits and expires rows")
        return warn(name, "expires no rows: it grows for ever", _BOOTSTRAP)

    def _lifecycle_of(self, bucket: str) -> Finding:
        name = "bucket lifecycle"
        rules = _rules_or_none(
            lambda: self.s3.get_bucket_lifecycle_configuration(Bucket=bucket).get("Rules", []),
            without="NoSuchLifecycleConfiguration",
        )
        if rules is None:
            return ok(name, "not ours to look at")
        found = {rule.get("Filter", {}).get("Prefix") for rule in rules}
        ours = bucket_lifecycle(self.settings.retention_days)
        wanted = {rule["Filter"]["Prefix"] for rule in ours}
        if missing := sorted(map(str, wanted - found)):
            return warn(name, f"nothing expires under {', '.join(missing)}", _BOOTSTRAP)
        return ok(name, "prompts, results, uploads and answers expire")

    def _cors_of(self, bucket: str) -> Finding:
        name, origins = "bucket cors", self.settings.allowed_origins
        if not origins:
            return ok(name, "no page of another origin may upload (LONGHAUL_ALLOWED_ORIGINS)")
        rules = _rules_or_none(
            lambda: self.s3.get_bucket_cors(Bucket=bucket).get("CORSRules", []),
            without="NoSuchCORSConfiguration",
        )
        if rules is None:
            return ok(name, "not ours to look at")
        found = {
            one for rule in rules if rule.get("ID") == CORS_ID for one in rule["AllowedOrigins"]
        }
        if missing := sorted(origins - found):
            return warn(name, f"pages of {', '.join(missing)} cannot upload", _BOOTSTRAP)
        return ok(name, f"pages of {len(origins)} origins may upload")


def _rules_or_none(ask: Callable[[], list[T]], *, without: str) -> list[T] | None:
    """Give a bucket's rules; `without` is AWS's word for none, None that we may not look."""
    try:
        return ask()
    except botocore.exceptions.ClientError as error:
        if code_of(error) in DENIED:
            return None
        if code_of(error) == without:
            return []
        raise


def call_model(client: BedrockRuntimeClient, model: str) -> Iterator[Finding]:
    """Ask the model for one token; it is paid for."""
    name = f"model {model}"
    with translating("bedrock"):
        try:
            client.converse(
                modelId=model,
                messages=[{"role": "user", "content": [{"text": "Say yes."}]}],
                inferenceConfig={"maxTokens": 1},
            )
        except botocore.exceptions.ClientError as error:
            if code_of(error) == "ThrottlingException":
                yield ok(name, "may be called, and is throttled now")
                return
            yield fail(
                name,
                f"refuses: {code_of(error)}",
                "ask for access to it in Bedrock's console, or name another (docs/aws.md)",
            )
            return
    yield ok(name, "answers")
