"""What is wrong with settings, in plain words: the variable, what is allowed, and what was given.

What may be a secret is never shown, and of anything else no more than its beginning.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from adapters.guarded_lines import guarded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

_MAY_BE_SECRET = re.compile(r"secret|key|header|url$|endpoint|issuer")
_LONGEST_SHOWN = 60
_NEAR = 0.9  # of 1: two letters in a name of twenty


def explain(problem: ErrorDetails, *, variable: str, name: str, field: FieldInfo) -> str:
    """Say what is wrong with one setting."""
    if problem["type"] == "missing":
        return f"{variable} is not set"
    own = problem.get("ctx", {}).get("error")
    said = str(own) if own is not None else f"must be {allowed(field)}"
    return f"{variable}: {said}{_given(problem['input'], name)}"


def explain_together(problem: ErrorDetails) -> str:
    """Say what is wrong with several settings together; the check names them."""
    return str(problem.get("ctx", {}).get("error", problem["msg"]))


def allowed(field: FieldInfo) -> str:
    """Say what a setting may be; what its type does not tell stands in its description."""
    if field.description is not None:
        return field.description
    kind = _kind_of(field)
    if get_origin(kind) is Literal:
        return _one_of(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _one_of([one.value for one in kind])
    words = {
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        str: "text",
        Path: "a path",
    }
    return f"{words.get(kind, 'text')}{_range_of(field)}"  # type: ignore[call-overload] # any type


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Find the one of the names that another was most likely meant to be; None where none is."""
    found = get_close_matches(name, sorted(names), n=1, cutoff=_NEAR)
    return found[0] if found else None


def _kind_of(field: FieldInfo) -> object:
    kinds = [one for one in get_args(field.annotation) if one is not NoneType]
    is_optional = NoneType in get_args(field.annotation)
    return kinds[0] if is_optional else field.annotation


def _one_of(words: Iterable[object]) -> str:
    *others, last = (repr(word) for word in words)
    return f"{', '.join(others)} or {last}" if others else last


def _range_of(field: FieldInfo) -> str:
    bounds = {
        name: bound
        for one in field.metadata
        for name in ("ge", "gt", "le", "min_length", "max_length")
        if (bound := getattr(one, name, None)) is not None
    }
    match bounds:
        case {"ge": least, "le": most}:
            return f" from {least} to {most}"
        case {"gt": least, "le": most}:
            return f" above {least}, and {most} at most"
        case {"min_length": least, "max_length": most}:
            return f" of {least} to {most} characters"
        case {"max_length": most}:
            return f" of {most} characters at most"
    return ""


def _given(value: object, name: str) -> str:
    if _MAY_BE_SECRET.search(name):
        return ""
    text = guarded(str(value))
    return f", not {text[:_LONGEST_SHOWN]!r}{'...' if len(text) > _LONGEST_SHOWN else ''}"
