"""DynamoDB's units: the size of an item, and what a write of it costs, in indexes as well.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations.Writes
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_dynamodb.type_defs import (
        CreateTableInputTypeDef,
        GlobalSecondaryIndexOutputTypeDef,
        GlobalSecondaryIndexTypeDef,
    )

    Index = GlobalSecondaryIndexTypeDef | GlobalSecondaryIndexOutputTypeDef

    Item = Mapping[str, Any]

_WRITE_BYTES: Final = 1024
_READ_BYTES: Final = 4096
_CONTAINER_BYTES: Final = 3  # of a list or a map, whatever is in it
_ELEMENT_BYTES: Final = 1
OVERHEAD_BYTES: Final = 100  # of each stored item, and of each index entry


def item_bytes(item: Item) -> int:
    """Give an item's size: the names and the values of its attributes."""
    return sum(len(name.encode()) + value_bytes(value) for name, value in item.items())


def value_bytes(value: Mapping[str, Any]) -> int:
    """Give a value's size; that of a number is AWS's own approximation."""
    [(kind, held)] = value.items()
    match kind:
        case "S":
            return len(held.encode())
        case "N":
            digits = held.lstrip("-0").replace(".", "")
            return (len(digits) + 1) // 2 + 1
        case "M":
            inner = sum(
                len(name.encode()) + value_bytes(one) + _ELEMENT_BYTES for name, one in held.items()
            )
            return _CONTAINER_BYTES + inner
        case "L":
            return _CONTAINER_BYTES + sum(value_bytes(one) + _ELEMENT_BYTES for one in held)
        case _:
            return 1  # BOOL and NULL; a row has nothing else


def write_units(before: Item | None, after: Item | None) -> int:
    """Give what a write to the table costs: its larger image, in KiB that were begun."""
    return _units(max(item_bytes(before or {}), item_bytes(after or {})))


def index_units(
    definition: CreateTableInputTypeDef, before: Item | None, after: Item | None
) -> dict[str, int]:
    """Give what the same write costs in each index: nothing where its entry stays as it is.

    An entry whose key changes is one write to take it away, and one to put it there anew.
    """
    table_key = [one["AttributeName"] for one in definition["KeySchema"]]
    units: dict[str, int] = {}
    for index in definition["GlobalSecondaryIndexes"]:
        old, new = (_entry(index, table_key, item) for item in (before, after))
        key = [one["AttributeName"] for one in index["KeySchema"]]
        if old == new:
            cost = 0
        elif old and new and any(old[name] != new[name] for name in key):
            cost = _units(item_bytes(old)) + _units(item_bytes(new))
        else:
            cost = _units(max(item_bytes(old), item_bytes(new)))
        units[index["IndexName"]] = cost
    return units


def entry_bytes(definition: CreateTableInputTypeDef, item: Item) -> dict[str, int]:
    """Give how much an item takes in each index; nothing where it does not stand in it."""
    table_key = [one["AttributeName"] for one in definition["KeySchema"]]
    return {
        index["IndexName"]: item_bytes(_entry(index, table_key, item))
        for index in definition["GlobalSecondaryIndexes"]
    }


def read_units(size: int) -> int:
    """Give what a consistent read of so many bytes costs."""
    return max(1, math.ceil(size / _READ_BYTES))


def _units(size: int) -> int:
    return max(1, math.ceil(size / _WRITE_BYTES))


def _entry(index: Index, table_key: list[str], item: Item | None) -> Item:
    """Give what stands in an index of an item; nothing where it has not the index's key."""
    key = [one["AttributeName"] for one in index["KeySchema"]]
    if item is None or any(name not in item for name in key):
        return {}
    shown = [*table_key, *key, *index["Projection"].get("NonKeyAttributes", [])]
    return {name: item[name] for name in shown if name in item}
