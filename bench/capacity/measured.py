"""What was measured: read from the pages that the measurements write, or named here.

A figure that stands here has the command that measures it; run that again where the code has
become faster, or the machine another one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.document import DOCUMENT as BENCHMARKS
from bench.processes_report import DOCUMENT as KUBERNETES

if TYPE_CHECKING:
    from pathlib import Path

_NUMBER: Final = r"\s*([0-9.,]+)\s*"


@dataclass(frozen=True, kw_only=True)
class ProcessCost:
    """One process: what a job costs it, of which so much a piece of its text, and what it holds.

    `asked_cores` and `asked_gib` are its manifest's requests, which is what one pays for.
    """

    job_seconds: float
    piece_seconds: float
    idle_cores: float
    asked_cores: float
    asked_gib: float

    def seconds(self, pieces: float) -> float:
        """Give the processor's time for a job whose answer comes in so many pieces."""
        return self.job_seconds + pieces * self.piece_seconds


@dataclass(frozen=True, kw_only=True)
class Costs:
    """All that a plan stands on."""

    web: ProcessCost
    worker: ProcessCost
    feed: ProcessCost
    socket_bytes: float
    redis_job_seconds: float
    redis_piece_seconds: float
    event_bytes: float  # of Redis' memory, in a job's log


# Of a job of 300 pieces, the part that is the pieces': what the same measurement says of 30 pieces
# over as many seconds (16, 18 and 3 ms) subtracted from it (26, 33 and 3 ms), a ninth more.
# `python -m bench.processes --jobs 300 --seconds 30 --tokens 30 --idle 5 --rounds 2`
PIECES_PART: Final = {"web": 0.43, "worker": 0.51, "feed": 0.0}
# `make capacity-check`, which prints them as its own
REDIS_JOB_SECONDS: Final = 0.0032
REDIS_PIECE_SECONDS: Final = 7e-6
EVENT_BYTES: Final = 120.0


def read_costs(kubernetes: Path = KUBERNETES, benchmarks: Path = BENCHMARKS) -> Costs:
    """Read what the measurements wrote. Raises ValueError, naming what is missing."""
    text = kubernetes.read_text()
    [pieces] = _figures(text, r"each a stream of" + _NUMBER + "pieces")
    costs = {name: _process(text, name, pieces) for name in PIECES_PART}
    row = r"\| memory a socket \(KB\) \|" + _NUMBER
    [socket] = _figures(benchmarks.read_text(), row)
    return Costs(
        web=costs["web"],
        worker=costs["worker"],
        feed=costs["feed"],
        socket_bytes=socket * 1024,
        redis_job_seconds=REDIS_JOB_SECONDS,
        redis_piece_seconds=REDIS_PIECE_SECONDS,
        event_bytes=EVENT_BYTES,
    )


def _process(text: str, name: str, pieces: float) -> ProcessCost:
    measured = rf"\| {name} \|" + _NUMBER + r"MiB \|" + _NUMBER + r"MiB \|" + _NUMBER + r"m \|"
    measured += _NUMBER + r"m \|" + _NUMBER + "ms"
    _, _, idle, _, job = _figures(text, measured)
    cores, memory = _figures(text, rf"\| {name} \|" + _NUMBER + r"m \|" + _NUMBER + "Mi ")
    of_pieces = PIECES_PART[name] * job / 1000
    return ProcessCost(
        job_seconds=job / 1000 - of_pieces,
        piece_seconds=of_pieces / pieces,
        idle_cores=idle / 1000,
        asked_cores=cores / 1000,
        asked_gib=memory / 1024,
    )


def _figures(text: str, pattern: str) -> list[float]:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"no measurement says {pattern!r} any more")
    return [float(figure.replace(",", "")) for figure in found.groups()]
