"""The store of jobs on DynamoDB: each transition is one conditional write.

botocore may retry a write whose answer was lost, and the retry then fails against its own success.
So every conditional write asks for the row that refused it (ALL_OLD) and looks for its own token
there. https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta  # noqa: TC003 - a dataclass's field type
from typing import TYPE_CHECKING

import botocore.exceptions

from adapters.aws_errors import code_of, translating
from adapters.dynamodb_row import (
    LEAVING,
    from_item,
    number,
    result_attributes,
    state_attributes,
    text,
    time,
    to_item,
    write_steps,
)
from jobs.claim import Claim, ClaimRefused
from jobs.errors import ClaimLost, JobExists, JobMoved, JobNotFound
from jobs.job import JobStatus
from jobs.outcome import Redriven
from jobs.times import read_time
from jobs.transitions import changed, settled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.literals import ReturnValueType
    from mypy_boto3_dynamodb.type_defs import AttributeValueTypeDef as Value

    from jobs.claim import ClaimTerms
    from jobs.division import Division
    from jobs.job import Job, JobId
    from jobs.outcome import Change, Outcome, Partial
    from jobs.timeline import Step

_PART = "store"
_REFUSED = "ConditionalCheckFailedException"
_OWN_WRITE = ("TraceId", "UserId", "CreatedAt", "PartCreatedAt")

_CLAIMABLE = (
    "(begins_with(JobStatus, :pending)"
    " AND (attribute_not_exists(NotBefore) OR NotBefore <= :at))"
    " OR (JobStatus = :running AND LeaseUntil < :at)"
)
_CALLS = ("InvokeStartedAt", "InterruptedAt")  # what is known of a claim's call ends with it
_AS_READ = "Epoch = :epoch AND JobStatus = :status"
_CANCELLED = "Epoch = :epoch AND JobStatus = :cancelled"
_NO_RESULT = "attribute_not_exists(ResultData) AND attribute_not_exists(ResultKey)"
# A divided job is RUNNING, too, but nobody holds it.
_HELD = (
    "ClaimToken = :token AND Epoch = :epoch AND JobStatus = :running"
    " AND attribute_exists(LeaseUntil)"
)
_DIVIDED = (
    "Epoch = :epoch AND JobStatus = :running AND attribute_not_exists(LeaseUntil)"
    " AND attribute_exists(DivisionPlan)"
)


@dataclass(frozen=True, kw_only=True)
class DynamoDBJobStore:
    """jobs.ports.JobStore on one table."""

    client: DynamoDBClient
    table: str
    retention: timedelta

    def add(self, job: Job) -> None:
        """Write a new job's row."""
        item = to_item(job)
        with translating(_PART):
            try:
                self.client.put_item(
                    TableName=self.table,
                    Item=item,
                    ConditionExpression="attribute_not_exists(JobId)",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except botocore.exceptions.ClientError as error:
                old = _refusing_row(error)
                # The same trace and time under the same random id: our own write, retried.
                if any(old.get(name) != item.get(name) for name in _OWN_WRITE):
                    raise JobExists(f"there is a job {job.id} already") from error

    def get(self, job_id: JobId) -> Job:
        """Read a row, consistently."""
        row = self._read(job_id)
        if LEAVING in row:
            raise JobNotFound(f"there is no job {job_id}")
        return from_item(row)

    def read(self, job_id: JobId) -> Job:
        """Read a row, also one whose removal has begun."""
        return from_item(self._read(job_id))

    def claim(self, job_id: JobId, terms: ClaimTerms) -> Claim | ClaimRefused:
        """Take the job in one conditional write."""
        try:
            row = self._update(
                job_id,
                condition=_CLAIMABLE,
                sets={
                    "JobStatus": ":running",
                    "Epoch": "Epoch + :one",
                    "Attempt": "Attempt + :one",
                    "ClaimToken": ":token",
                    "WorkerId": ":worker",
                    "LeaseUntil": ":until",
                    "DueAt": ":until",
                    "StartedAt": "if_not_exists(StartedAt, :at)",
                    "UpdatedAt": ":at",
                    # A call that began under an earlier claim and has no end, or nothing. It is
                    # kept until a claim is settled: a claimer may die before it says so.
                    "InterruptedAt": (
                        "if_not_exists(InvokeStartedAt, if_not_exists(InterruptedAt, :nothing))"
                    ),
                    "Timeline": "list_append(Timeline, :steps)",
                },
                removes=("NotBefore", "InvokeStartedAt", "Error", "Sweeps"),
                values={
                    ":pending": text("PENDING"),
                    ":running": text(JobStatus.RUNNING),
                    ":one": number(1),
                    ":nothing": {"NULL": True},
                    ":token": text(terms.token),
                    ":worker": text(terms.worker),
                    ":until": time(terms.lease_until),
                    ":at": time(terms.at),
                    ":steps": write_steps(terms.steps),
                },
            )
        except _RefusedError as refused:
            row = refused.row
            ours = {"ClaimToken": text(terms.token), "JobStatus": text(JobStatus.RUNNING)}
            is_ours = all(row.get(name) == value for name, value in ours.items())
            if not is_ours or "LeaseUntil" not in row:
                return _refusal(job_id, row)
        return Claim(
            job=from_item(row),
            token=terms.token,
            worker=terms.worker,
            lease=terms.lease,
            interrupted_at=_interrupted_at(row),
        )

    def mark_invoked(self, claim: Claim, invoked: Step) -> None:
        """Note that the call begins, under this claim alone."""
        try:
            self._update(
                claim.job_id,
                condition=f"{_HELD} AND attribute_not_exists(InvokeStartedAt)",
                sets={
                    "InvokeStartedAt": ":at",
                    "UpdatedAt": ":at",
                    "Timeline": "list_append(Timeline, :steps)",
                },
                values={
                    **_held_by(claim),
                    ":at": time(invoked.at),
                    ":steps": write_steps((invoked,)),
                },
                gives="NONE",
            )
        except _RefusedError as refused:
            row = refused.row
            held = {**_held_by(claim), ":at": time(invoked.at)}
            names = ("ClaimToken", "Epoch", "JobStatus", "InvokeStartedAt")
            if [row.get(name) for name in names] != list(held.values()):
                raise _lost(claim, refused.row) from refused

    def mark_divided(self, claim: Claim, division: Division) -> None:
        """Note how the job is about to be divided, under this claim alone."""
        try:
            self._update(
                claim.job_id,
                condition=_HELD,
                sets={"DivisionPlan": ":plan", "DivisionTotal": ":total"},
                removes=("PartsEnded",),
                values={
                    **_held_by(claim),
                    ":plan": text(division.plan),
                    ":total": number(division.total),
                },
                gives="NONE",
            )
        except _RefusedError as refused:
            raise _lost(claim, refused.row) from refused

    def note_part(self, job: Job, number: int, at: datetime) -> Job:
        """Note that a part of a divided job is done, once."""
        ended: Value = {"N": str(number)}
        try:
            row = self._update(
                job.id,
                condition=f"{_DIVIDED} AND NOT contains(PartsEnded, :number)",
                sets={"Seq": "Seq + :one", "UpdatedAt": ":at"},
                adds={"PartsEnded": ":ended"},
                values={
                    ":epoch": {"N": str(job.epoch)},
                    ":running": text(JobStatus.RUNNING),
                    ":number": ended,
                    ":ended": {"NS": [str(number)]},
                    ":one": {"N": "1"},
                    ":at": time(at),
                },
            )
        except _RefusedError as refused:
            if not refused.row:
                raise JobMoved(f"job {job.id} is gone") from refused
            job, epoch = from_item(refused.row), job.epoch
            if job.epoch != epoch or not job.is_divided:
                raise JobMoved(f"job {job.id} is no longer divided") from refused
            return job  # it was noted before
        return from_item(row)

    def renew(self, claim: Claim, until: datetime) -> None:
        """Move the lease's end, under this claim alone."""
        try:
            self._update(
                claim.job_id,
                condition=_HELD,
                sets={"LeaseUntil": ":until", "DueAt": ":until"},
                values={**_held_by(claim), ":until": time(until)},
                gives="NONE",
            )
        except _RefusedError as refused:
            raise _lost(claim, refused.row) from refused

    def settle(self, claim: Claim, outcome: Outcome) -> Job:
        """Write how the attempt ended, under this claim alone."""
        job = settled(claim.job, outcome)
        try:
            row = self._transition(
                job, outcome.steps, condition=_HELD, values=_held_by(claim), removes=_CALLS
            )
        except _RefusedError as refused:
            row = refused.row
            wanted = [text(claim.token), number(claim.epoch), text(job.status)]
            if [row.get(name) for name in ("ClaimToken", "Epoch", "JobStatus")] != wanted:
                raise _lost(claim, refused.row) from refused
        return from_item(row)

    def change(self, job: Job, change: Change) -> Job:
        """Write a change by someone who holds no claim, if the row is still as `job` says."""
        token = text(secrets.token_hex(8))
        try:
            row = self._transition(
                changed(job, change),
                change.steps,
                condition="Epoch = :epoch AND JobStatus = :before",
                values={":epoch": number(job.epoch), ":before": text(job.status)},
                # Where a claim's token was stands our own, by which a retried write finds itself.
                sets={"ClaimToken": token, **_redriven_under(change)},
                removes=(*_CALLS, "WorkerId"),
            )
        except _RefusedError as refused:
            row = refused.row
            if row.get("ClaimToken") != token:
                raise JobMoved(f"job {job.id} is no longer {job.status}") from refused
        return from_item(row)

    def begin_removal(self, job: Job) -> Job:
        """Mark the row as leaving, if it is still as `job` says."""
        try:
            row = self._update(
                job.id,
                condition=f"{_AS_READ} AND attribute_not_exists({LEAVING})",
                sets={"Epoch": "Epoch + :one", LEAVING: ":true"},
                values={
                    ":epoch": number(job.epoch),
                    ":status": text(job.status),
                    ":one": number(1),
                    ":true": {"BOOL": True},
                },
            )
        except _RefusedError as refused:
            row = refused.row
            # Begun before, by a call that broke off or by this very write, retried.
            is_job = row.get("JobStatus") == text(job.status) and row.get("Epoch") in (
                number(job.epoch),
                number(job.epoch + 1),
            )
            if LEAVING not in row or not is_job:
                raise JobMoved(f"job {job.id} is no longer {job.status}") from refused
        return from_item(row)

    def remove(self, job: Job) -> None:
        """Remove an ended job's row, if it is still as `job` says."""
        with translating(_PART):
            try:
                self.client.delete_item(
                    TableName=self.table,
                    Key={"JobId": text(job.id)},
                    ConditionExpression=(f"attribute_not_exists(JobId) OR ({_AS_READ})"),
                    ExpressionAttributeValues={
                        ":epoch": number(job.epoch),
                        ":status": text(job.status),
                    },
                )
            except botocore.exceptions.ClientError as error:
                if code_of(error) != _REFUSED:
                    raise
                raise JobMoved(f"job {job.id} is no longer {job.status}") from error

    def keep_partial(self, claim: Claim, partial: Partial) -> None:
        """Add what had come of the call to a job that was cancelled under this claim."""
        placed = result_attributes(partial.result)
        written = {name: value for name, value in placed.items() if value is not None}
        cancelled = {":epoch": number(claim.epoch + 1), ":cancelled": text(JobStatus.CANCELLED)}
        try:
            self._update(
                claim.job_id,
                condition=f"{_CANCELLED} AND {_NO_RESULT}",
                sets={
                    **{name: f":{name}" for name in written},
                    "UpdatedAt": ":at",
                    "Timeline": "list_append(Timeline, :steps)",
                },
                values={
                    **cancelled,
                    ":at": time(partial.at),
                    ":steps": write_steps(partial.steps),
                    **{f":{name}": value for name, value in written.items()},
                },
                gives="NONE",
            )
        except _RefusedError as refused:
            row = (
                refused.row
            )  # a result can only be our own: of this claim there is no other holder
            if [row.get(name) for name in ("Epoch", "JobStatus")] != list(cancelled.values()):
                raise _lost(claim, refused.row) from refused

    def keep_until(self, job_id: JobId, until: datetime | None) -> None:
        """Set or remove what DynamoDB deletes the row by."""
        there = {":job": text(job_id)}
        when = {} if until is None else {":until": number(int(until.timestamp()))}
        with suppress(_RefusedError):
            self._update(
                job_id,
                condition="JobId = :job",
                sets={"ExpiresAt": ":until"} if when else {},
                removes=() if when else ("ExpiresAt",),
                values=there | when,
                gives="NONE",
            )

    def _read(self, job_id: JobId) -> Mapping[str, Value]:
        with translating(_PART):
            answer = self.client.get_item(
                TableName=self.table, Key={"JobId": text(job_id)}, ConsistentRead=True
            )
        if "Item" not in answer:
            raise JobNotFound(f"there is no job {job_id}")
        return answer["Item"]

    def _transition(  # noqa: PLR0913 - one write's whole shape, read by name at two places
        self,
        job: Job,
        steps: tuple[Step, ...],
        *,
        condition: str,
        values: Mapping[str, Value],
        removes: tuple[str, ...],
        sets: Mapping[str, Value] | None = None,
    ) -> Mapping[str, Value]:
        """Write the state that a transition leaves, and append its steps."""
        state = state_attributes(job)
        if job.ended_at is not None:
            kept = job.ended_at + (job.retention or self.retention)
            state["ExpiresAt"] = number(int(kept.timestamp()))
        else:
            state["ExpiresAt"] = None
        written = {name: value for name, value in state.items() if value is not None}
        written |= sets or {}
        return self._update(
            job.id,
            condition=condition,
            sets={
                **{name: f":{name}" for name in written},
                "Timeline": "list_append(Timeline, :steps)",
            },
            removes=(*removes, *(name for name, value in state.items() if value is None)),
            values={
                **values,
                ":steps": write_steps(steps),
                **{f":{name}": value for name, value in written.items()},
            },
        )

    def _update(  # noqa: PLR0913 - one write's whole shape, all but two by name
        self,
        job_id: JobId,
        *,
        condition: str,
        sets: Mapping[str, str],
        values: Mapping[str, Value],
        removes: tuple[str, ...] = (),
        adds: Mapping[str, str] | None = None,
        gives: ReturnValueType = "ALL_NEW",
    ) -> Mapping[str, Value]:
        """Do one conditional write and give the row after it. Raises _RefusedError.

        A row has its prompt in it: who does not look at it says that the write `gives` NONE.
        """
        # Placeholders, because a name that is set may be one of DynamoDB's reserved words.
        adds = adds or {}
        names = {f"#{name}": name for name in (*sets, *removes, *adds)}
        expression = ""
        if sets:
            expression += "SET " + ", ".join(f"#{name} = {value}" for name, value in sets.items())
        if removes:
            expression += " REMOVE " + ", ".join(f"#{name}" for name in removes)
        if adds:
            expression += " ADD " + ", ".join(f"#{name} {value}" for name, value in adds.items())
        with translating(_PART):
            try:
                answer = self.client.update_item(
                    TableName=self.table,
                    Key={"JobId": text(job_id)},
                    ConditionExpression=condition,
                    UpdateExpression=expression,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=values,
                    ReturnValues=gives,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except botocore.exceptions.ClientError as error:
                raise _RefusedError(_refusing_row(error)) from error
        return answer.get("Attributes", {})


class _RefusedError(Exception):
    """A condition did not hold; `row` is the row that refused, empty where there is none."""

    def __init__(self, row: Mapping[str, Value]) -> None:
        super().__init__(_REFUSED)
        self.row = row


def _refusing_row(error: botocore.exceptions.ClientError) -> Mapping[str, Value]:
    """Give the row that refused a write; any other error goes on its way."""
    if code_of(error) != _REFUSED:
        raise error
    row: Mapping[str, Value] = error.response.get("Item", {})  # type: ignore[assignment] # untyped
    return row


def _held_by(claim: Claim) -> dict[str, Value]:
    return {
        ":token": text(claim.token),
        ":epoch": number(claim.epoch),
        ":running": text(JobStatus.RUNNING),
    }


def _lost(claim: Claim, row: Mapping[str, Value]) -> ClaimLost:
    status = row.get("JobStatus", {}).get("S")
    return ClaimLost(
        f"job {claim.job_id} has left epoch {claim.epoch}",
        status=JobStatus(status) if status in set(JobStatus) else None,
    )


def _interrupted_at(row: Mapping[str, Value]) -> datetime | None:
    at = row.get("InterruptedAt", {}).get("S")
    return None if at is None else read_time(at)


def _refusal(job_id: JobId, row: Mapping[str, Value]) -> ClaimRefused:
    if not row:
        return ClaimRefused(job_id=job_id, status=None)
    job = from_item(row)
    return ClaimRefused(job_id=job_id, status=job.status, not_before=job.not_before)


def _redriven_under(change: Change) -> dict[str, Value]:
    if not isinstance(change, Redriven) or change.trace is None:
        return {}
    return {"TraceHeader": text(change.trace.header)}
