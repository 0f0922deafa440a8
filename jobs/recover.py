"""Recover: end a job with an answer that an earlier worker paid for and could not write."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from jobs.errors import DeadlinePassed, HandedOver
from jobs.sketch import sketch
from jobs.timeline import StepName, unended_calls

if TYPE_CHECKING:
    from jobs.answer import PaidAnswer
    from jobs.running import Run


def recover(run: Run) -> PaidAnswer | None:
    """Find the answer of a call in this round whose end the row does not know; tell its text.

    What is found is written even by a worker that drains, or past the job's time: it is paid for.
    Watchers were told that the text so far is void, so they are told the whole of it.
    """
    if (answer := _find(run)) is None:
        return None
    with suppress(DeadlinePassed, HandedOver):
        run.lease.check()
    run.hold(answer, is_kept=True)
    kept = f"the answer of attempt {answer.attempt} was kept while it could not be written"
    run.note(StepName.RECOVERED, detail=kept)
    run.parts.log.info("answer_recovered", of_attempt=answer.attempt, **run.keys)
    run.narrator.tell_delta(answer.text)
    run.narrator.flush()
    return answer


def _find(run: Run) -> PaidAnswer | None:
    """Look for an answer, the latest call's first, while a part that is away is waited for.

    When patience is over the job goes on as if there were none: claims that only look would use
    up its attempts.
    """
    job, find = run.claim.job, run.parts.kept.find
    try:
        for attempt in reversed(unended_calls(job.timeline)):
            look = partial(find, job.id, attempt)
            if (answer := run.patiently(look, waiting="recovery_waits")) is not None:
                return answer
    except Exception as error:  # noqa: BLE001 - whatever broke, the job goes on
        run.parts.log.warning("recovery_given_up", reason=sketch(error), **run.keys)
    return None
