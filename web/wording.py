"""What pydantic finds wrong with a field, in this API's words: plain, and without the value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_OBJECT = "must be an object"
_WHOLE = "must be a whole number"
# By pydantic's types of errors, with the members of their contexts.
_WORDS: Mapping[str, str] = {
    "missing": "must be there",
    "extra_forbidden": "is not a known field",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "list_type": "must be an array",
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "string_too_short": "must have a length of {min_length} or more",
    "string_too_long": "must have a length of {max_length} or less",
    "too_short": "must have a length of {min_length} or more",
    "too_long": "must have a length of {max_length} or less",
    "literal_error": "must be {expected}",
}


def words_of(found: Mapping[str, Any]) -> str:
    """Say one of pydantic's findings; those of our own validators are in our words already."""
    words = _WORDS.get(found["type"])
    if words is None:
        return str(found["msg"])
    return words.format(**{name: _plain(value) for name, value in found.get("ctx", {}).items()})


def _plain(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value
