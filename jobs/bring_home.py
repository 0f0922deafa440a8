"""Bring home: carry answers that were left on a machine to where every worker finds them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobs.answer import KeptAnswers, LeftAnswers
    from jobs.ports import Log


def bring_home(left: LeftAnswers, home: KeptAnswers, log: Log) -> int:
    """Carry all answers that are left, and count them. Raises Unavailable.

    Whoever kept them may be alive and forget them at this moment: what then comes home late goes
    when its time is over.
    """
    carried = 0
    for answer in left.find_left():
        home.keep(answer)
        left.forget(answer)
        log.info(
            "answer_brought_home",
            job_id=answer.job,
            attempt=answer.attempt,
            trace_id=answer.trace_id,
        )
        carried += 1
    return carried
