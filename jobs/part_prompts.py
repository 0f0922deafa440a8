"""What is asked where documents are too long for one call: of a part, and of all their answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.plan import Plan, PlannedPart
    from jobs.prompt import Prompt

_WORDS_A_TOKEN = 0.6  # on the low side: an answer that stops in mid-sentence has lost something


@dataclass(frozen=True, kw_only=True, slots=True)
class PartAnswer:
    """What a part said of its pages."""

    pages: str
    text: str


def about_part(question: Prompt, part: PlannedPart, plan: Plan) -> Prompt:
    """Ask one part's question, which is the whole question about its pages alone."""
    words = int(plan.answer_tokens * _WORDS_A_TOKEN)
    frame = (
        f"The documents are too long for one reading. This is part {part.number} of"
        f" {len(plan.parts)}: {part.pages}. Each page begins with its number in square brackets."
        "\n\n"
        f"<part>\n{part.text}\n</part>\n\n"
        "Someone else will put the answers to all parts together. Answer the question below as"
        " far as this part tells, and say nothing of what it does not tell. After each statement"
        " give the page it is from, in its square brackets, as it stands in the text."
        f" Write {words} words at most. The question:"
    )
    return question.about(frame)


def about_answers(question: Prompt, answers: Sequence[PartAnswer]) -> Prompt:
    """Ask for one answer out of the parts'."""
    told = "\n\n".join(
        f"<notes number={number} of={len(answers)} about={answer.pages!r}>\n{answer.text}\n</notes>"
        for number, answer in enumerate(answers, start=1)
    )
    frame = (
        "The documents were too long for one reading. These are the notes on all of their parts,"
        " in order; page numbers stand in square brackets.\n\n"
        f"{told}\n\n"
        "Answer the question below from these notes alone, as one answer to the whole. Keep the"
        " page references in their square brackets, and add none. The question:"
    )
    return question.about(frame)
