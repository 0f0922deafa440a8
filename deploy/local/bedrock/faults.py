"""Faults on command: what a test tells the stand-in to do wrong, and for which calls of a job.

They come in a prompt, as `<<stand-in: throttle_first=2; tokens=50>>`, or as JSON to
/_stand-in/faults.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deploy.local.bedrock.errors import STREAM_EXCEPTIONS, BedrockError, invalid

_OPEN = "<<stand-in:"
_CLOSE = ">>"
_ERROR_NAME = re.compile(r"[A-Z][A-Za-z]{2,60}Exception")
_MOST_TOKENS = 1_000_000
_STALL_FOR_EVER_S = 3600.0


@dataclass(frozen=True, kw_only=True)
class Faults:
    """One field per key; None means that nobody asked for it. Seconds where the name ends in `_s`.

    `..._first=N` concerns a job's first N calls, `..._after=N` comes after N chunks of the answer
    (or after all of them, when the answer is shorter).
    """

    throttle_first: int | None = None
    internal_error_first: int | None = None
    unavailable_first: int | None = None
    validation_error: str | None = None
    error: str | None = None
    error_first: int | None = None
    stream_error_after: int | None = None
    stream_error: str | None = None
    cut_after: int | None = None
    garble_after: int | None = None
    stall_after: int | None = None
    stall_s: float | None = None
    stream_faults_first: int | None = None
    first_token_s: float | None = None
    duration_s: float | None = None
    tokens_per_second: float | None = None
    tokens: int | None = None
    echo: str | None = None

    def over(self, base: "Faults") -> "Faults":
        """Return `base` with every key that is set here replaced."""
        asked_for = {key: value for key, value in vars(self).items() if value is not None}
        return dataclasses.replace(base, **asked_for)

    def refusal(self, call_number: int) -> BedrockError | None:
        """Return the error to answer the job's call with that number (from 1), if any."""
        if self.validation_error is not None:
            return invalid(self.validation_error)
        for name, first in self._refusals():
            if call_number <= first:
                return BedrockError(name)
        return None

    def in_stream(self, call_number: int) -> "StreamFaults":
        """Return what goes wrong inside the answer to the job's call with that number."""
        if self.stream_faults_first is not None and call_number > self.stream_faults_first:
            return StreamFaults()
        wants_error = self.stream_error is not None or self.stream_error_after is not None
        return StreamFaults(
            error_after=(self.stream_error_after or 0) if wants_error else None,
            error=self.stream_error or "modelStreamErrorException",
            cut_after=self.cut_after,
            garble_after=self.garble_after,
            stall_after=self.stall_after,
            stall_s=_STALL_FOR_EVER_S if self.stall_s is None else self.stall_s,
        )

    def _refusals(self) -> list[tuple[str, float]]:
        every_call = math.inf if self.error is not None else 0
        return [
            ("ThrottlingException", self.throttle_first or 0),
            ("InternalServerException", self.internal_error_first or 0),
            ("ServiceUnavailableException", self.unavailable_first or 0),
            (self.error or "", every_call if self.error_first is None else self.error_first),
        ]


@dataclass(frozen=True, kw_only=True)
class StreamFaults:
    """What goes wrong inside one answer. Counts are chunks; None means it does not."""

    error_after: int | None = None
    error: str = "modelStreamErrorException"
    cut_after: int | None = None
    garble_after: int | None = None
    stall_after: int | None = None
    stall_s: float = _STALL_FOR_EVER_S


def take_directives(text: str) -> tuple[str, Faults]:
    """Return the text without its directives, and what they ask for.

    Raises ValidationException for an unknown key, a bad value or a directive without an end.
    """
    faults, kept, position = Faults(), [], 0
    while (start := text.find(_OPEN, position)) >= 0:
        end = text.find(_CLOSE, start)
        if end < 0:
            raise invalid(f"The directive {_OPEN} in the prompt has no {_CLOSE} at its end.")
        faults = read_faults(_pairs(text[start + len(_OPEN) : end])).over(faults)
        kept.append(text[position:start])
        position = end + len(_CLOSE)
    kept.append(text[position:])
    return ("".join(kept).strip() if position else text), faults


def read_faults(pairs: Mapping[str, object]) -> Faults:
    """Return the faults that key-value pairs ask for.

    Raises ValidationException that names the key which is unknown or has a bad value.
    """
    read: dict[str, object] = {}
    for key, value in pairs.items():
        if key not in _READERS:
            raise invalid(f"Unknown key {key!r} for the stand-in. Keys: {', '.join(_READERS)}.")
        try:
            read[key] = _READERS[key](value)
        except ValueError as error:
            raise invalid(f"Bad value {value!r} of the stand-in's key {key!r}: {error}.") from error
    faults = Faults(**read)  # type: ignore[arg-type]  # each reader returns its field's type
    if faults.error_first is not None and faults.error is None:
        raise invalid("The stand-in's key 'error_first' needs 'error', the name of an exception.")
    return faults


def _pairs(directive: str) -> dict[str, object]:
    pairs: dict[str, object] = {}
    for part in filter(str.strip, directive.split(";")):
        key, equals, value = part.partition("=")
        if not equals:
            raise invalid(f"The stand-in's key {key.strip()!r} has no value; write key=value.")
        pairs[key.strip()] = value.strip()
    return pairs


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("it must be a whole number")  # noqa: TRY004 - as in _seconds below
    if not str(value).isdecimal():
        raise ValueError("it must be a whole number, 0 or more")
    return int(value)


def _token_count(value: object) -> int:
    if not 1 <= (count := _count(value)) <= _MOST_TOKENS:
        raise ValueError(f"it must be from 1 to {_MOST_TOKENS}")
    return count


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("it must be a number")  # noqa: TRY004 - one error type for every bad value
    try:
        seconds = float(value)
    except ValueError:
        raise ValueError("it must be a number") from None
    if not 0 <= seconds < math.inf:
        raise ValueError("it must be a number, 0 or more")
    return seconds


def _rate(value: object) -> float:
    if (rate := _seconds(value)) == 0:
        raise ValueError("it must be above 0")
    return rate


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("it must be a text")
    return value


def _error_name(value: object) -> str:
    if not _ERROR_NAME.fullmatch(_text(value)):
        raise ValueError("it must be the name of an exception, such as ModelTimeoutException")
    return _text(value)


def _stream_error_name(value: object) -> str:
    if value not in STREAM_EXCEPTIONS:
        raise ValueError(f"it must be one of {', '.join(sorted(STREAM_EXCEPTIONS))}")
    return _text(value)


_READERS: Mapping[str, Callable[[object], object]] = {
    "throttle_first": _count,
    "internal_error_first": _count,
    "unavailable_first": _count,
    "validation_error": _text,
    "error": _error_name,
    "error_first": _count,
    "stream_error_after": _count,
    "stream_error": _stream_error_name,
    "cut_after": _count,
    "garble_after": _count,
    "stall_after": _count,
    "stall_s": _seconds,
    "stream_faults_first": _count,
    "first_token_s": _seconds,
    "duration_s": _seconds,
    "tokens_per_second": _rate,
    "tokens": _token_count,
    "echo": _text,
}
