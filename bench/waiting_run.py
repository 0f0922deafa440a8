"""One run: calls begin together, wait for their first token, stream, and end; what that costs."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.waiting_sides import processes
from tests.stack import http

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.movers import Part
    from bench.waiting_sides import Side
    from tests.stack import LocalStack

LOOK_SECONDS = 0.1
SLICES = 3  # the streaming is measured in as many parts
MARGIN_SECONDS = 0.5  # kept from the borders of each phase
BEGINS_WITHIN = 120.0
ENDS_WITHIN = 60.0  # after the last token was due


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One call: how long until its first token, how long it streams, and how many tokens."""

    quiet_seconds: float
    stream_seconds: float
    tokens: int

    @property
    def seconds(self) -> float:
        """How long a call takes by itself."""
        return self.quiet_seconds + self.stream_seconds

    @property
    def prompt(self) -> str:
        """The prompt that asks the stand-in for it."""
        return (
            f"Say it. <<stand-in: first_token_s={self.quiet_seconds:g};"
            f" duration_s={self.stream_seconds:g}; tokens={self.tokens}>>"
        )


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What one run gave; seconds and bytes. `seconds` is a call's own time.

    `slices` are processor seconds a token; there are none where the first had ended before the last
    streamed. `quiet_share` is the share of a core used while all calls waited for their first
    token; None where it was answered before the last had begun. `model_share` is the stand-in's.
    """

    calls: int
    seconds: float
    most_in_flight: int
    makespan: float
    all_begun: float
    memory_before: int
    memory_in_flight: int
    cpu: float
    stand_ins: Mapping[str, float]
    quiet_share: float | None
    stream_share: float | None
    slices: Sequence[float]
    model_share: float | None
    tokens: int


@dataclass(frozen=True, kw_only=True)
class _Reading:
    at: float
    cpu: float
    model_cpu: float
    tokens: int


def warm_up(side: Side, calls: int) -> None:
    """Let a few short calls pass, so that what is loaded at the first call is not measured."""
    side.prepare(calls, Shape(quiet_seconds=0, stream_seconds=0.5, tokens=10).prompt)
    side.begin()
    _wait(lambda: side.ended() >= calls, "the first calls' end", within=BEGINS_WITHIN)


class Run:
    """Measures a side; use once."""

    def __init__(
        self,
        side: Side,
        *,
        stack: LocalStack,
        stand_ins: Sequence[Part],
        calls: int,
        shape: Shape,
    ) -> None:
        self._side = side
        self._stack = stack
        self._stand_ins = stand_ins
        [self._model] = [part for part in stand_ins if part.name == "model"]
        self._calls = calls
        self._shape = shape
        self._processes = processes(side)

    def measure(self) -> Figures:
        """Let all calls begin and take the figures until the last has ended."""
        self._side.prepare(self._calls, self._shape.prompt)
        self._stack.clear_ledger()
        memory_before = self._memory()
        cpu_before = self._cpu()
        stand_ins_before = [part.cpu_seconds() for part in self._stand_ins]
        began_at, wall = time.monotonic(), time.time()
        self._side.begin()
        _wait(lambda: self._begun() >= self._calls, "all have begun", within=BEGINS_WITHIN)
        all_begun = time.monotonic() - began_at
        calls = self._ledger()
        quiet_ends = min(call["started_at"] for call in calls) - wall + self._shape.quiet_seconds
        stream_begins = max(call["started_at"] for call in calls) - wall + self._shape.quiet_seconds
        stream_ends = quiet_ends + self._shape.stream_seconds
        quiet = self._between(began_at + all_begun, began_at + quiet_ends, parts=1)
        first = max(began_at + stream_begins, time.monotonic())
        streams = self._between(first, began_at + stream_ends, parts=SLICES)
        memory_in_flight = self._memory()
        _wait(
            lambda: self._side.ended() >= self._calls,
            "the last end",
            within=self._shape.seconds + ENDS_WITHIN,
        )
        makespan = time.monotonic() - began_at
        return Figures(
            calls=self._calls,
            seconds=self._shape.seconds,
            most_in_flight=self._stack.ledger_summary()["max_in_flight"],
            makespan=makespan,
            all_begun=all_begun,
            memory_before=memory_before,
            memory_in_flight=memory_in_flight,
            cpu=self._cpu() - cpu_before,
            stand_ins={
                part.name: part.cpu_seconds() - before
                for part, before in zip(self._stand_ins, stand_ins_before, strict=True)
            },
            quiet_share=_share(quiet, lambda reading: reading.cpu),
            stream_share=_share(streams, lambda reading: reading.cpu),
            slices=[
                (later.cpu - earlier.cpu) / (later.tokens - earlier.tokens)
                for earlier, later in itertools.pairwise(streams)
                if later.tokens > earlier.tokens
            ],
            model_share=_share(streams, lambda reading: reading.model_cpu),
            tokens=sum(call["output_tokens"] for call in self._ledger()),
        )

    def _between(self, begin: float, end: float, *, parts: int) -> list[_Reading]:
        """Read the costs at the borders of a phase and of its parts; nothing where it is short."""
        begin, end = begin + MARGIN_SECONDS, end - MARGIN_SECONDS
        if end - begin < MARGIN_SECONDS:
            return []
        readings = []
        for part in range(parts + 1):
            at = begin + (end - begin) * part / parts
            time.sleep(max(0.0, at - time.monotonic()))
            readings.append(self._read())
        return readings

    def _read(self) -> _Reading:
        tokens = sum(call["output_tokens"] for call in self._ledger())
        return _Reading(
            at=time.monotonic(),
            cpu=self._cpu(),
            model_cpu=self._model.cpu_seconds(),
            tokens=tokens,
        )

    def _cpu(self) -> float:
        return sum(process.cpu_seconds() for process in self._processes)

    def _memory(self) -> int:
        return sum(process.memory_bytes() for process in self._processes)

    def _begun(self) -> int:
        begun: int = self._stack.ledger_summary()["calls"]
        return begun

    def _ledger(self) -> list[dict[str, Any]]:
        answer = http.get(f"{self._stack.bedrock_url}/_stand-in/calls")
        calls: list[dict[str, Any]] = answer.raise_for_status().json()["calls"]
        return calls


def _share(readings: Sequence[_Reading], read: Callable[[_Reading], float]) -> float | None:
    if not readings:
        return None
    first, last = readings[0], readings[-1]
    return (read(last) - read(first)) / (last.at - first.at)


def _wait(condition: Callable[[], bool], what: str, *, within: float) -> None:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {within:g} s in vain for: {what}")
        time.sleep(LOOK_SECONDS)
