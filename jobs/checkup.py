"""Checkup: what an operator is told of each thing that Longhaul needs, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from jobs.errors import LonghaulError
from jobs.sketch import sketch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

BOUND = timedelta(seconds=5)  # for one check


class State(StrEnum):
    """How a thing stands."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"  # not looked at, because what it rests on fails


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One line: what was looked at, how it stands, and what to do where it does not stand well.

    `rests_on` names what fails where nothing was looked at: mend that, and look again.
    """

    name: str
    state: State
    told: str
    advice: str | None = None
    rests_on: str | None = None


def ok(name: str, told: str) -> Finding:
    """Say that all is well."""
    return Finding(name=name, state=State.OK, told=told)


def warn(name: str, told: str, advice: str) -> Finding:
    """Say what works now and may not for long."""
    return Finding(name=name, state=State.WARN, told=told, advice=advice)


def fail(name: str, told: str, advice: str) -> Finding:
    """Say what does not work."""
    return Finding(name=name, state=State.FAIL, told=told, advice=advice)


def skip(name: str, rests_on: str) -> Finding:
    """Say that nothing was looked at: one cause gets one advice, its own."""
    told = f"not looked at: rests on {rests_on}"
    return Finding(name=name, state=State.SKIP, told=told, rests_on=rests_on)


@dataclass(frozen=True, kw_only=True)
class Check:
    """What is looked at; `look` may raise, which ends this check and no other.

    `advice` is what to do where it raises, or does not end within `bound`. `rests_on` names the
    checks without which this one would only repeat what they say.
    """

    name: str
    look: Callable[[], Iterable[Finding]]
    advice: str
    rests_on: tuple[str, ...] = ()
    bound: timedelta = BOUND


def look_at(check: Check, find: Callable[[Finding], object]) -> None:
    """Make a check, and pass on what it finds as soon as it is found; never raises."""
    try:
        for finding in check.look():
            find(finding)
    except LonghaulError as error:
        find(fail(check.name, str(error), check.advice))
    except Exception as error:  # noqa: BLE001 - one part's surprise must not hide the others
        find(fail(check.name, f"could not be checked: {sketch(error)}", check.advice))


def cause_against(check: Check, found: Mapping[str, Sequence[Finding]]) -> str | None:
    """Name what keeps a check from being made: what it rests on, or what that one rests on.

    `found` is what all checks found on which it rests. A check stands unless a finding of its own
    name fails: a Redis that evicts is a fault, and still says which workers it knows.
    """
    for name in check.rests_on:
        for one in found[name]:
            if one.name == name and one.state is State.FAIL:
                return name
            if one.name == name and one.state is State.SKIP:
                return one.rests_on
    return None


def worst_of(findings: Iterable[Finding]) -> State:
    """Say how the whole stands; what was not looked at rests on what fails."""
    states = {finding.state for finding in findings}
    return next((one for one in (State.FAIL, State.WARN) if one in states), State.OK)
