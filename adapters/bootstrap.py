"""Bootstrap: make the tables and the bucket, or check that they are there and fit.

Making is idempotent and is a command of its own (`longhaul bootstrap`); a running process only
checks. Both speak of the one definition in adapters/schema.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import botocore.exceptions

from adapters.aws import connect_dynamodb, connect_s3
from adapters.aws_errors import code_of, translating
from adapters.schema import (
    CORS_ID,
    STREAM_VIEW,
    TTL_ATTRIBUTE,
    bucket_cors,
    bucket_lifecycle,
    expiring_tables,
    tables,
)
from adapters.settings import read_settings
from jobs.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef, TableDescriptionTypeDef
    from mypy_boto3_events.client import EventBridgeClient
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CORSRuleOutputTypeDef, CORSRuleTypeDef

_ADVICE = "run `longhaul bootstrap` with the same environment"


def ensure_resources(environ: Mapping[str, str]) -> list[str]:
    """Make what is missing and say what was done, a line a thing; nothing is ever replaced.

    Raises Misconfigured where something of that name is there and does not fit.
    """
    settings = read_settings(environ)
    dynamodb, s3 = connect_dynamodb(connections=1), connect_s3(connections=1)
    done = [
        *(line for wanted in tables(settings.table) for line in _ensure_table(dynamodb, wanted)),
        *(line for name in expiring_tables(settings.table) for line in _ensure_ttl(dynamodb, name)),
        *_ensure_bucket(s3, settings.bucket, settings.retention_days),
        *_ensure_cors(s3, settings.bucket, settings.allowed_origins),
    ]
    check_store(dynamodb, settings.table)
    check_objects(s3, settings.bucket)
    return done


def check_store(dynamodb: DynamoDBClient, table: str) -> None:
    """Check that the tables are there and fit. Raises Misconfigured, Unavailable."""
    for wanted in tables(table):
        check_table(dynamodb, wanted)


def check_objects(s3: S3Client, bucket: str) -> None:
    """Check that the bucket is there and ours. Raises Misconfigured, Unavailable."""
    with translating("objects"):
        try:
            s3.head_bucket(Bucket=bucket)
        except botocore.exceptions.ClientError as error:
            if code_of(error) in {"404", "NoSuchBucket"}:
                raise Misconfigured(f"there is no bucket {bucket}: {_ADVICE}") from error
            if code_of(error) in {"403", "AccessDenied"}:
                raise Misconfigured(
                    f"bucket {bucket} is not ours to use: check its name and the permissions"
                ) from error
            raise


def check_bus(events: EventBridgeClient, bus: str) -> None:
    """Check that a bus is there: what is put on one that is not is lost with a 200.

    One that we may only put to, such as another account's, passes. Raises Misconfigured,
    Unavailable.
    """
    with translating("eventbridge"):
        try:
            events.describe_event_bus(Name=bus)
        except botocore.exceptions.ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                raise Misconfigured(
                    f"there is no event bus {bus}: make it, or name another with"
                    " LONGHAUL_EVENTBRIDGE_BUS"
                ) from error
            if code_of(error) != "AccessDeniedException":
                raise


def _ensure_table(dynamodb: DynamoDBClient, wanted: CreateTableInputTypeDef) -> list[str]:
    name = wanted["TableName"]
    with translating("store"):
        try:
            dynamodb.create_table(**wanted)
        except botocore.exceptions.ClientError as error:
            if code_of(error) != "ResourceInUseException":
                raise
            return [f"table {name} is there"]
        dynamodb.get_waiter("table_exists").wait(
            TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )
    return [f"table {name} made"]


def _ensure_ttl(dynamodb: DynamoDBClient, table: str) -> list[str]:
    with translating("store"):
        state = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if state.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}:
            if (attribute := state.get("AttributeName")) != TTL_ATTRIBUTE:
                raise Misconfigured(
                    f"table {table} expires rows by {attribute}, which must be {TTL_ATTRIBUTE}"
                )
            return []
        dynamodb.update_time_to_live(
            TableName=table,
            TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE},
        )
    return [f"table {table} expires rows by {TTL_ATTRIBUTE}"]


def _ensure_bucket(s3: S3Client, bucket: str, retention_days: int) -> list[str]:
    done = []
    with translating("objects"):
        try:
            check_objects(s3, bucket)
            done.append(f"bucket {bucket} is there")
        except Misconfigured:
            _create_bucket(s3, bucket)
            done.append(f"bucket {bucket} made")
        _ensure_lifecycle(s3, bucket, retention_days)
    return done


def _ensure_lifecycle(s3: S3Client, bucket: str, retention_days: int) -> None:
    """Put our rules beside whatever rules an operator's bucket has already."""
    ours = bucket_lifecycle(retention_days)
    try:
        found = s3.get_bucket_lifecycle_configuration(Bucket=bucket).get("Rules", [])
    except botocore.exceptions.ClientError as error:
        if code_of(error) != "NoSuchLifecycleConfiguration":
            raise
        found = []
    ids = {rule["ID"] for rule in ours}
    theirs = [rule for rule in found if rule.get("ID") not in ids]
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket, LifecycleConfiguration={"Rules": [*theirs, *ours]}
    )


def _ensure_cors(s3: S3Client, bucket: str, origins: frozenset[str]) -> list[str]:
    """Put our rule, or none where no origin is allowed, beside an operator's own."""
    with translating("objects"):
        try:
            found = s3.get_bucket_cors(Bucket=bucket).get("CORSRules", [])
        except botocore.exceptions.ClientError as error:
            if code_of(error) != "NoSuchCORSConfiguration":
                raise
            found = []
        rules: list[CORSRuleTypeDef | CORSRuleOutputTypeDef]
        rules = [rule for rule in found if rule.get("ID") != CORS_ID]
        rules += bucket_cors(origins)
        if rules == found:
            return []
        if not rules:
            s3.delete_bucket_cors(Bucket=bucket)
            return [f"bucket {bucket} lets no other origin's pages upload"]
        s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    return [f"bucket {bucket} lets pages of {len(origins)} origins upload"]


def _create_bucket(s3: S3Client, bucket: str) -> None:
    region = s3.meta.region_name
    try:
        if region == "us-east-1":  # the one region that refuses to be named here
            s3.create_bucket(Bucket=bucket)
        else:
            s3.create_bucket(
                Bucket=bucket,
                CreateBucketConfiguration={"LocationConstraint": region},  # type: ignore[typeddict-item] # any region's name
            )
        _block_public_access(s3, bucket)
    except botocore.exceptions.ClientError as error:
        if code_of(error) in {"BucketAlreadyExists", "AccessDenied"}:
            raise Misconfigured(
                f"bucket {bucket} belongs to someone else or may not be made: "
                "name another with LONGHAUL_BUCKET"
            ) from error
        raise


def _block_public_access(s3: S3Client, bucket: str) -> None:
    """Close the bucket; a server that knows no such block has none but closed ones."""
    try:
        s3.put_public_access_block(
            Bucket=bucket,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "IgnorePublicAcls": True,
                "BlockPublicPolicy": True,
                "RestrictPublicBuckets": True,
            },
        )
    except botocore.exceptions.ClientError as error:
        if code_of(error) not in {"NotImplemented", "MethodNotAllowed"}:
            raise


def check_table(dynamodb: DynamoDBClient, wanted: CreateTableInputTypeDef) -> None:
    """Check that a table is there and fits. Raises Misconfigured, Unavailable."""
    name = wanted["TableName"]
    with translating("store"):
        try:
            table = dynamodb.describe_table(TableName=name)["Table"]
        except botocore.exceptions.ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                raise Misconfigured(f"there is no table {name}: {_ADVICE}") from error
            raise
    if wrong := _misfits(table, wanted):
        raise Misconfigured(f"table {name} does not fit: {'; '.join(wrong)}")


def _misfits(table: TableDescriptionTypeDef, wanted: CreateTableInputTypeDef) -> list[str]:
    """Say how a table differs from its definition in what the code relies on."""
    wrong = [key_misfit(table, wanted), *index_misfits(table, wanted), stream_misfit(table, wanted)]
    return [one for one in wrong if one is not None]


def key_misfit(table: TableDescriptionTypeDef, wanted: CreateTableInputTypeDef) -> str | None:
    """Say how a table's key must be, where it is not so."""
    if table.get("KeySchema") == list(wanted.get("KeySchema", [])):
        return None
    return f"its key must be {_keys(wanted)}"


def index_misfits(table: TableDescriptionTypeDef, wanted: CreateTableInputTypeDef) -> list[str]:
    """Say which indexes are missing, or have another key."""
    indexes = {
        index.get("IndexName"): index.get("KeySchema")
        for index in table.get("GlobalSecondaryIndexes", [])
    }
    return [
        f"index {index['IndexName']} must be {_keys(index)}"
        for index in wanted.get("GlobalSecondaryIndexes", [])
        if indexes.get(index["IndexName"]) != list(index["KeySchema"])
    ]


def stream_misfit(table: TableDescriptionTypeDef, wanted: CreateTableInputTypeDef) -> str | None:
    """Say how a table's stream must be, where it is not so."""
    stream = table.get("StreamSpecification", {})
    if "StreamSpecification" not in wanted or stream.get("StreamViewType") == STREAM_VIEW:
        return None
    return f"its stream must be on, with {STREAM_VIEW}"


def _keys(definition: Mapping[str, object]) -> str:
    schema = definition["KeySchema"]
    assert isinstance(schema, list)  # noqa: S101 - our own definition, narrowed for the reader
    return "+".join(key["AttributeName"] for key in schema)
