"""Exit statuses: what a script learns without reading a word."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from longhaul_client.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    SettingWrong,
    Unauthenticated,
    Unavailable,
    Unreachable,
    WaitOver,
)
from longhaul_client.models import JobStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from longhaul_client.errors import LonghaulError


class Exit(IntEnum):
    """The command's exit statuses."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    FORBIDDEN = 3
    NOT_FOUND = 4
    CANCELLED = 5
    EXPIRED = 6
    UNREACHABLE = 7
    NOT_ENDED = 8
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS = """\
exit status:
  0    done; of a job that was waited for or watched: it completed
  1    the job failed, or it is not in a state for this
  2    the arguments, the settings or the request are wrong
  3    not authenticated, or not allowed
  4    no such job, or not yours
  5    the job was cancelled
  6    the job expired
  7    the server cannot be reached, or is not available
  8    the job has not ended yet
  130  interrupted; a job that was watched goes on
  141  nobody reads the output any more
"""

_BY_STATUS: Mapping[str, Exit] = {
    JobStatus.COMPLETED: Exit.DONE,
    JobStatus.FAILED: Exit.FAILED,
    JobStatus.CANCELLED: Exit.CANCELLED,
    JobStatus.EXPIRED: Exit.EXPIRED,
}
_BY_ERROR: tuple[tuple[type[LonghaulError], Exit], ...] = (
    (SettingWrong, Exit.USAGE),
    (Invalid, Exit.USAGE),
    (Unauthenticated, Exit.FORBIDDEN),
    (Forbidden, Exit.FORBIDDEN),
    (NotFound, Exit.NOT_FOUND),
    (WaitOver, Exit.NOT_ENDED),
    (Unreachable, Exit.UNREACHABLE),
    (Unavailable, Exit.UNREACHABLE),
    (RateLimited, Exit.UNREACHABLE),
)


def exit_of_status(status: str) -> Exit:
    """Say what a job's status means to who waited for its end."""
    return _BY_STATUS.get(status, Exit.NOT_ENDED)


def exit_of_error(error: LonghaulError) -> Exit:
    """Say what an error means."""
    if isinstance(error, Conflict) and error.code == "job_not_ended":
        return Exit.NOT_ENDED
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), Exit.FAILED)
