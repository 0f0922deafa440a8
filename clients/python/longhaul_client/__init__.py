"""Longhaul's client: submit generative-AI jobs, watch them, and come back to them.

from longhaul_client import Longhaul

with Longhaul() as client:
job = client.jobs.create(prompt="Why is the sky blue?")
for change in client.jobs.text_stream(job.id):
print(change.added, end="")
"""

from longhaul_client.client import AsyncLonghaul, Longhaul
from longhaul_client.errors import (
    AnswerUnreadable,
    Conflict,
    ConnectionLost,
    FieldProblem,
    Forbidden,
    Invalid,
    JobNotCompleted,
    LonghaulError,
    NotConnected,
    NotFound,
    Problem,
    RateLimited,
    SettingWrong,
    Unauthenticated,
    Unavailable,
    Unreachable,
    UploadRefused,
    WaitOver,
)
from longhaul_client.events import (
    Event,
    JobCancelled,
    JobCompleted,
    JobDelta,
    JobExpired,
    JobFailed,
    JobProgress,
    JobQueued,
    JobRetrying,
    JobStarted,
    StreamGap,
)
from longhaul_client.models import (
    Delivery,
    DeliveryTry,
    Job,
    JobError,
    JobStatus,
    Result,
    Step,
    StepDelivery,
    Timeline,
    Usage,
)
from longhaul_client.retry import Retry
from longhaul_client.text import Text, TextChange

__all__ = [
    "AnswerUnreadable",
    "AsyncLonghaul",
    "Conflict",
    "ConnectionLost",
    "Delivery",
    "DeliveryTry",
    "Event",
    "FieldProblem",
    "Forbidden",
    "Invalid",
    "Job",
    "JobCancelled",
    "JobCompleted",
    "JobDelta",
    "JobError",
    "JobExpired",
    "JobFailed",
    "JobNotCompleted",
    "JobProgress",
    "JobQueued",
    "JobRetrying",
    "JobStarted",
    "JobStatus",
    "Longhaul",
    "LonghaulError",
    "NotConnected",
    "NotFound",
    "Problem",
    "RateLimited",
    "Result",
    "Retry",
    "SettingWrong",
    "Step",
    "StepDelivery",
    "StreamGap",
    "Text",
    "TextChange",
    "Timeline",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "UploadRefused",
    "Usage",
    "WaitOver",
]
