"""Reads JSON that a caller sent: the right type in its range, or a ValidationException."""

from collections.abc import Mapping

from deploy.local.bedrock.errors import invalid


def as_object(value: object, where: str) -> Mapping[str, object]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise invalid(_mismatch(value, where, "an object"))
    return value


def as_list(value: object, where: str) -> list[object]:
    """Return a JSON array."""
    if not isinstance(value, list):
        raise invalid(_mismatch(value, where, "a list"))
    return value


def as_text(value: object, where: str) -> str:
    """Return a JSON string."""
    if not isinstance(value, str):
        raise invalid(_mismatch(value, where, "a string"))
    return value


def filled_text(value: object, where: str) -> str:
    """Return a JSON string in which something is written."""
    text = as_text(value, where)
    if not text.strip():
        raise invalid(f"The text at {where} is blank. Add text to it, and try again.")
    return text


def as_number(value: object, where: str, *, low: float, high: float) -> float:
    """Return a JSON number between `low` and `high`, both included."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(_mismatch(value, where, "a number"))
    if not low <= value <= high:
        raise invalid(
            f"1 validation error detected: Value '{value}' at '{where}' failed to satisfy "
            f"constraint: Member must have value between {low:g} and {high:g}"
        )
    return float(value)


def as_count(value: object, where: str, *, low: int = 1) -> int:
    """Return a JSON integer that is at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise invalid(_mismatch(value, where, "an integer"))
    if value < low:
        raise invalid(
            f"1 validation error detected: Value '{value}' at '{where}' failed to satisfy "
            f"constraint: Member must have value greater than or equal to {low}"
        )
    return value


def as_texts(value: object, where: str, *, most: int) -> tuple[str, ...]:
    """Return a JSON array of at most `most` strings that are not empty."""
    items = as_list(value, where)
    if len(items) > most:
        raise invalid(
            f"1 validation error detected: Value at '{where}' failed to satisfy constraint: "
            f"Member must have length less than or equal to {most}"
        )
    texts = tuple(as_text(item, f"{where}.{index}") for index, item in enumerate(items))
    if "" in texts:
        raise invalid(f"The string at {where}.{texts.index('')} is empty.")
    return texts


def _mismatch(value: object, where: str, wanted: str) -> str:
    if value is None:
        return (
            f"1 validation error detected: Value null at '{where}' failed to satisfy constraint: "
            "Member must not be null"
        )
    return f"The value at {where} must be {wanted}, not {_kind(value)}."


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean"}
    return names.get(type(value), "a number")
