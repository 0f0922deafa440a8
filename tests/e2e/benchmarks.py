"""Running a benchmark with little to do, for the test that each has."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deploy.local.environment import REPO_ROOT
from tests.stack import clean_environ

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a run has written: its figures, its document, and a folder of pictures."""

    figures: dict[str, Any]
    document: str
    pictures: Path


def run_small(name: str, *flags: str, folder: Path) -> Written:
    """Run a benchmark to its end, which must be a good one."""
    document, raw = folder / "benchmarks.md", folder / "raw"
    places = ("--document", str(document), "--raw", str(raw))
    done = run(f"bench.{name}", *flags, *places)
    assert done.returncode == 0, done.stderr
    return Written(
        figures=json.loads((raw / f"{name}.json").read_text()),
        document=document.read_text(),
        pictures=document.with_suffix(""),
    )


def run(module: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run one of our commands."""
    return subprocess.run(  # noqa: S603 - as said
        [sys.executable, "-m", module, *flags],
        cwd=REPO_ROOT,
        env=clean_environ(),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
