"""Plan: which pages go into which call, where they are too many for one. Pure.

The same documents and limits make the same plan, so planning again after a crash finds
the parts that are there.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobs.division import PlanId
from jobs.errors import DocumentRefused
from jobs.job import CROCKFORD, JobId
from jobs.pages import cut, range_of, tell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.pages import Page

MOST_PARTS = 64  # unless an operator says otherwise
FRAME_TOKENS = 400  # what our own words around a question and its pages take
_LEAST_INPUT = 500  # tokens of pages that a call must have room for
_LEAST_ANSWER = 100  # tokens; less says nothing of a part
_LABEL_TOKENS = 100  # what an answer's place among the others takes in the reduction
_DIGITS = 26


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedPart:
    """One call of several: its number, from 1, which pages it is about, and their text."""

    number: int
    pages: str
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How a job is divided; `answer_tokens` is how long each part's answer may get."""

    id: PlanId
    parts: tuple[PlannedPart, ...]
    answer_tokens: int


def plan_parts(pages: Sequence[Page], *, most: int, answer_tokens: int, most_parts: int) -> Plan:
    """Divide pages into parts of at most `most` tokens.

    The parts' answers together have no more than that either: the reduction reads all at once.
    Raises DocumentRefused where that cannot be.
    """
    if most < _LEAST_INPUT:
        raise _too_large("the prompt and its answer leave no room for documents")
    groups = _group([piece for page in pages for piece in cut(page, most)], most)
    answer_tokens = min(answer_tokens, most // len(groups) - _LABEL_TOKENS)
    if len(groups) > most_parts or answer_tokens < _LEAST_ANSWER:
        raise _too_large(
            f"the documents would take {len(groups)} calls of some {most:,} tokens;"
            f" {most_parts} are made here, and their answers must fit in one"
        )
    parts = tuple(
        PlannedPart(number=number, pages=range_of(group), text=tell(group))
        for number, group in enumerate(groups, start=1)
    )
    return Plan(id=_name(parts, answer_tokens), parts=parts, answer_tokens=answer_tokens)


def part_id(job: JobId, plan: PlanId, number: int) -> JobId:
    """Give a part's id, which follows from its job's: what is planned twice is added once."""
    digest = int.from_bytes(hashlib.sha256(f"{job}/{plan}/{number}".encode()).digest())
    digits = [CROCKFORD[(digest >> 5 * place) & 31] for place in range(_DIGITS)]
    return JobId("job_" + "".join(digits))


def _group(pages: Sequence[Page], most: int) -> list[list[Page]]:
    """Fill as few parts as can be, and all of them about alike."""
    fewest = _fill(pages, most, into=1)
    return _fill(pages, most, into=len(fewest))


def _fill(pages: Sequence[Page], most: int, *, into: int) -> list[list[Page]]:
    """Fill groups in order, each with its even share of what is left, and none above `most`."""
    groups: list[list[Page]] = [[]]
    left, size = sum(page.tokens for page in pages), 0
    for page in pages:
        is_full = size + page.tokens > most or size + page.tokens / 2 > left / into
        if is_full and groups[-1]:
            groups.append([])
            left, into, size = left - size, max(1, into - 1), 0
        groups[-1].append(page)
        size += page.tokens
    return groups


def _name(parts: Sequence[PlannedPart], answer_tokens: int) -> PlanId:
    digest = hashlib.sha256(f"{answer_tokens}".encode())
    for part in parts:
        digest.update(f"\0{part.pages}\0{part.text}".encode())
    return PlanId(digest.hexdigest()[:16])


def _too_large(message: str) -> DocumentRefused:
    return DocumentRefused(message, reason="document_exceeds_context")
