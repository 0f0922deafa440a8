"""When each chunk of an answer is due: a pure schedule, so that pace never drifts."""

import math
from dataclasses import dataclass

from deploy.local.bedrock.answer import Answer
from deploy.local.bedrock.faults import Faults

# Above this many chunks a second, several tokens share one.
_MOST_CHUNKS_PER_SECOND = 200


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The pace of answers; seconds."""

    first_token_s: float
    tokens_per_second: float


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """The chunks of an answer, and when each is due.

    The first comes `first_token_s` after the request, chunk `i` another `i * interval_s` later. The
    answer ends `lasts_s` after its first token.
    """

    first_token_s: float
    chunks: tuple[str, ...]
    tokens_per_chunk: int
    interval_s: float
    lasts_s: float


def schedule_answer(answer: Answer, pace: Pace, faults: Faults) -> Schedule:
    """Return when to send what. Faults override the pace."""
    first = pace.first_token_s if faults.first_token_s is None else faults.first_token_s
    count = answer.output_tokens
    token_s = 1 / (faults.tokens_per_second or pace.tokens_per_second)
    if faults.duration_s is not None:
        token_s = faults.duration_s / max(1, count - 1)
    per_chunk = _tokens_per_chunk(token_s, count)
    return Schedule(
        first_token_s=first,
        chunks=_group(answer.tokens, per_chunk),
        tokens_per_chunk=per_chunk,
        interval_s=token_s * per_chunk,
        lasts_s=faults.duration_s if faults.duration_s is not None else token_s * max(0, count - 1),
    )


def _tokens_per_chunk(token_s: float, count: int) -> int:
    if token_s * _MOST_CHUNKS_PER_SECOND >= 1:
        return 1
    if token_s == 0:
        return max(1, count)
    return math.ceil(1 / (token_s * _MOST_CHUNKS_PER_SECOND))


def _group(tokens: tuple[str, ...], size: int) -> tuple[str, ...]:
    if size == 1:
        return tokens
    return tuple("".join(tokens[at : at + size]) for at in range(0, len(tokens), size))
