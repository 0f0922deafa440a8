"""Jobs under a caller's key on DynamoDB: the key's item and the job's row in one transaction.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import botocore.exceptions

from adapters.aws_errors import code_of, translating
from adapters.dynamodb_row import LEAVING, number, text, time, to_item
from adapters.schema import idempotency_table_name
from jobs.errors import JobExists, KeyReused, Unavailable
from jobs.job import JobId

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

    from jobs.idempotency import RequestKey
    from jobs.job import Job
    from jobs.ports import Clock

_PART = "store"
_CANCELLED = "TransactionCanceledException"
_LOST_RACE = {"ConditionalCheckFailed", "TransactionConflict"}
_TRIES = 10
_PAUSE = timedelta(milliseconds=20)
# A key that outlives its job is free again, so this only tidies up.
_OUTLIVES = timedelta(days=90)


@dataclass(frozen=True, kw_only=True)
class DynamoDBKeyedJobs:
    """jobs.idempotency.KeyedJobs on the table of jobs and a table of keys."""

    client: DynamoDBClient
    jobs: str
    retention: timedelta
    clock: Clock

    def find(self, key: RequestKey) -> JobId | None:
        """Read the key and whether its job is there."""
        item = self._read(key)
        return None if item is None else self._job_of(item, key)

    def add(self, job: Job, key: RequestKey) -> JobId:
        """Write both, or find out who was faster."""
        for tries in range(_TRIES):
            item = self._read(key)
            if item is not None and (found := self._job_of(item, key)) is not None:
                return found
            if self._wrote(job, key, gone=item["JobId"] if item else text("")):
                return job.id
            # Another's transaction is under way, and what it writes cannot be read yet.
            self.clock.sleep(_PAUSE * (tries + random.random()))  # noqa: S311 - to part a crowd
        raise Unavailable(_PART, "too many requests under one Idempotency-Key")

    def _job_of(self, item: Mapping[str, Value], key: RequestKey) -> JobId | None:
        """Give the key's job, or None where it is gone and the key is free again."""
        if not self._is_there(item["JobId"]):
            return None
        if item["Fingerprint"] != text(key.fingerprint):
            raise KeyReused("this Idempotency-Key was used with another body")
        return JobId(item["JobId"]["S"])

    def _wrote(self, job: Job, key: RequestKey, *, gone: Value) -> bool:
        """Write both, unless the key has a job other than the one that is gone."""
        with translating(_PART):
            try:
                self.client.transact_write_items(
                    TransactItems=[
                        {
                            "Put": {
                                "TableName": idempotency_table_name(self.jobs),
                                "Item": self._item(job, key),
                                "ConditionExpression": (
                                    "attribute_not_exists(IdempotencyId) OR JobId = :gone"
                                ),
                                "ExpressionAttributeValues": {":gone": gone},
                            }
                        },
                        {
                            "Put": {
                                "TableName": self.jobs,
                                "Item": to_item(job),
                                "ConditionExpression": "attribute_not_exists(JobId)",
                            }
                        },
                    ]
                )
            except botocore.exceptions.ClientError as error:
                if code_of(error) != _CANCELLED:
                    raise
                of_key, of_row = _reasons(error)
                if of_key not in _LOST_RACE and of_row == "ConditionalCheckFailed":
                    raise JobExists(f"there is a job {job.id} already") from error
                if {of_key, of_row}.isdisjoint(_LOST_RACE):
                    raise
                return False
        return True

    def _item(self, job: Job, key: RequestKey) -> dict[str, Value]:
        kept = job.created_at + (job.retention or self.retention) + _OUTLIVES
        return {
            "IdempotencyId": text(key.id),
            "UserId": text(job.user),
            "JobId": text(job.id),
            "Fingerprint": text(key.fingerprint),
            "CreatedAt": time(job.created_at),
            "ExpiresAt": number(int(kept.timestamp())),
        }

    def _read(self, key: RequestKey) -> Mapping[str, Value] | None:
        with translating(_PART):
            answer = self.client.get_item(
                TableName=idempotency_table_name(self.jobs),
                Key={"IdempotencyId": text(key.id)},
                ConsistentRead=True,
            )
        return answer.get("Item")

    def _is_there(self, job_id: Value) -> bool:
        with translating(_PART):
            answer = self.client.get_item(
                TableName=self.jobs,
                Key={"JobId": job_id},
                ConsistentRead=True,
                ProjectionExpression=f"JobId, {LEAVING}",
            )
        return "Item" in answer and LEAVING not in answer["Item"]


def _reasons(error: botocore.exceptions.ClientError) -> Sequence[str]:
    reasons = error.response.get("CancellationReasons", [])
    codes = [str(reason.get("Code", "None")) for reason in reasons]
    return (*codes, "None", "None")[:2]
