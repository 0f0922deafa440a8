"""Checkup: what an operator is told of each thing that Longhaul needs, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from jobs.errors import LonghaulError
from jobs.sketch import sketch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


class State(StrEnum):
    """How a thing stands."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line: what was looked at, how it stands, and what to do where it does not stand well."""

    name: str
    state: State
    told: str
    advice: str | None = None


def ok(name: str, told: str) -> Finding:
    """Say that all is well."""
    return Finding(name=name, state=State.OK, told=told)


def warn(name: str, told: str, advice: str) -> Finding:
    """Say what works now and may not for long."""
    return Finding(name=name, state=State.WARN, told=told, advice=advice)


def fail(name: str, told: str, advice: str) -> Finding:
    """Say what does not work."""
    return Finding(name=name, state=State.FAIL, told=told, advice=advice)


@dataclass(frozen=True, kw_only=True)
class Check:
    """What is looked at; `look` may raise, which ends this check and no other.

    `advice` is what to do where it raises.
    """

    name: str
    look: Callable[[], Iterable[Finding]]
    advice: str


def examine(checks: Iterable[Check]) -> Iterator[Finding]:
    """Make each check, and give what it finds as soon as it is found."""
    for check in checks:
        try:
            yield from check.look()
        except LonghaulError as error:
            yield fail(check.name, str(error), check.advice)
        except Exception as error:  # noqa: BLE001 - one part's surprise must not hide the others
            yield fail(check.name, f"could not be checked: {sketch(error)}", check.advice)


def worst_of(findings: Sequence[Finding]) -> State:
    """Say how the whole stands."""
    states = {finding.state for finding in findings}
    return next((one for one in (State.FAIL, State.WARN) if one in states), State.OK)
