"""Clocks: the wall clock of a running process, set forward and back by libfaketime.

It is preloaded, so the product has no hook for it. Only the wall clock is set: the monotonic one
goes on, as the kernel's does when someone sets a machine's time.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

SEEN_WITHIN = 1.0  # seconds: a process reads the file again once a second
LIBRARY = "libfaketime.so.1"


@dataclass(frozen=True, kw_only=True)
class ProcessClock:
    """One process's clock; `path` says by how many seconds it is off."""

    path: Path

    @property
    def environ(self) -> Mapping[str, str]:
        """What a process must be started with."""
        return {
            "LD_PRELOAD": str(_library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.path),
            "FAKETIME_CACHE_DURATION": f"{SEEN_WITHIN:g}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            # Its own choice for glibc 2.30 and later spoils timed waits by the monotonic clock, of
            # which CPython's switch between threads is one: 25 times slower, measured.
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }

    def step_to(self, seconds: int) -> None:
        """Set it to so many seconds before or after the true time."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self.path)  # whole, or not at all, for a process that reads it now


def is_steppable(pid: int) -> bool:
    """Tell whether a process runs with the library."""
    return LIBRARY in Path(f"/proc/{pid}/maps").read_text()


def _library() -> Path:
    spec = find_spec("libfaketime")
    assert spec is not None, "libfaketime is not installed"
    assert spec.origin is not None
    return Path(spec.origin).parent / "vendor" / "libfaketime" / "src" / LIBRARY
