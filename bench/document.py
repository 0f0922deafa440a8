"""docs/benchmarks.md: each benchmark writes its own section and leaves the others alone."""

from __future__ import annotations

import os
import platform
import re
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from deploy.local.environment import REPO_ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

DOCUMENT: Final = REPO_ROOT / "docs" / "benchmarks.md"
RAW_FOLDER: Final = REPO_ROOT / ".local" / "bench"
_HEAD = """\
# Benchmarks

Written by the commands that each section names; what stands between two marks is replaced by the
next run. A peer runs beside Longhaul in each, in the same minutes: **ratios are what counts**,
seconds belong to the machine.

<!-- targets: counted at every run -->
<!-- end of targets -->
"""
_BEGIN, _END = "<!-- targets: counted at every run -->", "<!-- end of targets -->"
_SUMMARY = re.compile(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", re.DOTALL)
_TARGET = re.compile(
    r"- (?P<what>.+); (?P<bound>target at .+?): (?P<verdict>met|\*\*missed\*\*(?: by [0-9.,]+%)?)"
)


def replace_section(document: Path, name: str, text: str) -> None:
    """Put a section where the last run's stands, or at the end."""
    begin, end = f"<!-- {name}: written by its benchmark -->", f"<!-- end of {name} -->"
    block = f"{begin}\n{text}\n{end}"
    before = document.read_text() if document.exists() else _HEAD
    marked = re.compile(f"{re.escape(begin)}.*{re.escape(end)}", re.DOTALL)
    after, found = marked.subn(lambda _: block, before)
    after = after if found else f"{before.rstrip()}\n\n{block}\n"
    sections = _SUMMARY.sub("", after)
    document.write_text(_SUMMARY.sub(lambda _: _summary(sections), after))


def _summary(text: str) -> str:
    """Say how many of a page's targets are met, and which are not; why stands in their sections."""
    title, targets, misses = "", 0, []
    for line in text.splitlines():
        title = line.removeprefix("## ") if line.startswith("## ") else title
        if (found := _TARGET.match(line)) is None:
            continue
        targets += 1
        if found["verdict"] != "met":
            misses.append(f"- {title}: {found['what']}; {found['bound']}: {found['verdict']}.")
    told = f"{targets - len(misses)} of {targets} targets are met."
    if misses:
        told = "\n".join([f"{told} Not met, each with its cause in its section:", "", *misses])
    return f"{_BEGIN}\n{told}\n{_END}"


def machine() -> str:
    """Describe this machine in a line, with how busy it has been in the last minute."""
    page, pages = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_PHYS_PAGES")
    cores = len(os.sched_getaffinity(0))
    kernel = platform.release().partition("-")[0]
    memory = page * pages / 2**30
    load = os.getloadavg()[0]
    return (
        f"{cores} cores ({platform.machine()}), {memory:.0f} GB, Linux {kernel},"
        f" load average {load:.1f}"
    )


def neighbours(load_before: float) -> str:
    """Say how busy the machine was when a run began, and what that does to its figures."""
    cores = len(os.sched_getaffinity(0))
    told = f"Load average when the run began: {load_before:.1f} on {cores} cores"
    if load_before <= cores / 2:
        return f"{told}."
    return (
        f"{told}, of what else ran in the minute before. Where that goes on, each change from one"
        " process to another waits for a core: times are longer, and whoever has more such changes"
        " fares worse."
    )


def versions(distributions: Iterable[str]) -> str:
    """Name Python's version and those of some distributions, in a line."""
    parts = [f"Python {platform.python_version()}"]
    return ", ".join([*parts, *(f"{name} {version(name)}" for name in distributions)])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
