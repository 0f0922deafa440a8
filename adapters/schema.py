"""What must exist before anything runs: the tables, the bucket, and what fits them.

One definition for the stand-ins, for `longhaul bootstrap` and for the check at every start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jobs.uploads import UPLOADS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_dynamodb.type_defs import CreateTableInputTypeDef
    from mypy_boto3_s3.type_defs import CORSRuleTypeDef, LifecycleRuleTypeDef

OPEN_JOBS = "OpenJobs"
USER_JOBS = "UserJobs"
DUE_DELIVERIES = "DueDeliveries"
TTL_ATTRIBUTE = "ExpiresAt"
STREAM_VIEW: Final = "NEW_AND_OLD_IMAGES"
ANSWERS = "answers"
ANSWERS_KEPT_DAYS = 7  # longer than any outage; an answer that nobody fetched is a user's data
CORS_ID = "longhaul-browsers"
_CORS_SECONDS = 3600  # a browser asks once an hour whether it may
_OBJECTS_OUTLIVE_ROWS_DAYS = 2  # DynamoDB may take two days to delete what has expired


def tables(jobs: str) -> tuple[CreateTableInputTypeDef, ...]:
    """Define every table, by the jobs' name."""
    return (
        jobs_table(jobs),
        feed_table(jobs),
        rejected_table(jobs),
        deliveries_table(jobs),
        idempotency_table(jobs),
        keys_table(jobs),
    )


def expiring_tables(jobs: str) -> tuple[str, ...]:
    """Name the tables whose items expire by TTL_ATTRIBUTE."""
    return (
        jobs,
        rejected_table_name(jobs),
        deliveries_table_name(jobs),
        idempotency_table_name(jobs),
        keys_table_name(jobs),
    )


def jobs_table(name: str) -> CreateTableInputTypeDef:
    """Define the table of jobs.

    `UserJobs` lists a user's jobs by time; `OpenJobs` is sparse: only jobs that are not ended,
    or whose end is to be announced, have a `DueShard`, and the sweep reads it by `DueAt`.
    """
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "JobId", "KeyType": "HASH"}],
        "AttributeDefinitions": [
            {"AttributeName": attribute, "AttributeType": "S"}
            for attribute in ("JobId", "UserId", "CreatedAt", "DueShard", "DueAt")
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": USER_JOBS,
                "KeySchema": [
                    {"AttributeName": "UserId", "KeyType": "HASH"},
                    {"AttributeName": "CreatedAt", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["JobStatus"]},
            },
            {
                "IndexName": OPEN_JOBS,
                "KeySchema": [
                    {"AttributeName": "DueShard", "KeyType": "HASH"},
                    {"AttributeName": "DueAt", "KeyType": "RANGE"},
                ],
                "Projection": {
                    "ProjectionType": "INCLUDE",
                    "NonKeyAttributes": ["JobStatus", "Sweeps"],
                },
            },
        ],
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": STREAM_VIEW},
    }


def feed_table(jobs: str) -> CreateTableInputTypeDef:
    """Define the table of the feed's checkpoints: one item a shard of the stream."""
    return {
        "TableName": feed_table_name(jobs),
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [
            {"AttributeName": "StreamArn", "KeyType": "HASH"},
            {"AttributeName": "ShardId", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "StreamArn", "AttributeType": "S"},
            {"AttributeName": "ShardId", "AttributeType": "S"},
        ],
    }


def feed_table_name(jobs: str) -> str:
    """Name the feed's table after the jobs' table."""
    return f"{jobs}_Feed"


def rejected_table(jobs: str) -> CreateTableInputTypeDef:
    """Define the table of rejected records: one partition a table of jobs, by time of change."""
    return {
        "TableName": rejected_table_name(jobs),
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [
            {"AttributeName": "JobsTable", "KeyType": "HASH"},
            {"AttributeName": "RejectedId", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": "JobsTable", "AttributeType": "S"},
            {"AttributeName": "RejectedId", "AttributeType": "S"},
        ],
    }


def rejected_table_name(jobs: str) -> str:
    """Name the table of rejected records after the jobs' table."""
    return f"{jobs}_Rejected"


def deliveries_table(jobs: str) -> CreateTableInputTypeDef:
    """Define the table of deliveries: one item an announcement and kind of receiver, under its job.

    What is named `EventId` is the delivery's id: a webhook's is the event's, another kind's has the
    kind behind it.
    `DueDeliveries` is sparse, as `OpenJobs` is; it holds whole items, because most are due once.
    """
    return {
        "TableName": deliveries_table_name(jobs),
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [
            {"AttributeName": "JobId", "KeyType": "HASH"},
            {"AttributeName": "EventId", "KeyType": "RANGE"},
        ],
        "AttributeDefinitions": [
            {"AttributeName": attribute, "AttributeType": "S"}
            for attribute in ("JobId", "EventId", "DueShard", "DueAt")
        ],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": DUE_DELIVERIES,
                "KeySchema": [
                    {"AttributeName": "DueShard", "KeyType": "HASH"},
                    {"AttributeName": "DueAt", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            },
        ],
    }


def deliveries_table_name(jobs: str) -> str:
    """Name the table of deliveries after the jobs' table."""
    return f"{jobs}_Deliveries"


def idempotency_table(jobs: str) -> CreateTableInputTypeDef:
    """Define the table of idempotency keys: one item a key, by its hash."""
    return {
        "TableName": idempotency_table_name(jobs),
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "IdempotencyId", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "IdempotencyId", "AttributeType": "S"}],
    }


def idempotency_table_name(jobs: str) -> str:
    """Name the table of idempotency keys after the jobs' table."""
    return f"{jobs}_Idempotency"


def keys_table(jobs: str) -> CreateTableInputTypeDef:
    """Define the table of API keys: one item a key, by its prefix; what opens nothing expires."""
    return {
        "TableName": keys_table_name(jobs),
        "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{"AttributeName": "KeyPrefix", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "KeyPrefix", "AttributeType": "S"}],
    }


def keys_table_name(jobs: str) -> str:
    """Name the table of API keys after the jobs' table."""
    return f"{jobs}_Keys"


def bucket_lifecycle(retention_days: int) -> list[LifecycleRuleTypeDef]:
    """Define when prompts, uploads and results go: after their rows; kept answers much sooner.

    Nothing else in the bucket is ours.
    """
    after_rows = retention_days + _OBJECTS_OUTLIVE_ROWS_DAYS
    days = {
        "prompts": after_rows,
        "results": after_rows,
        UPLOADS: after_rows,
        ANSWERS: min(ANSWERS_KEPT_DAYS, after_rows),
    }
    return [
        {
            "ID": f"longhaul-{prefix}",
            "Status": "Enabled",
            "Filter": {"Prefix": f"{prefix}/"},
            "Expiration": {"Days": days[prefix]},
        }
        for prefix in days
    ]


def bucket_cors(origins: Iterable[str]) -> list[CORSRuleTypeDef]:
    """Define which pages may upload, and read results, from a browser; none where none is named.

    The URL is the right to do so; this only lets browsers use it.
    """
    if not (allowed := sorted(origins)):
        return []
    return [
        {
            "ID": CORS_ID,
            "AllowedOrigins": allowed,
            "AllowedMethods": ["GET", "PUT"],
            "AllowedHeaders": ["*"],
            "MaxAgeSeconds": _CORS_SECONDS,
        }
    ]
