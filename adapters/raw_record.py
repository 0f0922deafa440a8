"""A change record as text: JSON in DynamoDB's own form, small enough to stand in an item.

A record holds up to two images of a row of up to 400 KB each; an item holds 400 KB. What is cut
says so in its place, and `Truncated` beside it.
"""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_BYTES = 256 * 1024
_LONG_VALUE_BYTES = 1024
_SHOWN = 200
_IMAGES = ("NewImage", "OldImage")


def raw_json(record: Mapping[str, object]) -> str:
    """Write a record, its images cut where it is larger than LARGEST_BYTES; never raises."""
    whole = _dumps(record)
    if len(whole) <= LARGEST_BYTES:
        return whole
    for cut in (_with_short_values, _without_images):
        shorter = _dumps({**cut(record), "Truncated": True})
        if len(shorter) <= LARGEST_BYTES:
            return shorter
    return _dumps({"Truncated": True, "Beginning": whole[:_LONG_VALUE_BYTES]})


def _with_short_values(record: Mapping[str, object]) -> dict[str, object]:
    """Cut the long attributes of the images; keys and short attributes stay."""
    change = _fields(record.get("dynamodb"))
    images = {
        name: {attribute: _short(value) for attribute, value in _fields(change[name]).items()}
        for name in _IMAGES
        if name in change
    }
    return {**record, "dynamodb": {**change, **images}}


def _without_images(record: Mapping[str, object]) -> dict[str, object]:
    change = _fields(record.get("dynamodb"))
    images = {name: _left_out(_dumps(change[name])) for name in _IMAGES if name in change}
    return {**record, "dynamodb": {**change, **images}}


def _short(value: object) -> object:
    text = _dumps(value)
    if len(text) <= _LONG_VALUE_BYTES:
        return value
    return {"S": f"{text[:_SHOWN]}... {_left_out(text)}"}


def _left_out(text: str) -> str:
    return f"[cut from {len(text)} bytes]"


def _fields(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _dumps(value: object) -> str:
    """Write in ASCII, so that characters are bytes and DynamoDB refuses none of them."""
    return json.dumps(value, default=_as_json, separators=(",", ":"))


def _as_json(value: object) -> object:
    match value:
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
        case datetime():
            return value.isoformat()
        case set() | frozenset():
            return sorted(value, key=repr)
        case _:
            return repr(value)
