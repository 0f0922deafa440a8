"""JSON text to values and back, strictly: what one reader would read otherwise is refused."""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn

from jobs.errors import FieldProblem, InvalidRequest
from web.errors import MalformedBody

MAX_DEPTH = 64  # Bedrock's deepest documents stay far below; Python's own limit is never met
MAX_VALUES = 200_000  # a body of 25 MB that is nothing but brackets would block its process
_BETWEEN = " \t\r\n:,"
_SURROGATE = re.compile("[\ud800-\udfff]")

# A path as a linked list, so that a big body costs no string a value.
_Path = tuple["_Path", str | int] | None


def parse_json(data: bytes) -> object:
    """Read one JSON value (RFC 8259) whose every text can be written as UTF-8.

    Raises MalformedBody, also for NaN, Infinity, numbers beyond a double, a key that comes twice,
    and nesting deeper than MAX_DEPTH; InvalidRequest naming the field of a lone surrogate.
    """
    value = _load(_decode(data))
    problems = _find_lone_surrogates(value)
    if problems:
        raise InvalidRequest("some text is not valid Unicode", problems=problems)
    return value


def text_of_member(data: bytes, name: str) -> str | None:
    """Give a member of an object, which `parse_json` has read, to the character as it was sent."""
    text = data.decode()
    decoder = json.JSONDecoder()
    at = text.index("{") + 1
    while True:
        start = _after_signs(text, at)
        if text[start] == "}":
            return None
        key, at = decoder.raw_decode(text, start)
        start = _after_signs(text, at)
        _, at = decoder.raw_decode(text, start)
        if key == name:
            return text[start:at]


def write_json(value: object) -> str:
    """Write a value compactly, with its text readable."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _after_signs(text: str, at: int) -> int:
    """Skip what stands between an object's names and values; the text is JSON already."""
    while text[at] in _BETWEEN:
        at += 1
    return at


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedBody(f"not UTF-8 at byte {error.start}") from error


def _load(text: str) -> object:
    if not text.strip():
        raise MalformedBody("there is no JSON: the body is empty")
    try:
        return json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_read_float,
            object_pairs_hook=_read_object,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise MalformedBody(f"not JSON: {error.msg} at {where}") from error
    except RecursionError as error:
        raise _too_deep() from error
    except ValueError as error:  # an integer of more than 4,300 digits
        raise MalformedBody("not JSON that can be kept: a number has too many digits") from error


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedBody(f"not JSON: {name} is not a JSON number")


def _read_float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise MalformedBody("not JSON that can be kept: a number is too large")
    return value


def _read_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise MalformedBody("not JSON with one meaning: an object has the same key twice")
    return value


def _too_deep() -> MalformedBody:
    return MalformedBody(f"not JSON that can be kept: nested deeper than {MAX_DEPTH} levels")


def _find_lone_surrogates(value: object) -> tuple[FieldProblem, ...]:
    """Visit each value once, without recursion, and hold the bounds on depth and number."""
    found: list[FieldProblem] = []
    ahead: list[tuple[object, _Path, int]] = [(value, None, 0)]
    seen = 0
    while ahead:
        node, path, depth = ahead.pop()
        if isinstance(node, str):
            if not node.isascii() and _SURROGATE.search(node):
                found.append(FieldProblem(field=_written(path), detail="has a lone surrogate"))
        elif isinstance(node, (dict, list)):
            seen += len(node)
            if seen > MAX_VALUES:
                raise MalformedBody(f"not JSON that can be kept: more than {MAX_VALUES:,} values")
            if depth >= MAX_DEPTH:
                raise _too_deep()
            members = node.items() if isinstance(node, dict) else enumerate(node)
            for key, member in members:
                ahead.append((member, (path, key), depth + 1))
                if isinstance(key, str):
                    ahead.append((key, (path, key), depth + 1))
    return tuple(found)


def _written(path: _Path) -> str:
    parts: list[str] = []
    while path is not None:
        path, key = path
        parts.append(str(key))
    return ".".join(reversed(parts))
