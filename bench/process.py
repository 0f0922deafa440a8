"""Processes under measurement: what one holds and what it uses, as Linux counts it."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_TICKS = os.sysconf("SC_CLK_TCK")
_SETTLED = 0.002  # of the whole: two readings that differ by less are one
_LOOK_SECONDS = 1.0
_SETTLES_WITHIN = 20.0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One process, by its pid."""

    pid: int

    @classmethod
    def running(cls, word: str, *, among: Iterable[int]) -> Measured:
        """Find the one process whose command has this word. Raises ValueError: there is none."""
        for pid in among:
            if word in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
                return cls(pid=pid)
        raise ValueError(f"no process runs {word}")

    def memory_bytes(self) -> int:
        """Give its proportional set size: what it holds, and its share of what it shares."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise ValueError("smaps_rollup names no Pss")

    def settled_memory_bytes(self) -> int:
        """Give its memory once that no longer changes, or after 20 seconds."""
        deadline = time.monotonic() + _SETTLES_WITHIN
        before = self.memory_bytes()
        while time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            now = self.memory_bytes()
            if abs(now - before) < now * _SETTLED:
                return now
            before = now
        return before

    def cpu_seconds(self) -> float:
        """Give the processor time that it has used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def waited_seconds(self) -> float:
        """Give how long its first thread could have run so far, and had no core."""
        return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9


def allow_descriptors(wanted: int) -> None:
    """Let this process and those it starts open so many files. Raises SystemExit: they may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise SystemExit(
            f"a process may open {hard} files here and this needs {wanted}:"
            f" raise the limit (ulimit -Hn {wanted}) or ask for fewer at once"
        )
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
