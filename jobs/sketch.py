"""Sketch: what a log line may say of an error.

The text of an error that is not ours may quote what it choked on: botocore quotes a parameter that
does not fit, which may be a prompt. So it is told by its kind and its place, which find it as well.
"""

from __future__ import annotations

from jobs.errors import LonghaulError


def sketch(error: BaseException) -> str:
    """Say which error it is: ours with its words, the system's with its reason, others without."""
    kind = type(error).__name__
    if isinstance(error, LonghaulError):
        return f"{kind}: {error}"
    if isinstance(error, OSError) and error.strerror:
        return f"{kind}: {error.strerror}"
    return f"{kind}{_place_of(error)}"


def _place_of(error: BaseException) -> str:
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return f" in {code.co_name} ({code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})"
