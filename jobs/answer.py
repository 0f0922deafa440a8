"""The paid answer: what a call gave, until the job's outcome is written; and the ports to keep it.

See docs/decisions/0011-a-paid-answer-is-kept.md.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol, Self

from jobs.trace import TraceId

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobs.job import JobId


@dataclass(frozen=True, kw_only=True, slots=True)
class PaidAnswer:
    """The model's whole text; `usage` is input and output tokens, `raw` a native answer's JSON.

    `trace_id` is its job's, for who tells of it; an older worker's has none.

    Attempts go on counting over redrives, so job and attempt name one call for ever.
    """

    job: JobId
    attempt: int
    text: str
    usage: tuple[int, int] | None
    stop_reason: str | None
    raw: str | None = None
    trace_id: TraceId | None = None

    def to_json(self) -> str:
        """Write the form in which it is kept: in ASCII, so that any text survives any store."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, *, job: JobId, attempt: int) -> Self:
        """Read what `to_json` wrote of this call. Raises ValueError for anything else."""
        fields = json.loads(text)
        match fields:
            case {
                "job": str(its_job),
                "attempt": int(its_attempt),
                "text": str(said),
                "usage": [int(), int()] | None as usage,
                "stop_reason": str() | None as stop_reason,
            } if (its_job, its_attempt) == (job, attempt):
                return cls(
                    job=job,
                    attempt=attempt,
                    text=said,
                    usage=None if usage is None else (usage[0], usage[1]),
                    stop_reason=stop_reason,
                    raw=_text_in(fields, "raw"),
                    trace_id=_trace_id_in(fields),
                )
        raise ValueError(f"not the answer of attempt {attempt} of job {job}")


def _text_in(fields: Mapping[str, object], name: str) -> str | None:
    """Read what answers have not had from the beginning."""
    match fields.get(name):
        case str() | None as text:
            return text
    raise ValueError(f"{name} is no text")


def _trace_id_in(fields: Mapping[str, object]) -> TraceId | None:
    text = _text_in(fields, "trace_id")
    return None if text is None else TraceId(text)


class KeptAnswers(Protocol):
    """Where a paid answer is kept while it cannot be written; it outlives the worker there."""

    def keep(self, answer: PaidAnswer) -> None:
        """Keep an answer whole, or not at all; keeping it again changes nothing."""

    def find(self, job_id: JobId, attempt: int) -> PaidAnswer | None:
        """Find the answer of one call, equal to what was kept.

        What cannot be read, or is another call's, is passed over with a warning.
        """

    def forget(self, answer: PaidAnswer) -> None:
        """Keep an answer no longer; one that is not there is forgotten already."""


class LeftAnswers(Protocol):
    """The answers in a worker's own spool, where only workers of the same machine find them."""

    def find_left(self) -> Iterator[PaidAnswer]:
        """Give each answer that is there, whoever kept it."""

    def forget(self, answer: PaidAnswer) -> None:
        """Keep an answer no longer."""
