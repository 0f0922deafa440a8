"""When to call the model again: Amazon States Language's `Retry`, as a pure function.

https://states-language.net/#errors and
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
A retrier's `MaxAttempts` counts retries, so 4 means five calls at most. The first retrier whose
`ErrorEquals` matches decides alone, and each retrier counts its own retries.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Self

from jobs.errors import Misconfigured

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.errors import ModelError

ALL_ERRORS = "States.ALL"
_TASK_FAILED = "States.TaskFailed"
_TIMEOUT = "States.Timeout"
_LONGEST = timedelta(days=366)  # MaxDelaySeconds must be less than 31,622,400


class JitterStrategy(StrEnum):
    """`FULL` draws each delay evenly between nothing and the delay; `NONE` takes it as it is."""

    NONE = "NONE"
    FULL = "FULL"


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrier:
    """One entry of ASL's `Retry` list; the defaults are ASL's own."""

    error_equals: tuple[str, ...]
    interval: timedelta = timedelta(seconds=1)
    max_attempts: int = 3
    backoff_rate: float = 2.0
    max_delay: timedelta | None = None
    jitter: JitterStrategy = JitterStrategy.NONE

    def matches(self, error_name: str) -> bool:
        """Tell whether `ErrorEquals` names this error, with ASL's two wildcards."""
        if error_name in self.error_equals or ALL_ERRORS in self.error_equals:
            return True
        return _TASK_FAILED in self.error_equals and error_name != _TIMEOUT

    def delay(self, retry: int, *, jitter: float) -> timedelta:
        """Give the wait before retry number `retry` (1 is the first); `jitter` is in [0, 1)."""
        ceiling = self.max_delay or _LONGEST
        exponent = (retry - 1) * math.log(self.backoff_rate)
        growth = math.exp(min(exponent, 50))  # e**50 s is far above any ceiling
        delay = min(timedelta(seconds=min(self.interval.total_seconds() * growth, 4e7)), ceiling)
        return delay * jitter if self.jitter is JitterStrategy.FULL else delay


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryAfter:
    """Call again after `delay`; `counts` are the retriers' counters with this retry in them."""

    delay: timedelta
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class GiveUp:
    """Do not call again; `reason` is for the log."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """ASL's `Retry` list."""

    retriers: tuple[Retrier, ...]

    @property
    def max_calls(self) -> int:
        """The most calls a job can cost under this policy: the first and every retry."""
        return 1 + sum(retrier.max_attempts for retrier in self.retriers)

    def after(
        self, error: ModelError, *, counts: tuple[int, ...], jitter: float
    ) -> RetryAfter | GiveUp:
        """Decide what follows `error`.

        `counts` are the retries so far, one number a retrier (missing ones are 0); `jitter` is a
        random number in [0, 1).
        """
        for index, retrier in enumerate(self.retriers):
            if not retrier.matches(error.name):
                continue
            so_far = counts[index] if index < len(counts) else 0
            if so_far >= retrier.max_attempts:
                return GiveUp(reason=f"{error.name}: all {so_far} retries are used up")
            padded = [*counts, *[0] * (len(self.retriers) - len(counts))]
            padded[index] = so_far + 1
            return RetryAfter(delay=retrier.delay(so_far + 1, jitter=jitter), counts=tuple(padded))
        return GiveUp(reason=f"{error.name}: no retrier names it")

    @classmethod
    def from_asl(cls, retry: object) -> Self:
        """Read the list that stands behind `"Retry":` in a state machine.

        Raises Misconfigured, naming the entry and the field.
        """
        if not isinstance(retry, list):
            raise Misconfigured('the retry policy must be a JSON list, as behind ASL\'s "Retry"')
        retriers = tuple(_read_retrier(entry, f"Retry[{i}]") for i, entry in enumerate(retry))
        for index, retrier in enumerate(retriers):
            if ALL_ERRORS in retrier.error_equals and (
                len(retrier.error_equals) > 1 or index < len(retriers) - 1
            ):
                raise Misconfigured(
                    f"Retry[{index}].ErrorEquals: {ALL_ERRORS} must stand alone, in the last entry"
                )
        return cls(retriers=retriers)


# The pattern's own block: throttling and internal errors. Each of these is a definite refusal,
# except the last, where part of an answer came and the whole of it is asked for anew.
DEFAULT_POLICY = RetryPolicy(
    retriers=(
        Retrier(
            error_equals=(
                "Bedrock.ThrottlingException",
                "Bedrock.ModelNotReadyException",
                "Bedrock.ServiceUnavailableException",
                "Bedrock.InternalServerException",
                "Bedrock.ModelStreamErrorException",
            ),
            interval=timedelta(seconds=3),
            max_attempts=4,
            backoff_rate=2.0,
        ),
    )
)

_FIELDS = {
    "ErrorEquals",
    "IntervalSeconds",
    "MaxAttempts",
    "BackoffRate",
    "MaxDelaySeconds",
    "JitterStrategy",
    "Comment",
}


def _read_retrier(entry: object, where: str) -> Retrier:
    if not isinstance(entry, dict):
        raise Misconfigured(f"{where} must be a JSON object")
    if unknown := sorted(set(entry) - _FIELDS):
        raise Misconfigured(f"{where}.{unknown[0]}: ASL's Retry has no such field")
    strategy = entry.get("JitterStrategy", "NONE")
    if strategy not in list(JitterStrategy):
        raise Misconfigured(f"{where}.JitterStrategy must be NONE or FULL")
    interval = _read_number(entry, "IntervalSeconds", where, default=1, least=1, whole=True)
    most = _read_number(entry, "MaxDelaySeconds", where, default=0, least=1, whole=True)
    if most >= _LONGEST.total_seconds():
        raise Misconfigured(f"{where}.MaxDelaySeconds must be below 31622400")
    return Retrier(
        error_equals=_read_names(entry.get("ErrorEquals"), where),
        interval=timedelta(seconds=interval),
        max_attempts=int(_read_number(entry, "MaxAttempts", where, default=3, least=0, whole=True)),
        backoff_rate=_read_number(entry, "BackoffRate", where, default=2.0, least=1.0),
        max_delay=timedelta(seconds=most) if "MaxDelaySeconds" in entry else None,
        jitter=JitterStrategy(strategy),
    )


def _read_names(names: object, where: str) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise Misconfigured(f"{where}.ErrorEquals must be a list of error names, at least one")
    return tuple(_canonical(name) for name in names)


def _canonical(name: str) -> str:
    """Take the names under which Step Functions' integrations report the same Bedrock error."""
    return name.replace("BedrockRuntime.", "Bedrock.", 1)


def _read_number(  # noqa: PLR0913 - one number's whole rule, read by name at four places
    entry: Mapping[str, object],
    field: str,
    where: str,
    *,
    default: float,
    least: float,
    whole: bool = False,
) -> float:
    if field not in entry:
        return default
    value = entry[field]
    fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not fits or not isinstance(value, int | float):
        raise Misconfigured(f"{where}.{field} must be a {'whole ' if whole else ''}number")
    if not least <= value <= 99_999_999:  # noqa: PLR2004 - the largest number ASL allows here
        raise Misconfigured(f"{where}.{field} must be from {least:g} to 99999999")
    return float(value)
