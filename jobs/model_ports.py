"""What a run needs of the model, in its own words: one call, its text as it comes, its end.

tests/contracts holds the implementations to the promises.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from jobs.job import InferenceConfig, JobId, ModelId
    from jobs.prompt import Prompt
    from jobs.trace import Trace


class Answering(Protocol):
    """A call to the model that has begun: read its text, then ask how it ended."""

    def read(self, take: Callable[[str], object]) -> None:
        """Hand the text to `take` piece by piece as it comes, and return at its end.

        `take` may run in another thread, which others wait for; never two at a time, and never
        after this has returned. What it raises ends the reading. Raises ModelError.
        """

    def close(self) -> None:
        """Break the call off; callable from another thread and more than once."""

    @property
    def usage(self) -> tuple[int, int] | None:
        """Input and output tokens, once the text has ended."""

    @property
    def stop_reason(self) -> str | None:
        """Why the text ended, once it has."""

    @property
    def raw(self) -> str | None:
        """The answer's own JSON, once it has ended, where the call's body was native."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Invocation:
    """One attempt's call: what is asked, and for which job."""

    job: JobId
    attempt: int
    model: ModelId
    prompt: Prompt
    inference: InferenceConfig
    trace: Trace


class Model(Protocol):
    """Amazon Bedrock."""

    def invoke(self, invocation: Invocation) -> AbstractContextManager[Answering]:
        """Call the model once; never a second time by itself. Raises ModelError."""
