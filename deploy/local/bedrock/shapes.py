"""What every wire shape of an answer has in common."""

import json
from dataclasses import dataclass
from typing import Protocol

from deploy.local.bedrock.answer import Answer


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long an answer took, in milliseconds since the request came."""

    first_token_ms: int
    total_ms: int


class AnswerShape(Protocol):
    """How one operation writes an answer: whole as JSON, or as event-stream frames."""

    def whole(self, answer: Answer, timing: Timing) -> bytes:
        """Return the body of an answer that is sent at once."""
        ...

    def opening(self, answer: Answer) -> bytes:
        """Return the frames before the first text; may be empty."""
        ...

    def delta(self, text: str) -> bytes:
        """Return the frame of the next piece of text."""
        ...

    def closing(self, answer: Answer, timing: Timing) -> bytes:
        """Return the frames after the last text."""
        ...


def to_json(document: object) -> bytes:
    """Return compact JSON, without escapes for what UTF-8 can say."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(
        errors="backslashreplace"
    )
