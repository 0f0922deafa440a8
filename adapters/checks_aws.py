"""The doctor's look at the tables, the stream, the bucket and the model; nothing is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import botocore.exceptions

from adapters.aws_errors import (
    BOOTSTRAP,
    DENIED,
    UNREACHABLE,
    code_of,
    translating,
    translating_all,
)
from adapters.bootstrap import index_misfits, key_misfit, stream_misfit
from adapters.checks_access import silence_of
from adapters.schema import (
    CORS_ID,
    STREAM_VIEW,
    TTL_ATTRIBUTE,
    bucket_lifecycle,
    expiring_tables,
    tables,
)
from jobs.checkup import Finding, fail, ok, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_bedrock_runtime.client import BedrockRuntimeClient
    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef, TableDescriptionTypeDef
    from mypy_boto3_dynamodbstreams.client import DynamoDBStreamsClient
    from mypy_boto3_s3.client import S3Client

    from adapters.settings import Settings

T = TypeVar("T")

STREAM = "see AWS_ENDPOINT_URL_DYNAMODB_STREAMS, which is not DynamoDB's own"
BUCKET = "see LONGHAUL_BUCKET, AWS_REGION and AWS_ENDPOINT_URL_S3"
_STACK = "deploy deploy/aws/longhaul.yaml with"
_UPDATE = "aws dynamodb update-table --table-name"
_USED = frozenset({"ACTIVE", "UPDATING"})  # states in which a table is read and written
_EXPIRES = frozenset({"ENABLED", "ENABLING"})


def table_check(name: str) -> str:
    """Name the check of a table."""
    return f"table {name}"


def indexes_check(name: str) -> str:
    """Name the check of a table's indexes."""
    return f"indexes of {name}"


def indexed_tables(jobs: str) -> list[str]:
    """Name the tables that have indexes."""
    return [one["TableName"] for one in tables(jobs) if "GlobalSecondaryIndexes" in one]


@dataclass(frozen=True, kw_only=True)
class AwsChecks:
    """What has to be there, and fit."""

    settings: Settings
    dynamodb: DynamoDBClient

    def look_at_table(self, name: str) -> Iterator[Finding]:
        """Look whether a table is there, its key, and how its rows expire."""
        check = table_check(name)
        try:
            table = self._describe(name)
        except botocore.exceptions.ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                yield self._missing(name)
            elif code_of(error) in DENIED:
                advice = "grant dynamodb:DescribeTable on it, as deploy/aws/longhaul.yaml does"
                yield fail(check, "may not be looked at", advice)
            else:
                raise
            return
        if (state := table.get("TableStatus", "ACTIVE")) not in _USED:
            yield fail(check, f"is {state}", "wait until it is ACTIVE")
        elif wrong := key_misfit(table, self._wanted(name)):
            yield fail(check, wrong, "name another with LONGHAUL_TABLE: no table's key changes")
        else:
            yield self._expiry_of(name)

    def look_at_indexes(self, name: str) -> Iterator[Finding]:
        """Look whether a table has its indexes, and whether they are built."""
        check = indexes_check(name)
        with translating_all("store"):
            table = self._describe(name)
        if wrong := index_misfits(table, self._wanted(name)):
            advice = (
                f"bootstrap changes no table: {_UPDATE} {name}, as deploy/aws/longhaul.yaml has it"
            )
            yield fail(check, "; ".join(wrong), advice)
            return
        building = [
            str(index.get("IndexName"))
            for index in table.get("GlobalSecondaryIndexes", [])
            if index.get("IndexStatus", "ACTIVE") not in _USED
        ]
        if building:
            told = f"{', '.join(building)} cannot be read yet"
            yield fail(check, told, "wait until DynamoDB has built it")
            return
        yield ok(check, "are there and fit")

    def look_at_stream(self, connect: Callable[[], DynamoDBStreamsClient]) -> Iterator[Finding]:
        """Look whether the jobs' table has the stream that a feed reads, and whether it answers."""
        name = self.settings.table
        with translating_all("stream"):
            table = self._describe(name)
        if wrong := stream_misfit(table, self._wanted(name)):
            view = table.get("StreamSpecification", {}).get("StreamViewType")
            found = f"table {name} has " + (f"one with {view}" if view else "none")
            how = f"StreamEnabled=true,StreamViewType={STREAM_VIEW}"
            first = "turn it off, then " if view else ""
            advice = f"{first}{_UPDATE} {name} --stream-specification {how}"
            yield fail("stream", f"{found}: {wrong}", advice)
            return
        arn = table.get("LatestStreamArn", "")
        streams = connect()
        with translating("stream"):
            try:
                streams.describe_stream(StreamArn=arn, Limit=1)
            except botocore.exceptions.ClientError as error:
                if code_of(error) not in DENIED:
                    raise
            except UNREACHABLE as error:
                yield fail("stream", silence_of(streams.meta.endpoint_url, error), STREAM)
                return
        yield ok("stream", f"{arn.rpartition('/')[2]} at {streams.meta.endpoint_url}")

    def _describe(self, name: str) -> TableDescriptionTypeDef:
        return self.dynamodb.describe_table(TableName=name)["Table"]

    def _wanted(self, name: str) -> CreateTableInputTypeDef:
        [wanted] = [one for one in tables(self.settings.table) if one["TableName"] == name]
        return wanted

    def _missing(self, name: str) -> Finding:
        region = self.dynamodb.meta.region_name
        told = f"is not there (region {region}, {self.dynamodb.meta.endpoint_url})"
        advice = f"{BOOTSTRAP}, or {_STACK} TableName={self.settings.table}"
        return fail(table_check(name), told, advice)

    def _expiry_of(self, table: str) -> Finding:
        name = table_check(table)
        if table not in expiring_tables(self.settings.table):
            return ok(name, "is there and fits")
        try:
            state = self.dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        except botocore.exceptions.ClientError as error:
            if code_of(error) in DENIED:
                return ok(name, "is there and fits; how it expires rows is not ours to look at")
            raise
        attribute = state.get("AttributeName")
        if state.get("TimeToLiveStatus") not in _EXPIRES:
            return warn(name, "expires no rows: it grows for ever", BOOTSTRAP)
        if attribute != TTL_ATTRIBUTE:
            advice = f"turn its time to live off, then {BOOTSTRAP}"
            return warn(name, f"expires rows by {attribute}, not by {TTL_ATTRIBUTE}", advice)
        return ok(name, "is there, fits and expires rows")


@dataclass(frozen=True, kw_only=True)
class BucketChecks:
    """The bucket, and the rules that belong to it."""

    settings: Settings
    s3: S3Client

    def look(self) -> Iterator[Finding]:
        """Look whether the bucket is there, ours, and in our region."""
        bucket, name = self.settings.bucket, f"bucket {self.settings.bucket}"
        with translating("objects"):
            try:
                answer = self.s3.head_bucket(Bucket=bucket)
            except botocore.exceptions.ClientError as error:
                yield self._refusal(name, error)
                return
            except UNREACHABLE as error:
                yield fail(name, silence_of(self.s3.meta.endpoint_url, error), BUCKET)
                return
        ours, url = self.s3.meta.region_name, self.s3.meta.endpoint_url
        theirs = answer.get("BucketRegion", ours)
        if theirs != ours and "amazonaws.com" in url:  # others' servers may say anything
            told = f"is in {theirs}, not in {ours}: browsers are sent the wrong way"
            yield fail(name, told, "let AWS_REGION be the bucket's, or name another bucket")
            return
        yield ok(name, "is there")

    def _refusal(self, name: str, error: botocore.exceptions.ClientError) -> Finding:
        code = code_of(error)
        if code in {"404", "NoSuchBucket"}:
            told = f"is not there ({self.s3.meta.endpoint_url})"
            bucket = self.settings.bucket
            return fail(name, told, f"{BOOTSTRAP}, or {_STACK} BucketName={bucket}")
        if code in {"403", "AccessDenied"}:
            advice = "see LONGHAUL_BUCKET, and grant s3:ListBucket as deploy/aws/longhaul.yaml does"
            return fail(name, "is another's, or these credentials lack a right", advice)
        return fail(name, f"{self.s3.meta.endpoint_url} answers {code}", BUCKET)

    def look_at_lifecycle(self) -> Iterator[Finding]:
        """Look whether what the bucket holds goes some day."""
        name = "bucket lifecycle"
        rules = _rules_or_none(
            lambda: self.s3.get_bucket_lifecycle_configuration(Bucket=self.settings.bucket).get(
                "Rules", []
            ),
            without="NoSuchLifecycleConfiguration",
        )
        if rules is None:
            yield ok(name, "not ours to look at")
            return
        found = {
            rule.get("Filter", {}).get("Prefix") for rule in rules if rule["Status"] == "Enabled"
        }
        ours = bucket_lifecycle(self.settings.retention_days)
        wanted = {rule["Filter"]["Prefix"] for rule in ours}
        if missing := sorted(map(str, wanted - found)):
            yield warn(name, f"nothing expires under {', '.join(missing)}", BOOTSTRAP)
            return
        yield ok(name, "prompts, results, uploads and answers expire")

    def look_at_cors(self) -> Iterator[Finding]:
        """Look whether pages may upload, where some may."""
        name, origins = "bucket cors", self.settings.allowed_origins
        if not origins:
            yield ok(name, "no page of another origin may upload (LONGHAUL_ALLOWED_ORIGINS)")
            return
        rules = _rules_or_none(
            lambda: self.s3.get_bucket_cors(Bucket=self.settings.bucket).get("CORSRules", []),
            without="NoSuchCORSConfiguration",
        )
        if rules is None:
            yield ok(name, "not ours to look at")
            return
        found = {
            one for rule in rules if rule.get("ID") == CORS_ID for one in rule["AllowedOrigins"]
        }
        if missing := sorted(origins - found):
            yield warn(name, f"pages of {', '.join(missing)} cannot upload", BOOTSTRAP)
            return
        yield ok(name, f"pages of {len(origins)} origins may upload")


def _rules_or_none(ask: Callable[[], list[T]], *, without: str) -> list[T] | None:
    """Give a bucket's rules; `without` is AWS's word for none, None that we may not look."""
    with translating("objects"):
        try:
            return ask()
        except botocore.exceptions.ClientError as error:
            if code_of(error) in DENIED:
                return None
            if code_of(error) == without:
                return []
            raise


def call_model(client: BedrockRuntimeClient, name: str, model: str) -> Iterator[Finding]:
    """Ask the model for one token; it is paid for."""
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
                "see bedrock:InvokeModel, which workers have, and the account's access to the model"
                " in Bedrock's console, or name another (docs/aws.md, Models)",
            )
            return
    yield ok(name, "answers")
