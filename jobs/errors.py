"""The errors a use case may meet.

LonghaulError                 code and message, fit to be shown to a caller
├── InvalidRequest            what was sent cannot become a job; names the field
├── PayloadTooLarge           what was sent is larger than this deployment accepts
├── Unauthenticated           no credential, or one that nobody knows
├── Forbidden                 the credential is known and does not reach so far
├── RateLimited               the user calls more often than they may; later they may again
├── TooManyJobs               the user has as many jobs in flight as they may
├── JobNotFound               no such job, or not this caller's
├── JobExists                 a row with this id is already there
├── KeyReused                 an idempotency key came with another body than before
├── JobNotEnded               its result was asked for before its end
├── NoResult                  it ended without a result
├── NotRedrivable             only a job that failed, expired or was cancelled can be redriven
├── JobMoved                  the row is no longer as the writer read it; read again and decide
├── DeliveryNotFound          no such announcement of this job
├── DeliveryMoved             a delivery was taken or replayed by another meanwhile
├── ClaimLost                 the row has moved on: this claim may neither pay nor write
├── DeadlinePassed            the job's time to finish is over while it runs
├── HandedOver                this worker drains: another is to go on with the job
├── DocumentRefused           a document cannot be read: encrypted, broken, a bomb, without text
├── ModelError                the model refused, failed or broke off
├── RecordUnreadable          a change record or a row that is not one of ours
├── LeaseLost                 another feed has taken the shard
├── PositionLost              the change stream no longer has the place a reader names
├── Unavailable               a part cannot be reached now; the same call may work later
└── Misconfigured             settings or resources do not fit; an operator must act

Adapters raise them from the vendor's; process tops catch them. HTTP statuses live in web/.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta

    from jobs.job import JobId, JobStatus
    from jobs.rate import Allowance

MODEL_THROTTLED: Final = "model_throttled"  # the error code that a limiter learns from


class LonghaulError(Exception):
    """The root; `code` is stable and for programs, the text is for people."""

    code: ClassVar[str] = "internal_error"


@dataclass(frozen=True, kw_only=True)
class FieldProblem:
    """One thing wrong with one field; `field` is its path, such as `messages.0.role`."""

    field: str
    detail: str


class InvalidRequest(LonghaulError):
    """What was sent cannot become a job."""

    code = "invalid_request"

    def __init__(self, message: str, *, problems: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class PayloadTooLarge(LonghaulError):
    """What was sent is larger than this deployment accepts."""

    code = "payload_too_large"


class Unauthenticated(LonghaulError):
    """No credential was sent, or one that nobody knows."""

    code = "unauthenticated"


class Forbidden(LonghaulError):
    """The credential is known, but lacks the scope that the call needs."""

    code = "forbidden"

    def __init__(self, message: str, *, scope: str) -> None:
        super().__init__(message)
        self.scope = scope


class RateLimited(LonghaulError):
    """The user calls more often than they may; `retry_in` is when the next call is in order.

    `allowances` say what is left of each quota.
    """

    code = "rate_limited"

    def __init__(
        self, message: str, *, retry_in: timedelta, allowances: Sequence[Allowance] = ()
    ) -> None:
        super().__init__(message)
        self.retry_in = retry_in
        self.allowances = allowances


class TooManyJobs(LonghaulError):
    """The user has as many jobs in flight as they may."""

    code = "too_many_jobs_in_flight"


class JobNotFound(LonghaulError):
    """There is no such job for this caller."""

    code = "job_not_found"


class JobExists(LonghaulError):
    """A row with this id is already there."""

    code = "job_exists"


class KeyReused(LonghaulError):
    """An idempotency key came with another body than before."""

    code = "idempotency_key_reused"


class JobNotEnded(LonghaulError):
    """The result was asked for before the job's end."""

    code = "job_not_ended"


class NoResult(LonghaulError):
    """The job ended, but not with a result."""

    code = "no_result"


class NotRedrivable(LonghaulError):
    """Only a job that failed, expired or was cancelled can be redriven."""

    code = "not_redrivable"


class JobMoved(LonghaulError):
    """The row is no longer as the writer read it."""

    code = "job_moved"


class DeliveryNotFound(LonghaulError):
    """The job has no such announcement."""

    code = "delivery_not_found"


class DeliveryMoved(LonghaulError):
    """A delivery was taken or replayed by another: whoever tried it may not write any more."""

    code = "delivery_moved"


class DeadlinePassed(LonghaulError):
    """The job's time to finish is over while it runs."""

    code = "run_timeout"


class DocumentRefused(LonghaulError):
    """A document cannot be read; `reason` is the job's error code, such as document_encrypted."""

    code = "document_refused"

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class HandedOver(LonghaulError):
    """This worker drains: another is to go on with the job."""

    code = "handed_over"


class ClaimLost(LonghaulError):
    """The row has moved on: whoever held this claim may neither pay nor write any more.

    `status` is the row's, where there is one.
    """

    code = "claim_lost"

    def __init__(self, message: str, *, status: JobStatus | None = None) -> None:
        super().__init__(message)
        self.status = status


class ModelError(LonghaulError):
    """The model refused, failed or broke off.

    `name` is what a retry policy's `ErrorEquals` compares, in Step Functions' words
    (`Bedrock.ThrottlingException`, `States.Timeout`); `error_code` is what a caller reads.
    `may_be_paid` says that the call may have been paid although it gave no answer.
    """

    code = "model_error"

    def __init__(
        self,
        message: str,
        *,
        name: str,
        error_code: str,
        retryable: bool,
        may_be_paid: bool = False,
    ) -> None:
        super().__init__(message)
        self.name = name
        self.error_code = error_code
        self.retryable = retryable
        self.may_be_paid = may_be_paid


@dataclass(frozen=True, kw_only=True, slots=True)
class UnreadRecord:
    """What can be told of a change record that cannot be read; `raw` is all of it, as JSON."""

    raw: str = "{}"
    sequence_number: str | None = None
    event_id: str | None = None
    job_id: JobId | None = None
    at: datetime | None = None


class RecordUnreadable(LonghaulError):
    """A change record that cannot be one of our rows, or a row that cannot be."""

    code = "record_unreadable"

    def __init__(self, message: str, *, record: UnreadRecord | None = None) -> None:
        super().__init__(message)
        self.record = record or UnreadRecord()


class LeaseLost(LonghaulError):
    """Another feed has taken the shard."""

    code = "lease_lost"


class PositionLost(LonghaulError):
    """The change stream no longer has the place that a reader names."""

    code = "position_lost"


class Unavailable(LonghaulError):
    """A part cannot be reached now; `part` is which: store, stream, objects, broker, events."""

    code = "unavailable"

    def __init__(self, part: str, message: str) -> None:
        super().__init__(f"{part}: {message}")
        self.part = part


class Misconfigured(LonghaulError):
    """Settings or resources do not fit together; an operator must act."""

    code = "misconfigured"
