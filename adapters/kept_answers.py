"""Where paid answers are kept: in the object store, or on this machine when that is away, too.

See docs/decisions/0011-a-paid-answer-is-kept.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapters.schema import ANSWERS
from jobs.answer import PaidAnswer
from jobs.errors import Misconfigured, NoResult, Unavailable
from jobs.job import ObjectKey

if TYPE_CHECKING:
    from adapters.spool import AnswerSpool
    from jobs.answer import KeptAnswers
    from jobs.job import JobId
    from jobs.ports import Log, ObjectStore


@dataclass(frozen=True, kw_only=True)
class AnswersInObjects:
    """jobs.answer.KeptAnswers, each an object under a prefix that expires."""

    objects: ObjectStore
    log: Log

    def keep(self, answer: PaidAnswer) -> None:
        """Put the answer."""
        key = _key(answer.job, answer.attempt)
        self.objects.put(key, answer.to_json(), content_type="application/json")

    def find(self, job_id: JobId, attempt: int) -> PaidAnswer | None:
        """Get the answer, if it is there and is this call's."""
        try:
            kept = self.objects.get(_key(job_id, attempt))
        except NoResult:
            return None
        try:
            return PaidAnswer.from_json(kept, job=job_id, attempt=attempt)
        except ValueError:
            self.log.warning("answer_unreadable", job_id=job_id, of_attempt=attempt, where="S3")
            return None

    def forget(self, answer: PaidAnswer) -> None:
        """Delete the object."""
        self.objects.delete(_key(answer.job, answer.attempt))


@dataclass(frozen=True, kw_only=True)
class AnswersInEither:
    """jobs.answer.KeptAnswers in the object store, or in the spool while that is away."""

    home: KeptAnswers
    spool: AnswerSpool

    def keep(self, answer: PaidAnswer) -> None:
        """Keep it where every worker finds it, or else where it outlives this process."""
        try:
            self.home.keep(answer)
        except (Unavailable, Misconfigured):
            self.spool.keep(answer)

    def find(self, job_id: JobId, attempt: int) -> PaidAnswer | None:
        """Look on this machine, then in the object store."""
        return self.spool.find(job_id, attempt) or self.home.find(job_id, attempt)

    def forget(self, answer: PaidAnswer) -> None:
        """Forget it here and there: it may have been brought home meanwhile."""
        self.spool.forget(answer)
        self.home.forget(answer)


def _key(job_id: JobId, attempt: int) -> ObjectKey:
    return ObjectKey(f"{ANSWERS}/{job_id}/{attempt}.json")
